"""A training's work folder: whose it is, its curve, its checkpoints."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from pydantic import BaseModel, ValidationError

from micebench.errors import RunError, one_line
from micebench.utils.malloc import keep_freed_memory
from micebench.utils.json_lines import JsonFault, parse_json
from micebench.store.keys import content_key
from micebench.utils.text_files import check_writable, read_text

_MOST_BYTES = 1 << 20  # of a recipe kept with its training
Log = Callable[[int, dict[str, float]], None]


def accelerator_for(work: Path, precision: str, device: str | None, handlers: Sequence[Any] = ()) -> Accelerator:
    """The accelerator of a training; an earlier one of this Python process may have had another precision.

    Raises RunError for a device other than "cpu" or None (what accelerate finds).
    """
    if device not in (None, "cpu"):
        raise RunError(
            f"device is {device!r}; give cpu, or leave it out for a GPU if there is one (which: CUDA_VISIBLE_DEVICES)"
        )
    AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            mixed_precision=precision,
            cpu=device == "cpu",
            log_with="tensorboard",
            project_dir=work,
            kwargs_handlers=list(handlers),
        )
    except ValueError as error:
        raise RunError(f"precision {precision} cannot be trained in here ({one_line(error, 200)})") from error
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def claim(work: Path, recipe: BaseModel, *, grows: str | None = None) -> None:
    """Note the recipe in the folder. Raises RunError if it belongs to another one.

    Args:
        grows: a number in the recipe that may be larger than the noted one: the training then goes on from its end.
    """
    check_writable(work, "--out", RunError)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{work}: cannot be made ({error.strerror}); give another --out") from error
    path, said = work / "recipe.json", json.loads(recipe.model_dump_json())
    if path.exists():
        noted = _said(type(recipe), path)
        if grows is not None and content_key({**noted, grows: said[grows]}) == content_key(said):
            if not isinstance(noted.get(grows), int) or noted[grows] > said[grows]:
                raise RunError(
                    f"{work} holds a training of {noted.get(grows)} {grows}, more than the {said[grows]} asked for; "
                    "give another --out, or as many"
                )
        elif content_key(noted) != content_key(said):
            raise RunError(f"{work} holds a training run of another recipe; give another --out, or remove it")
    path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def noted_fields(path: Path) -> dict[str, Any]:
    """What a JSON file of the work folder says. Raises RunError if it is damaged."""
    try:
        fields = parse_json(read_text(path, _MOST_BYTES, RunError))
    except JsonFault as error:
        raise RunError(f"{path}: damaged ({error}); restore it, or give another --out") from error
    if not isinstance(fields, dict):
        raise RunError(f"{path}: damaged (no object); restore it, or give another --out")
    return fields


def _said(kind: type[BaseModel], path: Path) -> dict[str, Any]:
    """What a noted recipe says today: a field that recipes have gained since is at its default."""
    noted = noted_fields(path)
    try:
        return json.loads(kind.model_validate(noted).model_dump_json())
    except ValidationError:  # a field that is gone
        return noted


def logger(work: Path, accelerator: Accelerator, show: Log | None) -> Log:
    """Numbers of a step go to TensorBoard, to ``curve.jsonl`` and to `show`; from the main process alone."""

    def log(step: int, numbers: Mapping[str, float]) -> None:
        accelerator.log(dict(numbers), step=step)
        if not accelerator.is_main_process:
            return
        with (work / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in numbers.items()}}) + "\n")
        if show is not None:
            show(step, dict(numbers))

    return log


class Progress:
    """Steps done; travels with the checkpoint."""

    step = 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def save_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Replace the checkpoint in `folder`; killed at any moment, the old or the new one is there, whole."""
    new, old = folder.with_name(f"{folder.name}-new"), folder.with_name(f"{folder.name}-old")
    if accelerator.is_main_process:
        shutil.rmtree(new, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(new))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path) -> bool:
    """Load the checkpoint in `folder`; False if there is none."""
    new, old = folder.with_name(f"{folder.name}-new"), folder.with_name(f"{folder.name}-old")
    if accelerator.is_main_process and not folder.exists() and old.exists():  # killed between the two renames
        (new if new.exists() else old).rename(folder)
    accelerator.wait_for_everyone()
    if not folder.exists():
        return False
    accelerator.load_state(str(folder))
    return True
