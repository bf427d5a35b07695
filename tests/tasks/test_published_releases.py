"""The real annotation files, audited: counts published or established for MICE-Bench and EdiVal-Bench."""

import hashlib
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from micebench.cards import TaskCard, load_card
from micebench.sessions import Session
from micebench.tasks.audit.report import audit
from micebench.tasks.dataset import iter_sessions
from micebench.tasks.load import load_task, open_sessions

TYPES = [
    "subject_add", "subject_remove", "subject_replace", "color_alter", "material_alter", "text_change",
    "position_change", "count_change", "background_change",
]  # fmt: skip
FOLDERS = {"mice": "mice", "mice-cm": "mice", "mice-cu": "mice", "mice-cm-train": "mice", "edival": "edival"}


@cache
def audited(name: str, shared: Path) -> dict[str, Any]:
    return audit(load_card(TaskCard, name), shared / "data" / FOLDERS[name])


def only_set(name: str, shared: Path) -> dict[str, Any]:
    (counts,) = audited(name, shared)["sets"]
    return counts


@cache
def sessions(name: str, shared: Path) -> list[Session]:
    return list(open_sessions(load_card(TaskCard, name), shared / "data" / FOLDERS[name]))


def lost(name: str, shared: Path) -> Counter[tuple[str, str]]:
    """(metric, kind) -> turns."""
    return Counter(
        (metric, reason.split(": ")[1])
        for session in sessions(name, shared)
        for turn in session.turns
        for metric, reason in turn.invalid.items()
    )


@pytest.mark.parametrize(
    ("file", "start"),
    [("mice/cm/test_metadata.jsonl", "73086b4f"), ("mice/cm/train_metadata.jsonl", "3d101374"),
     ("mice/cu/test_metadata.jsonl", "89bfb6bd"), ("edival/instructions.csv", "1c17f9f5")],
)  # fmt: skip
def test_these_are_the_files_the_counts_are_for(shared: Path, file: str, start: str) -> None:
    assert hashlib.sha256((shared / "data" / file).read_bytes()).hexdigest().startswith(start)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_row_of_the_releases_is_read(shared: Path, name: str) -> None:
    result = audited(name, shared)
    expected = {"mice": 720, "mice-cm": 360, "mice-cu": 360, "mice-cm-train": 1850, "edival": 572}[name]
    assert (result["sessions"], result["turns"], result["errors"]) == (expected, 3 * expected, 0)
    assert result["images"]["missing"] + result["images"]["present"] == expected


@pytest.mark.parametrize(
    ("name", "totals", "by_turn"),
    [
        ("mice-cm", "152 131 115 69 56 119 113 133 192",
         "35/61/56 33/54/44 31/40/44 24/28/17 12/23/21 35/46/38 28/36/49 34/40/59 128/32/32"),
        ("mice-cu", "94 201 65 396 146 28 25 89 36",
         "65/29/0 29/0/172 65/0/0 118/179/99 58/60/28 0/28/0 25/0/0 0/64/25 0/0/36"),
        ("mice-cm-train", "861 768 644 340 282 701 601 703 650", None),
        ("edival", "237 205 166 186 188 188 163 191 192",
         "67/77/93 75/69/61 54/57/55 56/73/57 66/50/72 64/70/54 52/63/48 73/58/60 65/55/72"),
    ],
)  # fmt: skip
def test_edit_types_per_turn(shared: Path, name: str, totals: str, by_turn: str | None) -> None:
    types = only_set(name, shared)["edit_types"]
    assert [types[kind]["total"] for kind in TYPES] == [int(number) for number in totals.split()]
    if by_turn is not None:
        found = ["/".join(str(types[kind]["by_turn"].get(turn, 0)) for turn in "123") for kind in TYPES]
        assert found == by_turn.split()


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("mice-cm", {"TTT": 168, "TTF": 32, "TFF": 32, "FFF": 128}),
        ("mice-cu", {"TTT": 324, "TTF": 36}),
        ("mice-cm-train", {"TTT": 1200, "TTF": 266, "TFF": 241, "FFF": 143}),
        ("edival", {"TTT": 380, "TTF": 72, "TFF": 55, "FFF": 65}),
    ],
)
def test_background_flags_follow_the_edit_types(shared: Path, name: str, patterns: dict[str, int]) -> None:
    assert only_set(name, shared)["background_flags"] == patterns
    assert not {"flag", "pool"} & set(audited(name, shared)["kinds"])


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("mice-cm", {"text added": 61, "text replaced": 51, "add with relation": 140, "add without relation": 12}),
        ("mice-cu", {"text added": 28, "add with relation": 94}),
        ("mice-cm-train",
         {"text added": 375, "text replaced": 231, "add with relation": 790, "add without relation": 71}),
        ("edival", {"text added": 165, "text replaced": 23, "add with relation": 218, "add without relation": 19}),
    ],
)  # fmt: skip
def test_forms_of_text_and_add(shared: Path, name: str, forms: dict[str, int]) -> None:
    assert only_set(name, shared)["forms"] == forms


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mice-cm", {"1": 5, "2": 27, "3": 39, "4": 32, "5": 30}),
        ("mice-cu", {"1": 9, "2": 22, "3": 20, "4": 14, "5": 24}),
        ("edival", {"3": 65, "4": 56, "5": 70}),
    ],
)
def test_requested_counts(shared: Path, name: str, counts: dict[str, int]) -> None:
    assert only_set(name, shared)["requested_counts"] == counts


