"""Is it better yet? Held-out sessions, run and judged as anybody would, and compared with the start, paired."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.cards import EditorCard
from micebench.editors.base import Editor, EditRequest
from micebench.comparison.paired_runs import compare
from micebench.engine.evaluate import evaluate
from micebench.errors import RunError
from micebench.training.rl.recipe import ValidationRecipe

if TYPE_CHECKING:
    from micebench.editors.base import Edited, EditResult

_SHOWN = ("overall", "turn_success", "marginal_success", "content_consistency", "collapse")


@dataclass(frozen=True, slots=True)
class Reading:
    """One validation.

    Attributes:
        iteration: of the training.
        overall: turn-k overall at the last turn, in percent; decides which checkpoint is kept.
        numbers: metric/turn -> percent; "gain/..." -> difference to the start, with "low" and "high" of its interval
            if there is one.
        regressed: the interval of the paired difference of `overall` lies below zero.
    """

    iteration: int
    overall: float
    numbers: dict[str, float]
    regressed: bool


class Validation:
    """Runs under ``folder``; iteration 0 is the start, which all others are compared with.

    A reading that is there already is read, not run again.
    """

    def __init__(
        self,
        recipe: ValidationRecipe,
        card: EditorCard,
        editor: Editor,
        folder: Path,
        seed: int,
        around: Callable[[], AbstractContextManager[Any]],
        data: Path | None = None,
    ) -> None:
        self._recipe, self._card, self._folder, self._seed, self._data = recipe, card, folder, seed, data
        self._editor = _Within(editor, around)

    def read(self, iteration: int) -> Reading:
        """Measure the editor as it is now. Raises MicebenchError as `evaluate` does, and without an overall score."""
        note = self._folder / f"{iteration:05d}.json"
        if note.exists():
            return _noted(note)
        run = evaluate(
            self._recipe.task,
            self._editor,
            judge=self._recipe.judge,
            out=self._run(iteration),
            data=self._data,
            limit=self._recipe.limit,
            context=self._card.context,
            batch=self._card.batch,
            seed=self._seed,
        )
        found = self._reading(iteration, run.summary())
        new = note.with_suffix(".new")
        new.write_text(json.dumps(asdict(found)), encoding="utf-8")
        new.replace(note)
        return found

    def readings(self) -> list[Reading]:
        """All that there are, in the order of iterations."""
        return [_noted(note) for note in sorted(self._folder.glob("*.json"))]

    def _run(self, iteration: int) -> Path:
        return self._folder / f"{iteration:05d}"

    def _reading(self, iteration: int, summary: dict[str, Any]) -> Reading:
        metrics = {name: summary["metrics"][name] for name in _SHOWN if name in summary["metrics"]}
        numbers = {
            f"{name}/{turn}": cell["value"]
            for name, cells in metrics.items()
            for turn, cell in cells.items()
            if cell["value"] is not None
        }
        last = max(map(int, metrics["overall"]))
        if f"overall/{last}" not in numbers:
            raise RunError(
                f"{self._run(iteration)}: not one session has an overall score at turn {last} to choose a checkpoint "
                "by; mend validation.judge and start again, training resumes"
            )
        overall, regressed = numbers[f"overall/{last}"], False
        if iteration:
            gained = compare(self._run(0), self._run(iteration)).numbers["metrics"]["overall"][str(last)]
            if gained["difference"] is not None:
                gain = {key: gained[key] for key in ("difference", "low", "high") if gained[key] is not None}
                numbers |= {f"gain/{key}": value for key, value in gain.items()}
                regressed = gain.get("high", 0.0) < 0
        return Reading(iteration, overall, numbers, regressed)


def _noted(note: Path) -> Reading:
    return Reading(**json.loads(note.read_text(encoding="utf-8")))


class _Within:
    """The editor, at work within a context (autocast, averaged weights)."""

    def __init__(self, editor: Editor, around: Callable[[], AbstractContextManager[Any]]) -> None:
        self._editor, self._around = editor, around

    def edit(self, requests: Sequence[EditRequest]) -> "list[EditResult | Edited]":
        with self._around():
            return self._editor.edit(requests)
