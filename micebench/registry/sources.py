"""Names, cards and Python objects made into what a run is about."""

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from micebench.cards import CardFolders, EditorCard, JudgeCard, TaskCard, load_card, made, resolve, resolve_kind
from micebench.editors.base import Editor
from micebench.editors.replay import replay_card
from micebench.errors import CardError
from micebench.judges.base import Judge
from micebench.judges.human import PREFIX as HUMAN
from micebench.judges.runtime.preflight import probe
from micebench.registry.model_files import (
    NO_FILES,
    ModelFiles,
    card_identity,
    is_saved_pipeline,
    judge_identity,
    place,
    saved_pipeline_card,
)
from micebench.verdicts import MEASURES, METRICS

Context = Literal["last", "history", "composed"]
CONTEXTS: tuple[Context, ...] = get_args(Context)
_DEFAULT_BATCH = 16
_REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class EditorSource:
    """Where an editor comes from; can be sent to another process unless it is an object.

    Attributes:
        id: name shown and used for the run's folder.
        identity: card hash; for Python code the class, its module's source and its own `identity`, if any.
        card: the card, if there is one.
        reference: ``module:Class``, if the editor was named that way.
        instance: the editor itself, if one was handed over.
    """

    id: str
    identity: str
    context: Context
    batch: int
    card: EditorCard | None = None
    reference: str | None = None
    instance: Editor | None = None

    def build(self) -> Editor:
        """Make the editor (loads weights, if it has any).

        Raises:
            CardError: the class cannot be found, fails, or is no editor.
        """
        if self.instance is not None:
            return self.instance
        if self.card is not None:
            where = f"model {self.id!r}"
            editor = made(
                self.card.editor, resolve_kind("editor", self.card.editor, where=where), self.card, where=where
            )
        else:
            reference = self.reference or ""
            editor = made(reference, resolve(reference, where="--model"), where="--model")
        return cast(Editor, _with_method(editor, "edit", "an editor"))

    def probe(self) -> None:
        """Look for the server that the editor would call, where it has one. Raises CardError: it is not there."""
        if self.instance is None and self.card is not None:
            look = getattr(resolve_kind("editor", self.card.editor, where=f"model {self.id!r}"), "probe", None)
            if look is not None:
                look(self.card)


@dataclass(frozen=True, slots=True)
class JudgeSource:
    """Where a judge comes from.

    Attributes:
        identity: hash of the card, its prompts and its local weights; of Python code as in EditorSource.
        metrics: what it is asked.
        concurrent: may judge while the editor is still at work.
    """

    id: str
    identity: str
    metrics: tuple[str, ...]
    concurrent: bool = False
    card: JudgeCard | None = None
    instance: Judge | None = None

    def build(self) -> Judge:
        """Make the judge. Raises CardError if its class cannot be found, fails, or is no judge."""
        if self.instance is not None:
            return self.instance
        assert self.card is not None
        where = f"judge {self.id!r}"
        judge = made(self.card.judge, resolve_kind("judge", self.card.judge, where=where), self.card, where=where)
        return cast(Judge, _with_method(judge, "judge", "a judge"))

    def probe(self) -> None:
        """Look for the servers that the judge would ask. Raises CardError: one is not there, or lets us not in."""
        if self.instance is None and self.card is not None:
            probe(self.card)


def editor_source(
    editor: str | EditorCard | Editor,
    task: TaskCard,
    cards: CardFolders = (),
    context: str | None = None,
    files: ModelFiles = NO_FILES,
) -> EditorSource:
    """An editor by card id, folder of a saved pipeline, ``replay:FOLDER``, ``module:Class``, card or object.

    Args:
        files: weights and adapter to be used instead of those the card names.

    Raises:
        CardError: unknown name (with the nearest), an editor that does not fit the task, weights that are
            not there or not pinned.
    """
    if context is not None and context not in CONTEXTS:
        raise CardError(f"context is {context!r}; give one of {', '.join(CONTEXTS)}")
    chosen = cast(Context | None, context)
    if isinstance(editor, str) and editor.startswith(_REPLAY):
        files = ModelFiles(weights=Path(editor.removeprefix(_REPLAY)))
        editor = replay_card(Path(editor.removeprefix(_REPLAY)), task.domain)
    elif isinstance(editor, str) and is_saved_pipeline(editor):
        editor = saved_pipeline_card(Path(editor), task.domain)
    if files != NO_FILES and not (isinstance(editor, EditorCard) or (isinstance(editor, str) and ":" not in editor)):
        raise CardError("--weights and --adapter go with a model card; a Python editor loads its own")
    if isinstance(editor, str) and ":" in editor:
        kind = resolve(editor, where="--model")
        if not isinstance(kind, type):
            raise CardError(f"--model {editor}: is a {type(kind).__name__}, not a class")
        _with_method(kind, "edit", "an editor")
        return EditorSource(
            id=_slug(editor.replace(":", ".")),
            identity=_code_identity(kind),
            context=chosen or _declared_context(kind),
            batch=_declared_batch(kind),
            reference=editor,
        )
    if isinstance(editor, str):
        editor = load_card(EditorCard, editor, cards)
    if isinstance(editor, EditorCard):
        check_domain(task, editor)
        name, placed = place(editor, files)
        identity = card_identity(editor, placed)
        return EditorSource(name, identity, chosen or editor.context, editor.batch, card=placed)
    _with_method(editor, "edit", "an editor")
    kind = type(editor)
    return EditorSource(
        id=_slug(f"{kind.__module__}.{kind.__qualname__}"),
        identity=_code_identity(kind, str(getattr(editor, "identity", ""))),
        context=chosen or _declared_context(editor),
        batch=_declared_batch(editor),
        instance=editor,
    )


