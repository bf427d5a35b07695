"""Whether a verdict is applicable follows from a session's annotation and source image, not from the edit.

So an exact judge can tell it for every session, also for those whose images are not in the bundle: it judges the
source image in the place of each edit. Otherwise a failed edit could be hidden as `not_applicable`, which leaves a
mean without a bound.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from micebench.execution.judge_calls import Asked, Unit, answers
from micebench.judges.base import Judge
from micebench.report.formatting import LEGITIMATE, plural, visible
from micebench.sessions import Session
from micebench.submission.bundle import Bundle
from micebench.submission.errors import BundleError
from micebench.verdicts import MeasureName, MetricName, Question, Status, instruction_asked

if TYPE_CHECKING:
    from PIL.Image import Image

_SESSIONS_AT_ONCE = 64


def check_applicability(bundle: Bundle, judge: Judge, own: Sequence[Session], judged: Collection[str]) -> int:
    """Compare the applicability of the verdicts on all sessions but those already `judged` from their images.

    Args:
        judge: an exact judge.

    Returns:
        How many verdicts were compared.

    Raises:
        BundleError: (check "verdicts") a verdict is not applicable where it has to have a value, or the reverse.
    """
    rest = [session for session in own if session.id not in judged]
    metrics = [name for name in bundle.manifest.metrics if not instruction_asked(name)]
    expected: dict[tuple[str, int, str], Status] = {}
    for start in range(0, len(rest), _SESSIONS_AT_ONCE):
        asked = [one for session in rest[start : start + _SESSIONS_AT_ONCE] for one in _asked(session, metrics)]
        for (_, question), verdict in zip(asked, answers(judge, asked), strict=True):
            expected[question.session.id, question.turn, question.metric] = verdict.status
    compared, wrong, first = 0, 0, ""
    for verdict in bundle.verdicts:
        status = expected.get((verdict.session, verdict.turn, verdict.metric))
        if status is None or status == Status.ERROR:
            continue
        compared += 1
        if (verdict.status in LEGITIMATE) != (status in LEGITIMATE):
            wrong += 1
            first = first or (
                f"{verdict.metric} of session {visible(verdict.session, 60)!r} turn {verdict.turn} is "
                f"{verdict.status.value}, by its annotation {status.value}"
            )
    if wrong:
        said = f"{plural(wrong, 'verdict')} not applicable where the annotation says otherwise, or the reverse"
        raise BundleError("verdicts", f"{said}; the first: {first}")
    return compared


@dataclass(frozen=True)
class _Source:
    """The source image, in the place of an edit."""

    session: Session

    @property
    def sha256(self) -> str:
        return self.session.id  # only has to tell images apart

    @cached_property
    def _image(self) -> "Image":
        return self.session.image.open()

    def load(self) -> "Image":
        return self._image


def _asked(session: Session, metrics: Sequence[str]) -> Iterator[Asked]:
    image = _Source(session)
    for turn in session.turns:
        for metric in metrics:
            unit = Unit(0, turn.number, metric, "", image.sha256)
            name = cast(MetricName | MeasureName, metric)
            yield unit, Question(name, session, turn.number, [image] * (turn.number + 1))