def test_cm_rules(shared: Path) -> None:
    rules = only_set("mice-cm", shared)["rules"]
    assert rules["attributes"] == {"color": 164, "material": 196}
    assert rules["values"] == {"color": 15, "material": 48}
    assert rules["distinct"] == 149
    openers = Counter({("Apply" if "Apply" in text else text[:4], "... color" in text): count
                       for text, count in rules["templates"].items()})  # fmt: skip
    assert openers == {
        ("Apply", True): 61, ("Apply", False): 70, ("Set ", True): 52, ("Set ", False): 64,
        ("From", True): 51, ("From", False): 62,
    }  # fmt: skip
    train = only_set("mice-cm-train", shared)["rules"]
    assert train["attributes"] == {"color": 915, "material": 935}
    assert train["distinct"] == 192
    assert len(train["templates"]) == 6


def test_a_rule_never_governs_the_attribute_that_a_turn_edits(shared: Path) -> None:
    for session in sessions("mice-cm", shared):
        assert session.rule is not None
        assert f"{session.rule.attribute}_alter" not in {turn.edit_type for turn in session.turns}


def test_cu_references(shared: Path) -> None:
    counts = only_set("mice-cu", shared)
    assert counts["references"]["by_pronoun"] == {
        "its": 336, "it": 201, "them": 55, "their": 48, "there": 2, "none": 78,
    }  # fmt: skip
    assert counts["references"]["sessions_without"] == 18
    assert counts["edit_type_sequences"] == 12
    assert audited("mice-cu", shared)["kinds"]["reference lost"] == 9


def test_nothing_left_to_measure_in_one_mice_turn_in_eight(shared: Path) -> None:
    """The published code needs an unchanged object; where the background still counts, we measure that."""
    cm, cu = (only_set(name, shared)["not_measurable"] for name in ("mice-cm", "mice-cu"))
    assert cm == {"no unchanged object": 144, "background changed": 480, "neither": 71}
    assert cu == {"no unchanged object": 133, "background changed": 36, "neither": 12}
    assert round((144 + 133) / 2160 * 8, 1) == 1.0


def test_mice_test_invalid_annotations(shared: Path) -> None:
    assert lost("mice-cm", shared) == {
        ("IF", "unparseable"): 7,  # empty new text: 3 on an object, 4 on the image
        ("GA", "empty order"): 5,  # the 4 on the image, and the turn after one of them
        ("IF", "residue"): 2,
        ("GA", "residue"): 2,
        ("CC.background", "residue"): 2,
    }
    assert lost("mice-cu", shared) == {
        ("IF", "removed before"): 29,
        ("IF", "residue"): 3,
        ("GA", "residue"): 3,
        ("CC.background", "residue"): 3,
    }


def test_mice_test_corrupt_rows_are_the_known_ones(shared: Path) -> None:
    found = {
        (session.provenance, turn.number)
        for session in sessions("mice", shared)
        for turn in session.turns
        if ": residue: " in turn.invalid.get("IF", "")
    }
    cu = "cu/test_metadata.jsonl:207"
    assert found == {
        ("cm/test_metadata.jsonl:25", 3), ("cm/test_metadata.jsonl:129", 3), (cu, 1), (cu, 2), (cu, 3),
    }  # fmt: skip


def test_cu_remove_add_remove_sessions_are_the_29(shared: Path) -> None:
    triple = ("subject_remove", "subject_add", "subject_remove")
    for session in sessions("mice-cu", shared):
        is_triple = tuple(turn.edit_type for turn in session.turns) == triple
        assert ("removed before" in session.turns[1].invalid.get("IF", "")) == is_triple
    assert only_set("mice-cu", shared)["edit_types"]["subject_add"]["by_turn"]["2"] == 29


