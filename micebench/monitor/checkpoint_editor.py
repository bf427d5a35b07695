"""The editor that a training job's checkpoint is."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from micebench.cards import EditorCard, TaskCard, load_card
from micebench.errors import CardError, RunError
from micebench.monitor.checkpoints import Checkpoint
from micebench.registry.model_files import ModelFiles, place, saved_pipeline_card
from micebench.registry.sources import EditorSource, editor_source
from micebench.store.manifest import Manifest


def checkpoint_editor(
    checkpoint: Checkpoint,
    label: str,
    task: TaskCard,
    base: Manifest,
    *,
    model: str | None = None,
    weights: Path | None = None,
    cards: Sequence[Path] = (),
) -> EditorSource:
    """A checkpoint as an editor, with the settings of the base run's model (steps, guidance, batch ...).

    A pipeline has them if it is of the same class, else its own defaults. A LoRA goes on the base run's model. A
    folder with an ``editor.yaml`` says all by itself.

    Args:
        label: what the editor is called.
        base: manifest of the run it will be compared with.
        model: card whose settings, and under a LoRA whose weights, are taken instead.
        weights: weights under a LoRA instead of those of the card.

    Raises:
        CardError: the checkpoint cannot be used.
        RunError: the model under a LoRA cannot.
    """
    files, name = ModelFiles(), _name(label)
    if checkpoint.kind == "card":
        card = load_card(EditorCard, str(checkpoint.path / "editor.yaml"))
    elif checkpoint.kind == "pipeline":
        saved = saved_pipeline_card(checkpoint.path, task.domain)
        card = _settings(saved, base, model, cards).model_copy(
            update={"repo": None, "revision": None, "adapter": None}
        )
        files = ModelFiles(weights=checkpoint.path)
    else:
        card, beneath = _beneath(base, model, weights, cards)
        files, name = ModelFiles(weights=beneath, adapter=checkpoint.path), f"{card.id}+{name}"
    return replace(editor_source(card, task, cards, base.context, files), id=name)


def _settings(saved: EditorCard, base: Manifest, model: str | None, cards: Sequence[Path]) -> EditorCard:
    """The card whose settings a saved pipeline is run with."""
    if model is not None:
        return load_card(EditorCard, model, cards)
    said = _base_card(base)
    if said is None or said.editor != saved.editor or said.options.get("pipeline") != saved.options["pipeline"]:
        return saved
    return said


def _beneath(
    base: Manifest, model: str | None, weights: Path | None, cards: Sequence[Path]
) -> tuple[EditorCard, Path | None]:
    """The model that a LoRA goes on, and its weights where they are not those of its card.

    Raises:
        RunError: unknown, or without weights; no checkpoint is to blame for that.
    """
    said = _base_card(base)
    if model is None and said is None:
        raise RunError(f"the base run's model {base.model!r} has no card; name what the LoRA goes on with --model")
    if model is None and said is not None and said.weights is not None and Path(said.weights).is_absolute():
        card, weights = said, weights or Path(said.weights)
    else:
        try:
            card = load_card(EditorCard, model or (said.id if said is not None else ""), cards)
        except CardError as error:
            raise RunError(f"{error}; name the model that the LoRA goes on with --model") from error
    try:
        place(card, ModelFiles(weights=weights))
    except CardError as error:
        raise RunError(str(error)) from error
    return card, weights


def _base_card(base: Manifest) -> EditorCard | None:
    return None if base.editor_card is None else EditorCard.model_validate(base.editor_card)


def _name(label: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", label.lower()).strip("-._") or "checkpoint"
