"""A small run with everything a report must survive, written with the store's own functions."""

import io
import random
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from micebench.engine.run_reader import Run, open_run
from micebench.sessions import ImageFile, Rule, Session, Turn
from micebench.store.journal import Journal
from micebench.store.keys import EditCause, derive_seed, verdict_key
from micebench.store.manifest import Manifest
from micebench.store.records import EditRecord, VerdictRecord
from micebench.store.run_dir import RunDir, write_json, write_manifest
from micebench.store.session_records import row_hash, session_line
from micebench.verdicts import METRICS, Status

TASK, EDITOR, JUDGE = "mice-mini", "e" * 64, "a" * 64
TYPES = ("color_alter", "subject_add", "subject_remove", "count_change", "background_change")
COLOURS = ("#c2452d", "#2d6cc2", "#3f9b57", "#d8a522", "#7d4fa3")

SCRIPT = "<script>alert('instruction')</script>"
BREAKOUT = "\"'><img src=x onerror=alert(1)>"
STYLE = "</style></script><h1 id=planted>planted</h1>"
RTL = "paint \u202eDER\u202c it \u2066x"
CONTROL = "beep\x07 \x1b[31mred\x1b[0m \x00 \x9b2J"
LONG = "word " * 2000
MARKUP = "[bold red]not markup[/bold red] [/]"
HOSTILE = (SCRIPT, BREAKOUT, STYLE, RTL, CONTROL, LONG, MARKUP)


