"""Checkpoints that a training job leaves in a folder: which there are, and which are whole."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from micebench.store.keys import content_key

Kind = Literal["pipeline", "adapter", "card"]
_PLACES: tuple[tuple[Kind, str], ...] = (
    ("card", "editor.yaml"),
    ("pipeline", "model_index.json"),
    ("pipeline", "weights/model_index.json"),
    ("pipeline", "pipeline/model_index.json"),
    ("adapter", "pytorch_lora_weights.safetensors"),
    ("adapter", "adapter/pytorch_lora_weights.safetensors"),
    ("adapter", "adapter_model.safetensors"),
    ("adapter", "adapter/adapter_model.safetensors"),
)
_IN_THE_MAKING = re.compile(r"^\.|[-_.](new|old|tmp|partial)$")
_HEADER = 8  # a safetensors file begins with the length of its header, 8 bytes, little-endian


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that a training job has written.

    Attributes:
        name: of the folder.
        kind: pipeline: a saved diffusers pipeline; adapter: a LoRA; card: a folder with an ``editor.yaml``.
        path: what is to be loaded: the folder itself, or one in it.
    """

    name: str
    kind: Kind
    path: Path

    @property
    def step(self) -> int | None:
        """The last number in the name: ``checkpoint-500`` is step 500."""
        numbers = re.findall(r"\d+", self.name)
        return int(numbers[-1]) if numbers else None

    def look(self) -> "Look":
        """Raises OSError: the folder is being changed."""
        found: dict[str, list[int]] = {}
        for file in self.path.rglob("*"):
            if file.is_file():
                said = file.stat()
                found[file.relative_to(self.path).as_posix()] = [said.st_size, said.st_mtime_ns]
        return Look(content_key(found), max((time for _, time in found.values()), default=0))


class Look(NamedTuple):
    """What a folder looks like: a hash of the names, sizes and times of its files; the latest time, in ns."""

    signature: str
    changed_ns: int


def find_checkpoints(folder: Path) -> list[Checkpoint]:
    """The checkpoints among the direct subfolders of `folder`, by step, then by name.

    Left alone: hidden folders, and those called ``*-new``, ``*-old``, ``*.tmp``, ``*.partial`` as trainers (ours too)
    call what they are still writing.
    """
    found = [one for one in (_checkpoint(path) for path in sorted(folder.iterdir())) if one is not None]
    return sorted(found, key=lambda one: (one.step is None, one.step or 0, one.name))


def _checkpoint(path: Path) -> Checkpoint | None:
    if _IN_THE_MAKING.search(path.name) or not path.is_dir():
        return None
    for kind, file in _PLACES:
        if (path / file).is_file():
            return Checkpoint(path.name, kind, (path / file).parent)
    return None


def unfinished(checkpoint: Checkpoint) -> str:
    """Why the files cannot be whole yet, as far as they say themselves; "" if nothing speaks against it.

    A safetensors file says how long it is; a sharded one's index and a pipeline's index say what else must be there.
    """
    try:
        for file in sorted(checkpoint.path.rglob("*.safetensors")):
            if (short := _missing_bytes(file)) > 0:
                return f"{file.relative_to(checkpoint.path)} lacks {short:,} bytes"
        for file in sorted(checkpoint.path.rglob("*.safetensors.index.json")):
            for shard in sorted(set(json.loads(file.read_bytes())["weight_map"].values())):
                if not (file.parent / shard).is_file():
                    return f"{(file.parent / shard).relative_to(checkpoint.path)} is missing"
        peft = (checkpoint.path / "adapter_model.safetensors").is_file()
        if peft and not (checkpoint.path / "adapter_config.json").is_file():  # which says how strong it is
            return "adapter_config.json is missing"
        if checkpoint.kind == "pipeline":
            for part in _parts(checkpoint.path / "model_index.json"):
                if not any((checkpoint.path / part).glob("*")):
                    return f"{part}/ is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _missing_bytes(file: Path) -> int:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_HEADER), "little")
        if size < _HEADER + length:
            return _HEADER + max(length, 1) - size
        tensors = json.loads(opened.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
    return _HEADER + length + max(ends, default=0) - size


def _parts(index: Path) -> Iterator[str]:
    """Components of a pipeline that have a folder of their own."""
    for name, said in json.loads(index.read_bytes()).items():
        if not name.startswith("_") and isinstance(said, list) and said and said[0] is not None:
            yield name


def hold(checkpoint: Checkpoint, place: Path) -> Checkpoint:
    """The same checkpoint in `place`, so that the training job may replace or delete its own.

    Files are linked (no bytes are copied) where the file system allows it. Raises OSError: it has gone meanwhile.
    """
    shutil.rmtree(place, ignore_errors=True)
    target = place / checkpoint.name
    shutil.copytree(checkpoint.path, target, copy_function=_link)
    return Checkpoint(checkpoint.name, checkpoint.kind, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
