"""Where images do not follow from one another, turn success is that of all instructions in one image."""

import numpy as np
import pytest

from micebench.metrics import STATUS_CODES, VerdictTable, summarize
from micebench.metrics.edival import Rate, edival_rates

OK, NA, ERROR = (STATUS_CODES.index(name) for name in ("ok", "not_applicable", "error"))
KINDS = ["subject_add", "color_alter", "subject_add"]


def table(following, earlier, sessions=None):
    """`following` (R, 3); `earlier` number -> (R, 3); values 0, 1, None (error), "-" (not applicable)."""
    metrics = {"IF": following} | {f"IF.{number}": said for number, said in earlier.items()}
    values, status = {}, {}
    for name, rows in metrics.items():
        values[name] = np.array([[v if v in (0, 1) else 0 for v in row] for row in rows], float)
        status[name] = np.array(
            [[OK if v in (0, 1) else NA if v == "-" else ERROR for v in row] for row in rows], np.int8
        )
    count = len(following)
    names = sessions or [f"s{number}" for number in range(count)]
    return VerdictTable(
        np.array(names), np.array(["plain"] * count), np.array([KINDS] * count), np.full(count, 3), values, status
    )


def success(made, turn):
    entry = summarize(made, resamples=100)["metrics"]["turn_success"][str(turn)]
    return entry["value"], entry["n"], entry["at_least"], entry["at_most"]


@pytest.mark.parametrize(
    ("own", "first", "second", "wanted"),
    [
        ((0, 0, 1), ("-", 0, 1), ("-", "-", 1), (100.0, 1, 100.0, 100.0)),
        ((1, 1, 1), ("-", 1, 0), ("-", "-", 1), (0.0, 1, 0.0, 0.0)),
        ((1, 1, 1), ("-", 1, 1), ("-", "-", 0), (0.0, 1, 0.0, 0.0)),
        ((1, 1, 0), ("-", 1, 1), ("-", "-", 1), (0.0, 1, 0.0, 0.0)),
        ((1, 1, 1), ("-", 1, None), ("-", "-", 1), (None, 0, 0.0, 100.0)),
        ((1, 1, 1), ("-", 1, None), ("-", "-", 0), (0.0, 1, 0.0, 0.0)),
        ((1, 1, None), ("-", 1, 1), ("-", "-", 1), (None, 0, 0.0, 100.0)),
    ],
    ids=[
        "earlier images do not matter",
        "the first is undone",
        "the second is undone",
        "its own failed",
        "one unknown",
        "one unknown, another failed",
        "its own unknown",
    ],
)
def test_success_in_the_last_image(own, first, second, wanted):
    assert success(table([own], {1: [first], 2: [second]}), 3) == wanted


def test_a_session_fails_first_where_its_image_does():
    own = [(1, 1, 1), (1, 1, 1), (1, 0, 1), (1, None, 1), (1, 1, 1), (1, 1, 1)]
    first = [("-", 1, 0), ("-", 0, 1), ("-", 1, 1), ("-", 0, 1), ("-", None, 0), ("-", 1, 1)]
    second = [("-", "-", 1)] * 6
    found = summarize(table(own, {1: first, 2: second}), resamples=100)["first_failure"]
    assert found == {"1": 0, "2": 3, "3": 1, "none": 1, "undetermined": 1}


def test_without_earlier_verdicts_every_turn_counts_in_its_own_image():
    assert success(table([(0, 0, 1)], {}), 3)[0] == 0.0


def test_rates_pool_instructions_and_average_repeats_first():
    made = table(
        [(1, 1, 1), (0, 1, 1), (1, 0, None)],
        {1: [("-", 1, 0), ("-", 1, 1), ("-", 0, 1)], 2: [("-", "-", 1), ("-", "-", 1), ("-", "-", 0)]},
        sessions=["a", "a", "b"],
    )
    rates = edival_rates(made)
    assert rates.singlepass
    assert rates.marginal_success == (Rate(75.0, 2, 2), Rate(50.0, 2, 2), Rate(100.0, 1, 2))
    # image 3: of session a (1/2 + 1 + 1), of session b (1 + 0), its last one unknown
    assert rates.task_success[2] == Rate(100 * 3.5 / 5, 5, 6)
    assert rates.edit_types["subject_add"][2] == Rate(100 * 2.5 / 3, 3, 4)
    assert rates.edit_types["color_alter"] == (Rate(None, 0, 0), Rate(50.0, 2, 2), Rate(50.0, 2, 2))
    assert rates.image_success == (Rate(75.0, 2, 2), Rate(50.0, 2, 2), Rate(25.0, 2, 2))
    assert rates.overall == (Rate(None, 0, 2),) * 3
    reversed_rows = edival_rates(made.select(np.array([2, 1, 0])))
    assert reversed_rows == rates
