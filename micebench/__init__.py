"""micebench: how well does an image editor hold a session of edits together, turn after turn?

The public names below are imported when first used, so that `import micebench` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micebench.cards import load_card
    from micebench.comparison.paired_runs import compare
    from micebench.editors.base import Editor, EditRequest
    from micebench.engine.evaluate import evaluate, judge
    from micebench.engine.run_reader import Run, open_run
    from micebench.judges.base import Judge
    from micebench.tasks.load import iter_sessions, load_task
    from micebench.verdicts import Question, Verdict

__version__ = "0.1.0"

_HOMES = {
    "load_task": "micebench.tasks.load",
    "iter_sessions": "micebench.tasks.load",
    "load_card": "micebench.cards",
    "evaluate": "micebench.engine.evaluate",
    "judge": "micebench.engine.evaluate",
    "open_run": "micebench.engine.run_reader",
    "Run": "micebench.engine.run_reader",
    "compare": "micebench.comparison.paired_runs",
    "Editor": "micebench.editors.base",
    "EditRequest": "micebench.editors.base",
    "Judge": "micebench.judges.base",
    "Question": "micebench.verdicts",
    "Verdict": "micebench.verdicts",
}

__all__ = [
    "EditRequest",
    "Editor",
    "Judge",
    "Question",
    "Run",
    "Verdict",
    "compare",
    "evaluate",
    "iter_sessions",
    "judge",
    "load_card",
    "load_task",
    "open_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'micebench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
