"""Labels of people as verdicts about the run as it is: of remade edits, or of other questions, none is read."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from micebench.cards import command
from micebench.engine.run_reader import Run
from micebench.errors import RunError
from micebench.judges.human import EVERYONE, PREFIX, identity
from micebench.store.keys import verdict_key
from micebench.store.label_journal import Label, Seen, label_path, labelled_by, read_labels
from micebench.store.records import VerdictRecord
from micebench.verdicts import Status


class NothingShared(RunError):
    """There is nothing to compare: no labels, or none of the same edits."""


class Asked(NamedTuple):
    """One question about one edit: session id, repeat (from 0), turn (from 1), metric."""

    session: str
    repeat: int
    turn: int
    metric: str


@dataclass(slots=True)
class Labels:
    """What one reviewer has said about the edits of a run.

    Attributes:
        final: the last label about each question.
        blind: the last one given before the automatic verdict was seen.
        seen: questions whose automatic verdict the reviewer has been shown.
        stale: labels about images that the run no longer has, or of questions asked otherwise today.
    """

    reviewer: str
    final: dict[Asked, Label] = field(default_factory=dict[Asked, Label])
    blind: dict[Asked, Label] = field(default_factory=dict[Asked, Label])
    seen: set[Asked] = field(default_factory=set[Asked])
    stale: int = 0

    def take(self, asked: Asked, label: Label) -> None:
        """A label more, the newest."""
        self.final[asked] = label
        if label.blind:
            self.blind[asked] = label


def key_of(run: Run, reviewer: str, asked: Asked) -> tuple[str, str] | None:
    """(key of the edit, key of the verdict) a label about this has today; None: the run has no such image."""
    edits = run.edit_index()
    position = edits.sessions.position.get(asked.session)
    if position is None or not 0 <= asked.repeat < edits.repeats:
        return None
    if not 1 <= asked.turn <= edits.sessions.turns[position]:
        return None
    row = position * edits.repeats + asked.repeat
    image = edits.image(row, asked.turn)
    if image is None:
        return None
    edit = edits.key(row, asked.turn)
    return edit, verdict_key(edit, image, identity(reviewer), asked.metric)


def labels_of(run: Run, reviewer: str) -> Labels:
    """The labels of one reviewer; none if there is no file. Raises RunError: a damaged line."""
    found = Labels(reviewer)
    for entry in read_labels(label_path(run.path, reviewer)):
        about = entry if isinstance(entry, Seen) else entry.record
        asked = Asked(about.session, about.repeat, about.turn, about.metric)
        keys = key_of(run, reviewer, asked)
        if keys is None or keys[1] != about.key:
            found.stale += isinstance(entry, Label)
        elif isinstance(entry, Seen):
            found.seen.add(asked)
        else:
            found.take(asked, replace(entry, blind=entry.blind and asked not in found.seen))
    return found


def reviewers(run: Run) -> list[str]:
    """Names of those who have labelled the run, sorted."""
    return labelled_by(run.path)


def records_of(run: Run, judge: str, metric: str, *, seen: bool = False) -> dict[Asked, VerdictRecord]:
    """What ``human:<name>``, or all together as ``human:*``, said about one metric.

    Args:
        seen: count labels given after the automatic verdict was shown, too; they agree with it more often than
            they would have.

    Raises:
        NothingShared: nobody of that name has labelled this metric of the run.
    """
    names = reviewers(run) if judge == EVERYONE else [judge.removeprefix(PREFIX)]
    given: list[dict[Asked, Label]] = []
    for name in names:
        labels = labels_of(run, name)
        chosen = labels.final if seen else labels.blind
        given.append({asked: label for asked, label in chosen.items() if asked.metric == metric})
    if not any(given):
        how = "" if seen else " without having seen the automatic verdict"
        remedy = command("review", run.path, "--metric", metric)
        raise NothingShared(
            f"{run.path}: {judge} has labelled no {metric}{how}; label with `{remedy}`, "
            f"those who have: {', '.join(reviewers(run)) or 'nobody'}"
        )
    if judge != EVERYONE:
        return {asked: label.record for asked, label in given[0].items()}
    return together(given)


def together(given: Iterable[dict[Asked, Label]]) -> dict[Asked, VerdictRecord]:
    """One verdict per question from those of several people: the mean of the values, which are kept as votes.

    Where they split evenly about yes and no there is none (``refused``): a tie is no answer.
    """
    votes: dict[Asked, list[VerdictRecord]] = defaultdict(list)
    for labels in given:
        for asked, label in labels.items():
            votes[asked].append(label.record)
    return {asked: _together(records) for asked, records in votes.items()}


def _together(records: list[VerdictRecord]) -> VerdictRecord:
    first = records[0]
    values = tuple(record.value for record in records if record.value is not None)
    status, mean = Status.REFUSED, None
    reason = "no reviewer could tell"
    if values:
        mean = sum(values) / len(values)
        status, reason = Status.OK, f"{sum(value > 0.5 for value in values)} of {len(values)} above 0.5"
        if mean == 0.5 and set(values) == {0.0, 1.0}:
            status, mean, reason = Status.REFUSED, None, "reviewers split evenly"
    elif all(record.status == Status.INVALID_ANNOTATION for record in records):
        status, reason = Status.INVALID_ANNOTATION, "called invalid by every reviewer"
    return VerdictRecord(
        "", first.edit, first.session, first.repeat, first.turn, first.metric, status, mean, reason, votes=values
    )