def judge_source(
    judge: str | JudgeCard | Judge | None, task: TaskCard, cards: CardFolders = ()
) -> JudgeSource | None:
    """A judge by card id, card or object; None: the task's own judge, if it has one.

    Raises:
        CardError: unknown name (with the nearest), or a judge of another domain.
    """
    if judge is None:
        if task.judge is None:
            return None
        judge = task.judge
    if isinstance(judge, str) and judge.startswith(HUMAN):
        raise CardError(f"{judge!r} is a person, whom no run can ask: label with `micebench review RUN`")
    if isinstance(judge, str):
        judge = load_card(JudgeCard, judge, cards)
    if isinstance(judge, JudgeCard):
        if judge.domain not in (task.domain, "any"):
            raise CardError(
                f"judge {judge.id!r} judges {judge.domain} images, task {task.id!r} has {task.domain} ones; "
                f"give --judge {task.judge or 'NAME'}"
            )
        return JudgeSource(judge.id, judge_identity(judge), tuple(judge.metrics), judge.concurrent, card=judge)
    _with_method(judge, "judge", "a judge")
    kind = type(judge)
    asked = tuple(getattr(judge, "metrics", METRICS))
    unknown = [metric for metric in asked if metric not in (*METRICS, *MEASURES)]
    if unknown:
        raise CardError(f"{kind.__qualname__}.metrics: unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}")
    return JudgeSource(
        id=_slug(f"{kind.__module__}.{kind.__qualname__}"),
        identity=_code_identity(kind, str(getattr(judge, "identity", ""))),
        metrics=asked,
        concurrent=bool(getattr(judge, "concurrent", False)),
        instance=judge,
    )


def check_domain(task: TaskCard, editor: EditorCard) -> None:
    """Raises CardError (with the remedy) if the editor was made for another kind of image."""
    if editor.domain in (task.domain, "any"):
        return
    if editor.domain == "mini":
        remedy = f"{editor.id!r} edits rendered scenes only: give --task mice-mini, or a photo model with --model"
    else:
        remedy = f"{editor.id!r} edits photographs: give a photo task with --task, e.g. --task mice"
    raise CardError(f"task {task.id!r} has {task.domain} images; {remedy}")


def default_out(task: TaskCard, editor: EditorSource, options: dict[str, Any]) -> Path:
    """``runs/<task>--<model>``, with a suffix for each option that is not at its default (None).

    The same command gives the same folder, and so resumes.
    """
    suffix = "".join(f"--{name}-{value}" for name, value in options.items() if value is not None)
    return Path("runs") / f"{task.id}--{editor.id}{suffix}"


def _with_method(thing: Any, method: str, noun: str) -> Any:
    if not callable(getattr(thing, method, None)):
        name = getattr(thing, "__qualname__", type(thing).__qualname__)
        raise CardError(f"{name} is not {noun}: it has no method {method!r}")
    return thing


def _declared_context(editor: Any) -> Context:
    context = getattr(editor, "context", "last")
    if context not in CONTEXTS:
        raise CardError(f"the editor's context is {context!r}; give one of {', '.join(CONTEXTS)}")
    return context


def _declared_batch(editor: Any) -> int:
    batch = getattr(editor, "batch", _DEFAULT_BATCH)
    if not isinstance(batch, int) or batch < 1:
        raise CardError(f"the editor's batch is {batch!r}; give a whole number of at least 1")
    return batch


def _code_identity(kind: Callable[..., Any], own: str = "") -> str:
    """Hash of a class's name and of the source of its module: code that was changed is another editor."""
    digest = hashlib.sha256(f"{kind.__module__}:{kind.__qualname__}\n{own}\n".encode())
    with suppress(OSError, TypeError, KeyError):  # typed into an interpreter: no source to compare
        digest.update(inspect.getsource(sys.modules[kind.__module__]).encode())
    return digest.hexdigest()


def _slug(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", name).strip("-")
