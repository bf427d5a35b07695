"""The judge of the embedded world: perceives rendered scenes and decides every metric exactly."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micebench.cards import JudgeCard
from micebench.errors import CardError, DataError
from micebench.instructions import ParsedEdit, UnparseableInstruction, parse_instruction
from micebench.judges.exact.consistency import (
    background_consistency,
    destruction,
    explained_slots,
    object_consistency,
    quality,
    slot_differences,
)
from micebench.judges.exact.instruction_following import Outcome, View, follow
from micebench.mini.perceive import Reading, perceive
from micebench.mini.world import IMAGE_PX, SLOTS
from micebench.sessions import Session
from micebench.verdicts import LazyImage, Question, Status, Verdict


class ExactJudge:
    """IF, CC, GA, destroyed and quality on mice-mini's images, without a model.

    GA follows MICE-Bench's criteria for the prefix 1..k: every turn happened; in cm sessions the rule holds
    for the object(s) edited in each turn and spread to nothing else in that turn (removals and background
    changes are exempt; a tint over everything satisfies nothing); in cu sessions the edited object is the one
    the pronoun meant. Stricter than MICE-Bench in one point: what an earlier turn made must still stand.

    The state before turn k is what image k-1 shows, in context `composed` too: the source lacks what earlier
    instructions made and later ones name.
    """

    def __init__(self, card: JudgeCard) -> None:
        if card.options:
            raise CardError(f"judge {card.id!r} takes no options, got {', '.join(card.options)}")

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question; every distinct image is decoded and perceived once."""
        album = _Album(questions)
        walks: dict[tuple[str, tuple[int, ...]], _Walk] = {}
        verdicts: list[Verdict] = []
        for question in questions:
            try:
                rows = tuple(album.row(image) for image in question.images)
                walk = walks.setdefault((question.session.id, rows[:1]), _Walk(question.session, album))
                verdicts.append(walk.answer(question.metric, rows))
            except DataError as error:
                verdicts.append(Verdict.missing(Status.ERROR, str(error)))
            except (ValueError, UnparseableInstruction) as error:
                verdicts.append(Verdict.missing(Status.INVALID_ANNOTATION, str(error)))
        return verdicts


class _Album:
    """The distinct images of a batch: pixels (N, 48, 48, 3) and what is seen in them."""

    def __init__(self, questions: Sequence[Question]) -> None:
        distinct: dict[str, LazyImage] = {}
        for question in questions:
            for image in question.images:
                distinct.setdefault(image.sha256, image)
        self._rows: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        pixels: list[NDArray[np.uint8]] = []
        for sha256, image in distinct.items():
            try:
                array = np.asarray(image.load(), np.uint8)
            except DataError as error:
                self._faults[sha256] = str(error)
                continue
            if array.shape != (IMAGE_PX, IMAGE_PX, 3):
                self._faults[sha256] = f"not a {IMAGE_PX} x {IMAGE_PX} RGB image of mice-mini: {array.shape}"
                continue
            self._rows[sha256] = len(pixels)
            pixels.append(array)
        self.pixels = np.stack(pixels) if pixels else np.zeros((0, IMAGE_PX, IMAGE_PX, 3), np.uint8)
        self.reading: Reading = perceive(self.pixels)

    def row(self, image: LazyImage) -> int:
        if image.sha256 in self._faults:
            raise DataError(self._faults[image.sha256])
        return self._rows[image.sha256]


class _Walk:
    """One session, judged turn by turn; what a turn did is worked out once per distinct prefix."""

    def __init__(self, session: Session, album: _Album) -> None:
        self.session, self.album = session, album
        self._outcomes: dict[tuple[int, ...], Outcome] = {}
        self._edits: dict[int, ParsedEdit] = {}
        self._differences: dict[int, NDArray[np.float32]] = {}

    def answer(self, metric: str, rows: tuple[int, ...]) -> Verdict:
        turn = self.session.turns[len(rows) - 2]
        source, current = View(self.album.reading, rows[0]), View(self.album.reading, rows[-1])
        unchanged = turn.unchanged_objects or ()
        match metric:
            case "IF":
                outcome = self._outcome(rows)
                return Verdict.ok(float(outcome.followed), outcome.reason)
            case "GA":
                fault = self._first_fault(rows)
                return Verdict.ok(0.0 if fault else 1.0, fault or "complies with everything so far")
            case "CC.object":
                return object_consistency(unchanged, source, self._difference(rows))
            case "CC.background":
                edits = [self._edit(number) for number in range(1, len(rows))]
                allowed = explained_slots(edits, turn.all_objects or (), source, current)
                return background_consistency(turn.bg_consistency, allowed, source, self._difference(rows))
            case "destroyed":
                return destruction(unchanged, source, current)
            case "quality":
                return quality(source, current)
            case _:
                return Verdict.missing(Status.NOT_APPLICABLE, f"the exact judge does not know {metric!r}")

    def _edit(self, number: int) -> ParsedEdit:
        if number not in self._edits:
            turn = self.session.turns[number - 1]
            self._edits[number] = parse_instruction(turn.edit_type or "", turn.formatted or "")
        return self._edits[number]

    def _difference(self, rows: tuple[int, ...]) -> NDArray[np.float32]:
        if rows[-1] not in self._differences:
            pixels = self.album.pixels
            self._differences[rows[-1]] = slot_differences(pixels[rows[0]], pixels[rows[-1]])
        return self._differences[rows[-1]]

    def _outcome(self, rows: tuple[int, ...]) -> Outcome:
        if rows not in self._outcomes:
            number = len(rows) - 1
            views = [View(self.album.reading, row) for row in rows]
            keep = self.session.turns[number - 1].available_objects or ()
            self._outcomes[rows] = follow(self._edit(number), views, self.session.rule, keep)
        return self._outcomes[rows]

    def _first_fault(self, rows: tuple[int, ...]) -> str | None:
        """The first thing in turns 1..k that breaks what the session has accumulated, or None."""
        held: set[int] = set()  # slots that hold the work of earlier turns
        repainted = False
        for number in range(1, len(rows)):
            outcome = self._outcome(rows[: number + 1])
            before, after = (View(self.album.reading, row) for row in rows[number - 1 : number + 1])
            changes_background = self._edit(number).edit_type == "background_change"
            if not outcome.followed:
                return f"turn {number}: {outcome.reason}"
            fault = self._rule_fault(outcome, before, after)
            if fault is not None:
                return f"turn {number}: {fault}"
            for slot in sorted(held - set(outcome.touched)):
                if (before.look(slot), before.letter(slot)) != (after.look(slot), after.letter(slot)):
                    return f"turn {number}: undid an earlier edit, now {after.describe(slot)}"
            if repainted and not changes_background and before.background != after.background:
                return f"turn {number}: undid the background"
            held = (held - set(outcome.touched)) | set(outcome.edited)
            repainted |= changes_background
        return None

    def _rule_fault(self, outcome: Outcome, before: View, after: View) -> str | None:
        rule = self.session.rule
        if rule is None:
            return None

        def value(view: View, slot: int) -> str | None:
            look = view.look(slot)
            return None if look is None else getattr(look, rule.attribute)

        for slot in outcome.edited:  # none after a removal or a background change: both are exempt
            if value(after, slot) != rule.value:
                return f"the rule asks for {rule.attribute} {rule.value}, there is {after.describe(slot)}"
        for slot in range(SLOTS):
            spread = value(after, slot) == rule.value and value(before, slot) != rule.value
            if spread and slot not in outcome.touched:
                return f"the rule's {rule.value} spread to {after.describe(slot)}"
        return None
