"""The lines of the two journals, as objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from micebench.store.forms import check_edit, check_verdict
from micebench.verdicts import Status, Verdict


@dataclass(frozen=True, slots=True)
class EditRecord:
    """One produced image, or why there is none.

    Attributes:
        key: hash of everything that caused the edit.
        repeat: 0-based.
        turn: 1-based.
        status: ``refused``: the editor declined, which is its answer; ``failed``: it could not be done.
        image: sha256 of the output's PNG if status is ``ok``, else None.
        seed: the seed the editor was given.
        reason: one line; why there is no image.
        usage: what the editor said about cost (USD), tokens, latency (seconds), attempts ...; JSON.
    """

    key: str
    session: str
    repeat: int
    turn: int
    status: Literal["ok", "failed", "refused"]
    image: str | None
    seed: int
    reason: str = ""
    usage: Mapping[str, Any] | None = None

    def to_line(self) -> dict[str, Any]:
        line: dict[str, Any] = {
            "key": self.key,
            "session": self.session,
            "repeat": self.repeat,
            "turn": self.turn,
            "status": self.status,
            "image": self.image,
            "seed": self.seed,
            "reason": self.reason,
        }
        if self.usage is not None:
            line["usage"] = dict(self.usage)
        return line

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> "EditRecord":
        """Raises ValueError on a line of another form (`check_edit`)."""
        check_edit(line)
        return cls(**line)


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """One verdict about one edit; `value` is set exactly when `status` is ``ok``.

    Attributes:
        key: hash of the edit, its image, the judge and the metric.
        edit: key of the judged edit.
        votes, raw, usage, latency_s: as in `micebench.verdicts.Verdict`.
        attempt: as in `micebench.verdicts.Question`.
    """

    key: str
    edit: str
    session: str
    repeat: int
    turn: int
    metric: str
    status: Status
    value: float | None
    reason: str = ""
    votes: tuple[float, ...] = ()
    raw: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    latency_s: float | None = None
    attempt: int = 0

    def to_line(self) -> dict[str, Any]:
        line: dict[str, Any] = {
            "key": self.key,
            "edit": self.edit,
            "session": self.session,
            "repeat": self.repeat,
            "turn": self.turn,
            "metric": self.metric,
            "status": self.status.value,
            "value": self.value,
            "reason": self.reason,
        }
        if self.votes:
            line["votes"] = list(self.votes)
        if self.raw:
            line["raw"] = list(self.raw)
        if self.usage is not None:
            line["usage"] = dict(self.usage)
        if self.latency_s is not None:
            line["latency_s"] = self.latency_s
        if self.attempt:
            line["attempt"] = self.attempt
        return line

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> "VerdictRecord":
        """Raises ValueError on a line of another form (`check_verdict`)."""
        check_verdict(line)
        fields = dict(line)
        fields["status"] = Status(fields["status"])
        fields["votes"] = tuple(fields.get("votes", ()))
        fields["raw"] = tuple(fields.get("raw", ()))
        return cls(**fields)

    @property
    def verdict(self) -> Verdict:
        """The verdict as the judge gave it."""
        return Verdict(self.status, self.value, self.reason, self.votes, self.raw, self.usage, self.latency_s)
