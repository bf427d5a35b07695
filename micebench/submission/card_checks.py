"""What a run claims to be, held against the cards that are here. Used before submitting and when verifying.

A card's id is looked up among the known cards, never as a path; what the run's own copy of a card says is only
hashed. So nothing that a bundle names is imported.
"""

from typing import Literal, TypeVar

from pydantic import ValidationError

from micebench.cards import Card, CardFolders, EditorCard, JudgeCard, TaskCard, card_hash, find_cards, load_card
from micebench.engine.job import judge_fields
from micebench.errors import CardError, nearest
from micebench.registry.earlier_identities import same_identity
from micebench.registry.sources import JudgeSource, editor_source, judge_source
from micebench.report.formatting import plural, visible
from micebench.store.manifest import Manifest
from micebench.submission.names import skeleton
from micebench.submission.schema import slug

COVERAGE = 0.99
"""Least share of edits made, and of verdicts with a value (or with a good reason for none)."""

NOT_PROVED = "the name cannot be proved"
"""Part of what the check "model" says of a model whose weights are not here; the leaderboard looks for it."""
ModelClaim = Literal["ships", "unproved", "other"]

C = TypeVar("C", bound=Card)


def known_task(manifest: Manifest, cards: CardFolders = ()) -> TaskCard:
    """The task's card, if the run was made with it as it is here.

    Raises CardError: unknown, or another version of it; with the remedy.
    """
    card = _known(TaskCard, manifest.task, cards)
    said = _hash_of(TaskCard, manifest.task_card)
    here = card_hash(card)
    if said != here or not same_identity(manifest.task_hash, here):
        raise CardError(
            f"the card of task {card.id!r} is not the one that ships with micebench "
            f"({_short(manifest.task_hash)}, here {_short(here)}); run the task as it ships, into another folder"
        )
    for field, theirs, ours in (
        ("task_version", manifest.task_version, card.version),
        ("fingerprint", manifest.fingerprint, card.fingerprint),
        ("turns", manifest.turns, card.turns),
        ("content_consistency", manifest.content_consistency, card.content_consistency),
    ):
        if theirs != ours:
            raise CardError(f"the manifest says {field} {visible(theirs, 80)}, the card of {card.id!r} says {ours}")
    if manifest.limit is not None:
        raise CardError(
            f"the run has the first {plural(manifest.limit, 'session')} only; run the whole task, without --limit"
        )
    return card


def known_judge(manifest: Manifest, task: TaskCard, cards: CardFolders = ()) -> JudgeSource:
    """The judge, if it is the task's own and its card, prompts and local weights are as they are here.

    Raises CardError: none, unknown, another than the task's, or another version of it; with the remedy.
    """
    wanted = task.judge or manifest.judge
    again = f"judge it again: micebench judge RUN --judge {wanted or 'NAME'}"
    if manifest.judge is None or manifest.judge_hash is None:
        raise CardError(f"the run is not judged; {again}")
    if manifest.judge_card is None:
        raise CardError(f"judge {visible(manifest.judge, 60)!r} is a Python object, which nobody else has; {again}")
    if manifest.judge != wanted:
        raise CardError(
            f"the run was judged by {visible(manifest.judge, 60)!r}, results of {task.id!r} are judged by {wanted!r}"
            f"; {again}"
        )
    source = judge_source(_known(JudgeCard, manifest.judge, cards), task, cards)
    assert source is not None and source.card is not None  # noqa: PT018 (made from a card)
    said = _hash_of(JudgeCard, manifest.judge_card)
    if not same_identity(manifest.judge_hash, source.identity) or said != card_hash(source.card):
        raise CardError(
            f"the card, or a prompt, of judge {source.id!r} is not the one that ships with micebench "
            f"({_short(manifest.judge_hash)}, here {_short(source.identity)}); {again}"
        )
    if manifest.metrics != judge_fields(source, manifest.context, manifest.turns)["metrics"]:
        raise CardError(f"judge {source.id!r} is asked other metrics than the manifest says; {again}")
    return source


def known_model(manifest: Manifest, name: str, task: TaskCard, cards: CardFolders = ()) -> ModelClaim:
    """Whether the run was made with the model that its names say.

    ``ships``: with a model that ships, weights included. ``unproved``: with the card of one whose weights are not
    here. ``other``: neither the model nor the submission is called like one that ships.

    Raises:
        CardError: the submission, or its model, is called like a model that ships, or has a name that looks like
            its name, and is not that model.
    """
    known = {skeleton(card): card for card in find_cards(EditorCard, cards)}
    found: list[ModelClaim] = []
    for called in dict.fromkeys((manifest.model, name)):
        shipped = known.get(skeleton(called))
        if shipped is not None:
            found.append(_shipped_claim(manifest, called, load_card(EditorCard, shipped, cards), task, cards))
    if not found:
        return "other"
    return "unproved" if "unproved" in found else "ships"


def _shipped_claim(
    manifest: Manifest, called: str, card: EditorCard, task: TaskCard, cards: CardFolders
) -> ModelClaim:
    shown = visible(called, 80)
    like = "like a model" if _slug(called) == _slug(card.id) else f"which looks like {card.id!r}, a model"
    if card.domain not in (task.domain, "any"):
        raise CardError(
            f"it is called {shown!r}, {like} that ships with micebench, but that one edits {card.domain} images, not "
            f"the {task.domain} ones of {task.id!r}; choose another name"
        )
    try:
        identity = editor_source(card, task, cards).identity
    except CardError:  # no pinned revision, or its weights are not here
        if not _same_but_for_weights(manifest.editor_card, card):
            raise CardError(
                f"it is called {shown!r}, {like} that ships with micebench, but was made with another card than the "
                "one that ships; run the model as it ships, or give your own a card and a name of its own"
            ) from None
        return "unproved"
    if not same_identity(manifest.editor_hash, identity):
        raise CardError(
            f"it is called {shown!r}, {like} that ships with micebench, but was made by "
            f"another ({_short(manifest.editor_hash)}, here {_short(identity)}); run the model as it ships, or "
            "give your own a card and a name of its own"
        )
    return "ships"


def _same_but_for_weights(fields: dict[str, object] | None, card: EditorCard) -> bool:
    try:
        theirs = EditorCard.model_validate(fields)
    except (ValidationError, ValueError):
        return False
    nowhere = {"weights": None, "revision": None}
    return card_hash(theirs.model_copy(update=nowhere)) == card_hash(card.model_copy(update=nowhere))


def _known(kind: type[C], name: str, cards: CardFolders) -> C:
    known = find_cards(kind, cards)
    if name not in known:
        word = "task" if kind is TaskCard else "judge"
        raise CardError(f"unknown {word} {visible(name, 60)!r}; {nearest(visible(name, 60), known)}")
    return load_card(kind, name, cards)


def _hash_of(kind: type[Card], fields: dict[str, object]) -> str | None:
    """The hash of a card given as fields; None if it is none. Pydantic only: nothing in it is looked up."""
    try:
        return card_hash(kind.model_validate(fields))
    except (ValidationError, ValueError):
        return None


def _slug(name: str) -> str | None:
    try:
        return slug(name)
    except ValueError:
        return None


def _short(digest: str) -> str:
    return visible(digest, 8).partition("…")[0]
