"""The page and the figure of a watched training: the same for the same log, and nothing in them is markup."""

import io
import random

import pytest
from PIL import Image
from rich.console import Console

from micebench.comparison.gate import GateOptions
from micebench.monitor.report import best, figure, print_watch, render, rows
from micebench.monitor.watch_log import Entry, WatchLog
from tests.report.runs import BREAKOUT, RTL, SCRIPT

PNG = b"\x89PNG\r\n\x1a\n"


def log(entries: list[Entry], metric: str = "overall") -> WatchLog:
    value = {"value": 52.0, "low": 48.3, "high": 55.6, "n": 720, "of": 720}
    return WatchLog(
        base="runs/mice-mini--kontext", base_key="x", model="kontext", task="mice-mini", judge="exact",
        gate=GateOptions(metric=metric), metric=metric, turn="3", value=value, entries=entries,
    )  # fmt: skip


def entry(
    name: str,
    difference: float | None,
    outcome: str = "passed",
    step: int | None = None,
    why: str = "",
    metric: str = "overall",
) -> Entry:
    cell = value = None
    if difference is not None:
        cell = {
            "a": 52.0,
            "b": 52 + difference,
            "difference": difference,
            "low": difference - 3,
            "high": difference + 3,
        }
        cell |= {"metric": metric, "turn": "3", "p": 0.04, "mde": 4.1, "n": 720, "of": 720}
        value = {"value": 52 + difference, "low": 49 + difference, "high": 55 + difference, "n": 720, "of": 720}
    return Entry(
        name=name, label=name, kind="adapter", step=step, signature="", held="", outcome=outcome,
        reasons=[why] if why else [], cell=cell, value=value,
    )  # fmt: skip


def training(count: int = 9) -> list[Entry]:
    draw = random.Random(3)
    found = []
    for number in range(count):
        difference = 9 - 0.9 * (number - 4) ** 2 + draw.uniform(-2, 2)
        outcome = "regressed" if difference < -4 else "passed"
        found.append(entry(f"checkpoint-{250 * (number + 1)}", difference, outcome, 250 * (number + 1)))
    return found


def test_equal_logs_give_equal_bytes() -> None:
    first = figure(log(training()))
    assert first.startswith(PNG)
    assert first == figure(log(training()))
    assert first != figure(log(training()[:-1]))
    assert render(log(training()), first) == render(log(training()), first)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry("a", None, "broken", why="its files are torn")],
        [entry("a", 0.0)],
        [entry("a", 1.0), entry("b", -9.0, "regressed"), entry("c", 0.0, "drifted"), entry("d", 2.0, "incomplete")],
        [entry(f"checkpoint-{number}", 0.1 * number, step=number) for number in range(40)],
        [entry("best", 1.0), entry("best-2", 2.0, step=2)],
    ],
    ids=["nothing yet", "only broken", "one", "all outcomes", "many", "some without a step"],
)
def test_any_log_can_be_drawn(entries: list[Entry]) -> None:
    picture = figure(log(entries))
    with Image.open(io.BytesIO(picture)) as image:
        assert image.width > 800
    page = render(log(entries), picture)
    assert page.count("<tr>") == 1 + len(entries)


def test_numbers_are_those_of_the_log() -> None:
    (row,) = rows(log([entry("a", -3.26, "regressed", why="it got worse")]))
    assert (row["value"], row["interval"]) == ("48.7", "45.7–51.7")
    assert (row["difference"], row["ends"], row["p"]) == ("-3.3", "-6.3 to -0.3", "0.040")
    stream = io.StringIO()
    print_watch(log([entry("a", -3.26, "regressed")]), Console(file=stream, width=120))
    assert "48.7" in stream.getvalue()
    assert "regressed" in stream.getvalue()


def test_the_best_is_the_best_in_the_metrics_own_direction() -> None:
    for metric, name in (("overall", "b"), ("quality_drift", "c")):
        found = [entry(letter, by, metric=metric) for letter, by in (("a", 1.0), ("b", 4.0), ("c", -2.0))]
        found += [entry("d", None, "broken"), *(entry("e", by, "incomplete", metric=metric) for by in (9.0, -9.0))]
        leading = best(log(found, metric))
        assert leading is not None
        assert leading.label == name
    assert best(log([])) is None


def test_hostile_names_stay_text() -> None:
    found = [entry(SCRIPT, 1.0, why=BREAKOUT), entry(RTL, None, "broken", why=SCRIPT)]
    page = render(log(found), figure(log(found)))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert page.count("<img ") == 1
