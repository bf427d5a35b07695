"""What a reviewer sees of one question, as escaped HTML. Nothing of the automatic verdict is in it unasked."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from micebench.annotation.human_labels import Asked
from micebench.annotation.labeling_session import Desk, Seat
from micebench.errors import MicebenchError
from micebench.judges.human import ANSWERS, QUESTIONS
from micebench.report.formatting import STATUS_WORDS, number, visible
from micebench.report.html import page_environment
from micebench.sessions import Session
from micebench.store.run_dir import RunDir
from micebench.store.session_records import parse_session
from micebench.verdicts import Status, Verdict

if TYPE_CHECKING:
    pass

_SMALL = 96  # px: up to here an image is drawn pixel by pixel, at a whole multiple of its size
_BIG, _MIDDLE, _LITTLE = (336, 560), (240, 272), (144, 180)  # CSS px at most, of small images and of others
_WORDS = 3000


@dataclass(frozen=True, slots=True)
class Figure:
    """One image of the dialogue; `image` None: it is missing."""

    title: str
    instruction: str
    image: str | None
    width: int
    pixelated: bool
    part: str


class Views:
    """Renders what is at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._run = desk.run
        self._blobs = RunDir(desk.run.path).blobs
        self._environment = page_environment("micebench.annotation")
        self._session = lru_cache(maxsize=64)(self._read_session)
        self._size = lru_cache(maxsize=4096)(self._read_size)

    def stage(self, seat: Seat) -> str:
        """The question on the screen, or the page that says that all are answered."""
        common = {**self._head(seat), "view": seat.view}
        if seat.place is None:
            return self._environment.get_template("done.html.j2").render(**common, rule=self._desk.queue.rule)
        asked = self._desk.queue.items[seat.place]
        session = self._session(asked.session)
        turn = session.turns[asked.turn - 1]
        question = QUESTIONS[asked.metric]
        given = self._desk.label(seat, seat.place)
        return self._environment.get_template("stage.html.j2").render(
            **common,
            metric=asked.metric,
            kind="grades" if question.graded else "yes-no",
            question=question.question.format(turn=asked.turn),
            hint=question.hint,
            session=visible(session.id, 120),
            repeat=asked.repeat if self._run.manifest.repeats > 1 else None,
            turn=asked.turn,
            turns=len(session.turns),
            track=session.track,
            edit_type=visible(turn.edit_type or "", 60),
            rule=visible(session.rule.text, _WORDS) if session.rule else "",
            instruction=visible(turn.instruction, _WORDS),
            meaning=visible(turn.formatted or "", _WORDS),
            wanted=visible(turn.target_description or "", _WORDS),
            objects=[visible(name, 120) for name in turn.unchanged_objects or ()]
            if asked.metric == "CC.object"
            else [],
            figures=self._figures(asked, session, question.compare),
            given=said(given.record.verdict, asked.metric) if given else "",
            note=visible(given.record.reason, 500) if given else "",
            verdict=self._verdict(seat, seat.place),
        )

    def last(self, seat: Seat) -> str:
        """The label given last, with the way back, and what the judge said if the reviewer asked for it."""
        template = self._environment.get_template("last.html.j2")
        if seat.last is None:
            return template.render(given="")
        asked = self._desk.queue.items[seat.last]
        given = self._desk.label(seat, seat.last)
        return template.render(
            title=f"{visible(asked.session, 60)}, turn {asked.turn}",
            given=said(given.record.verdict, asked.metric) if given else "",
            verdict=self._verdict(seat, seat.last) if seat.last != seat.place else None,
            blind=self._desk.blind,
            judged=asked in self._desk.queue.automatic,
        )

    def welcome(self, message: str = "") -> str:
        """What is ahead, for a reviewer who has not said their name; `message`: why an earlier name will not do."""
        queue = self._desk.queue
        asked = dict.fromkeys(item.metric for item in queue.items)
        return self._environment.get_template("welcome.html.j2").render(
            **self._subject(),
            count=len(queue.items),
            order=queue.rule,
            questions=[(name, QUESTIONS[name].question.format(turn="k")) for name in asked],
            message=visible(message, 600),
        )

    def alert(self, message: str) -> str:
        """Something went wrong, said where the last label is otherwise said to be saved."""
        return self._environment.from_string('<p class="mb-last" role="alert">{{ message }}</p>').render(
            message=visible(message, 600)
        )

    def note(self, seat: Seat) -> str:
        """The note kept with the label of the question on the screen."""
        given = self._desk.label(seat, seat.place) if seat.place is not None else None
        return given.record.reason if given else ""

    def _subject(self) -> dict[str, Any]:
        """What is reviewed; blind reviewers are not told which model made the images."""
        return {
            "task": visible(self._run.manifest.task, 80),
            "model": "" if self._desk.blind else visible(self._run.manifest.model, 80),
            "blind": self._desk.blind,
        }

    def _head(self, seat: Seat) -> dict[str, Any]:
        done, count = self._desk.done(seat.reviewer), len(self._desk.queue.items)
        share = round(100 * done / count, 2)
        return {**self._subject(), "who": seat.reviewer, "done": done, "count": count, "share": share}

    def _verdict(self, seat: Seat, place: int) -> dict[str, str] | None:
        verdict = self._desk.automatic(seat, place)
        if verdict is None:
            if not self._desk.blind:
                return {
                    "judge": visible(self._run.manifest.judge or "no judge", 80),
                    "says": "not judged",
                    "why": "",
                    "mood": "plain",
                }
            return None
        given = self._desk.label(seat, place)
        return {
            "judge": visible(self._run.manifest.judge or "", 80),
            "says": said(verdict, self._desk.queue.items[place].metric),
            "why": visible(verdict.reason, 600),
            "mood": _mood(verdict, given.record.verdict if given else None),
        }

    def _figures(self, asked: Asked, session: Session, compare: str) -> list[Figure]:
        edits = self._run.edit_index()
        position = edits.sessions.position[asked.session]
        row = position * edits.repeats + asked.repeat
        composed = edits.cause.context == "composed"
        before = 0 if compare == "source" or composed else asked.turn - 1
        found: list[Figure] = []
        for turn in range(asked.turn + 1):
            digest = edits.image(row, turn) if turn else edits.sessions.source(position)
            part = "after" if turn == asked.turn else "before" if turn == before else ""
            limits = _MIDDLE if compare == "all" else _BIG if part else _LITTLE
            size = self._size(digest) if digest else None
            found.append(
                Figure(
                    title=f"Turn {turn}" if turn else "Source",
                    instruction=visible(session.turns[turn - 1].instruction, _WORDS) if turn else "",
                    image=digest if size else None,
                    width=_width(size, limits) if size else limits[0],
                    pixelated=bool(size and max(size) <= _SMALL),
                    part="" if compare == "all" and part == "before" else part,
                )
            )
        return found

    def _read_session(self, name: str) -> Session:
        index = self._run.edit_index().sessions
        line = next(index.lines([index.position[name]]))
        return parse_session(line, self._run.manifest.task, self._blobs)

    def _read_size(self, digest: str) -> tuple[int, int] | None:
        """(width, height) from a PNG's header; None if the image is missing or damaged."""
        try:
            png = self._run.blob(digest)
        except MicebenchError:
            return None
        return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def said(verdict: Verdict, metric: str) -> str:
    """A verdict about a metric in a word or two."""
    if verdict.value is None:
        words = {answer.status: answer.word.lower() for answer in ANSWERS.values() if answer.value is None}
        return words.get(verdict.status) or STATUS_WORDS[verdict.status.value]
    if verdict.value in (0.0, 1.0) and not QUESTIONS[metric].graded:
        return "yes" if verdict.value else "no"
    return f"{number(100 * verdict.value)} %"


def _mood(verdict: Verdict, given: Verdict | None) -> str:
    if verdict.status != Status.OK or given is None or given.value is None:
        return "plain"
    return "same" if ((verdict.value or 0.0) > 0.5) == (given.value > 0.5) else "other"


def _width(size: tuple[int, int], limits: tuple[int, int]) -> int:
    longest = max(size)
    if longest <= _SMALL:
        return size[0] * max(1, limits[0] // longest)
    return round(size[0] * min(1.0, limits[1] / longest))