def test_mice_train_leaks_are_unparseable_here(shared: Path) -> None:
    """The published parser accepts 2 leaked model thoughts because they contain a form; ours is anchored."""
    found = lost("mice-cm-train", shared)
    assert found["IF", "unparseable"] == 701 - 375 - 231 + 2  # every empty new text, and the two leaks
    assert found["GA", "residue"] == 3  # one leak in turn 2, one in turn 3
    assert set(found) == {("IF", "unparseable"), ("GA", "residue"), ("GA", "empty order")}


def test_edival_invalid_annotations(shared: Path) -> None:
    assert lost("edival", shared) == {("CC.object", "still unchanged"): 10, ("IF", "not in pool"): 1}
    hit = {
        session.id for session in sessions("edival", shared) if any("CC.object" in t.invalid for t in session.turns)
    }
    assert hit == {"90", "94", "336", "480", "502", "570"}
    (pool,) = [session.id for session in sessions("edival", shared) if any("IF" in t.invalid for t in session.turns)]
    assert pool == "487"


def test_edival_paraphrased_targets(shared: Path) -> None:
    """8 turns name an object otherwise than its pool: 7 by some of its words, 1 ("blue eye") by others."""
    notes = [p for p in audited("edival", shared)["problems"] if p["kind"] == "other name"]
    assert {(problem["session"], problem["turn"]) for problem in notes} == {
        ("82", 3), ("90", 3), ("94", 1), ("336", 1), ("480", 1), ("502", 2), ("570", 3),
    }  # fmt: skip


def test_edival_quotes_and_full_stops_are_no_faults(shared: Path) -> None:
    text = only_set("edival", shared)["text"]
    assert text["turns with the instruction in stray double quotes"] == 182
    assert text["turns with bracketed text ending in a full stop"] == 88
    assert "unparseable" not in audited("edival", shared)["kinds"]


@pytest.mark.parametrize(
    ("name", "turns", "without", "pronoun", "gone"),
    [
        ("mice-cm", 192, 8, 0, 35),
        ("mice-cu", 36, 2, 10, 10),  # 7 more rows add "them" to the names, which is no object that is gone
        ("mice-cm-train", 650, 22, 0, 253),
        ("edival", 192, 7, 0, 75),
    ],
)
def test_remain_clauses(shared: Path, name: str, turns: int, without: int, pronoun: int, gone: int) -> None:
    assert only_set(name, shared)["remain_clauses"] == {
        "background turns": turns,
        "without a remain clause": without,
        "by pronoun only": pronoun,
        "keeping an object that is not in the pool": gone,
    }


@pytest.mark.parametrize(
    ("name", "repeated", "non_ascii", "formatted", "line_breaks", "caption", "again", "colour"),
    [("mice-cm", 8, 360, 4, 2, 85, 2, 0), ("mice-cu", 144, 17, 17, 1, 97, 0, 3),
     ("mice-cm-train", 25, 1850, 23, 3, 104, 8, 2), ("edival", 8, 29, 29, 0, 71, 2, 0)],
)  # fmt: skip
def test_other_counts(
    shared: Path, name: str, repeated: int, non_ascii: int, formatted: int, line_breaks: int, caption: int,
    again: int, colour: int,
) -> None:  # fmt: skip
    counts = only_set(name, shared)
    kinds = audited(name, shared)["kinds"]
    assert counts["text"]["sessions with a repeated edit type"] == repeated
    assert counts["text"]["sessions with non-ASCII text"] == non_ascii
    assert counts["text"]["turns with non-ASCII bracketed text"] == formatted
    assert counts["text"]["turns with a line break in the instruction"] == line_breaks
    assert counts["longest_caption_words"] == caption
    assert (kinds.get("added again", 0), kinds.get("colour as before", 0)) == (again, colour)


def test_the_three_mice_sets_share_no_image(shared: Path) -> None:
    stems = [session.id.rsplit("/", 1)[1] for name in ("mice", "mice-cm-train") for session in sessions(name, shared)]
    assert len(stems) == len(set(stems)) == 720 + 1850


@pytest.mark.parametrize("name", FOLDERS)
def test_the_dataset_says_what_the_adapter_says(shared: Path, name: str) -> None:
    started = time.perf_counter()
    dataset = load_task(name, data=shared / "data" / FOLDERS[name])
    seconds = time.perf_counter() - started
    assert list(iter_sessions(dataset)) == sessions(name, shared)
    assert seconds < 10  # 0.1 s for 720 sessions on an idle core; this only catches a blunder