@dataclass
class Plan:
    """One session and how it goes: `answers` (turn, metric) -> (status, value, reason) beside the default
    of all passing; `failed` turn -> reason of the editor's failure, `unjudged` turns without verdicts."""

    session: Session
    followed: tuple[bool, ...]
    answers: dict[tuple[int, str], tuple[Status, float | None, str]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unjudged: frozenset[int] = frozenset()


def picture(seed: int, turn: int, size: tuple[int, int] = (48, 48)) -> bytes:
    """A drawing that differs for each (seed, turn), as PNG."""
    rng = random.Random(seed)
    width, height = size
    image = Image.new("RGB", size, rng.choice(("#e9e4d8", "#d7e3ea", "#e3ead7")))
    draw = ImageDraw.Draw(image)
    for place in range(2 + turn):
        x, y = rng.randrange(width * 2 // 3), rng.randrange(height * 2 // 3)
        box = (x, y, x + width // 4, y + height // 4)
        (draw.ellipse if place % 2 else draw.rectangle)(box, fill=rng.choice(COLOURS))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_session(number: int, track: str, turns: int, **changes: object) -> Session:
    texts = changes.pop("instructions", None) or [
        f"Make the circle number {number} {COLOURS[(number + k) % 5]} and keep turn {k}" for k in range(turns)
    ]
    fields = {
        "id": f"{track}-{number:03d}",
        "rule": Rule("From now on everything edited is red", "color", "red") if track == "cm" else None,
        "category": "shapes",
    } | changes
    return Session(
        task=TASK,
        track=track,
        image=ImageFile(f"{number}.png"),
        turns=tuple(
            Turn(
                k + 1,
                text,
                TYPES[(number + k) % len(TYPES)],
                formatted=f"Change the color of [circle {k}] to [red]",
            )
            for k, text in enumerate(texts)
        ),
        **fields,
    )


def write_run(folder: Path, plans: list[Plan], *, turns: int = 3, size: tuple[int, int] = (48, 48)) -> Run:
    """Write `plans` as a finished run directory."""
    run = RunDir(folder)
    cause = EditCause(TASK, EDITOR, "history", 0)
    write_manifest(run, Manifest(
        task=TASK, task_version=1, task_hash="b" * 64, task_card={"id": TASK}, model="clumsy", editor_hash=EDITOR,
        editor_card={"id": "clumsy"}, judge="exact", judge_hash=JUDGE, judge_card={"id": "exact", "version": 2},
        metrics=list(METRICS), context="history", seed=0, repeats=1, n_sessions=len(plans), turns=turns,
        content_consistency="mice", versions={"python": "3.11.7", "micebench": "0.1.0"},
        created="2026-01-02T03:04:05+00:00",
    ))  # fmt: skip
    lines, edits, verdicts = [], [], []
    for number, plan in enumerate(plans):
        line = session_line(plan.session)
        line["source"] = line["image"] = run.blobs.put(picture(number, 0, size))
        lines.append(line)
        _play(number, plan, line, cause, run.blobs, size, edits, verdicts)
    for path, records in (
        (run.sessions, lines), (run.edits, edits), (run.verdicts("exact", JUDGE), verdicts)
    ):  # fmt: skip
        with Journal(path) as journal:
            journal.append(records)
    finished = open_run(folder)
    write_json(run.summary, finished.summary())
    return open_run(folder)


def _play(number, plan, line, cause, blobs, size, edits, verdicts) -> None:
    images: list[str] = []
    for turn in range(1, len(plan.session.turns) + 1):
        key = cause.edit_key(row_hash(line), line["source"], 0, turn, images)
        failed = plan.failed.get(turn)
        image = None if failed is not None else blobs.put(picture(number, turn, size))
        edits.append(EditRecord(
            key, plan.session.id, 0, turn, "ok" if image else "failed", image,
            derive_seed(TASK, plan.session.id, turn, 0, 0), failed or "",
        ).to_line())  # fmt: skip
        if image is None:
            return
        images.append(image)
        if turn in plan.unjudged:
            continue
        for metric in METRICS:
            status, value, reason = plan.answers.get((turn, metric)) or _usual(plan, number, turn, metric)
            verdicts.append(VerdictRecord(
                verdict_key(key, image, JUDGE, metric), key, plan.session.id, 0, turn, metric, status, value, reason
            ).to_line())  # fmt: skip


def _usual(plan: Plan, number: int, turn: int, metric: str) -> tuple[Status, float | None, str]:
    followed = plan.followed[turn - 1]
    if metric == "IF":
        return Status.OK, float(followed), "the circle is red" if followed else "the circle is still blue"
    if metric == "GA":
        kept = all(plan.followed[:turn])
        return Status.OK, float(kept), "complies with turns 1..k" if kept else "an earlier change is lost"
    if metric == "destroyed":
        return Status.OK, 0.0, "all objects are readable"
    return Status.OK, round(1 - 0.01 * turn * (1 + number % 7), 3), "mean colour distance"


def ordinary_plans() -> list[Plan]:
    """12 sessions of 3 turns on three tracks: passes, failures, gaps, failed edits, hostile text."""
    yes = (True, True, True)
    s = make_session
    return [
        Plan(s(0, "plain", 3), yes),
        Plan(s(1, "plain", 3), (True, False, True)),
        Plan(s(2, "plain", 3, instructions=[SCRIPT, BREAKOUT, STYLE]), yes),
        Plan(s(3, "plain", 3, id=BREAKOUT, category=STYLE), (False, True, True), answers={
            (1, "IF"): (Status.OK, 0.0, BREAKOUT), (1, "GA"): (Status.OK, 0.25, SCRIPT),
            (2, "IF"): (Status.ERROR, None, STYLE), (2, "quality"): (Status.REFUSED, None, LONG),
        }),
        Plan(s(4, "cm", 3), yes),
        Plan(s(5, "cm", 3), (True, True, False)),
        Plan(s(6, "cm", 3, rule=Rule(STYLE + RTL, "color", "red"), instructions=[RTL, CONTROL, LONG]), yes),
        Plan(s(7, "cm", 3), yes, failed={2: "editor raised ValueError: " + MARKUP + CONTROL}),
        Plan(s(8, "cu", 3), (False, False, False)),
        Plan(s(9, "cu", 3, instructions=[MARKUP, "הפוך את העיגול לאדום", "把圆形变成红色"]), yes),
        Plan(s(10, "cu", 3), (True, True, False), answers={(2, "IF"): (Status.UNPARSED, None, "said maybe")} | {
            (turn, "CC.object"): (Status.NOT_APPLICABLE, None, "no unchanged object is left") for turn in (2, 3)
        } | {(1, "GA"): (Status.INVALID_ANNOTATION, None, "cu.jsonl:7 formatted: not bracketed")}),
        Plan(s(11, "cu", 3), yes, unjudged=frozenset({3})),
    ]  # fmt: skip
