"""The terminal and the page show every number of summary.json, with its interval and its counts."""

import io
import re

import pytest
from rich.console import Console

from micebench.report.formatting import LABELS
from micebench.report.html import render
from micebench.report.terminal import print_run
from tests.report.page import Node, cells, parse


def printed(run, width: int, **options) -> str:
    stream = io.StringIO()
    print_run(run, Console(file=stream, width=width, **options))
    return stream.getvalue()


def shown(entry: dict) -> list[str]:
    """What a reader must find for one entry: value, interval, counts where partial."""
    if entry["value"] is None:
        return ["–"] + ([] if entry["n"] == entry["of"] else [f"{entry['n']}/{entry['of']}"])
    parts = [f"{entry['value']:.1f}"]
    if entry["low"] is not None:
        parts.append(f"{entry['low']:.1f}–{entry['high']:.1f}")
    if entry["n"] != entry["of"]:
        parts.append(f"{entry['n']}/{entry['of']}")
    return parts


def section(text: str, title: str) -> list[str]:
    """Lines of a section of the terminal report."""
    lines = text.split("\n")
    start = lines.index(title) + 1
    titles = {"By turn", "By track", "Success by edit type", "First failure", "Coverage", "Bounds", ""}
    stop = start
    while stop < len(lines) and not (lines[stop] in titles - {""} or lines[stop].startswith("run ")):
        stop += 1
    return lines[start:stop]


def columns(lines: list[str]) -> dict[str, dict[str, list[str]]]:
    """row label -> column head -> words in that cell, for tables printed in blocks and stacked cells."""
    found: dict[str, dict[str, list[str]]] = {}
    heads: list[tuple[str, int]] = []
    label = ""
    for line in lines:
        if re.match(r"(metric|track|edit type) ", line):
            heads = [(match.group(), match.end()) for match in re.finditer(r"all turns|turn \d+", line)]
            label = ""
            continue
        if not line.strip() or not heads:
            continue
        left = len(line) - len(line.lstrip())
        name = re.match(r"\s{0,2}(\S+( \S+)*?)(?=\s{2,}|$)", line)
        if left <= 2 and name and re.match(r"[A-Za-z_]", name.group(1)):
            label = name.group(1) if left == 0 else f"{label.split('/')[0]}/{name.group(1)}"
            line = " " * name.end() + line[name.end() :]
        edge = 0
        for head, end in heads:
            words = line[edge:end].split()
            found.setdefault(label, {}).setdefault(head, []).extend(words)
            edge = end
    return found


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_by_turn_track_and_type(run, width):
    text, summary = printed(run, width), run.summary()
    by_turn = columns(section(text, "By turn"))
    for name, entries in summary["metrics"].items():
        for turn, entry in entries.items():
            assert by_turn[LABELS[name]][f"turn {turn}"] == shown(entry), (name, turn)
    by_track = columns(section(text, "By track"))
    for track, metrics in summary["tracks"].items():
        for name, entries in metrics.items():
            for turn, entry in entries.items():
                assert by_track[f"{LABELS[name]}/{track}"][f"turn {turn}"] == shown(entry), (track, name)
    by_type = columns(section(text, "Success by edit type"))
    for kind, entry in summary["edit_types"].items():
        assert by_type[kind]["all turns"] == shown(entry)
        for turn, one in summary["edit_types_by_turn"][kind].items():
            assert by_type[kind][f"turn {turn}"] == shown(one), (kind, turn)


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_with_ten_turns_shows_the_whole_overall_table(long_run, width):
    text, summary = printed(long_run, width), long_run.summary()
    assert max(map(len, text.split("\n")[:-4])) <= width
    by_turn = columns(section(text, "By turn"))
    for name, entries in summary["metrics"].items():
        for turn, entry in entries.items():
            assert by_turn[LABELS[name]][f"turn {turn}"] == shown(entry), (name, turn)


def test_terminal_names_gaps_bounds_and_failed_sessions(run):
    text, summary = printed(run, 120), run.summary()
    for metric, counts in summary["coverage"].items():
        asked = sum(counts.values())
        assert f"{metric}: {counts['ok']:,} of {asked:,} scored" in text
    bounds = columns(section(text, "Bounds"))
    moved = 0
    for name, entries in summary["metrics"].items():
        for turn, entry in entries.items():
            if entry["at_most"] - entry["at_least"] > 1e-9:
                ends = f"{entry['at_least']:.1f}–{entry['at_most']:.1f}"
                assert bounds[LABELS[name]][f"turn {turn}"] == [ends]
                moved += 1
    assert moved > 10
    assert "cm-007 turn 2: editor raised ValueError" in text
    for turn, count in summary["first_failure"].items():
        words = {"none": "no failure", "undetermined": "undetermined"}.get(turn, f"turn {turn}")
        assert re.search(rf"^{words} +{count} ", text, re.MULTILINE), turn


def test_terminal_output_has_no_control_characters_from_the_data(run):
    for options in ({}, {"force_terminal": True, "color_system": "truecolor"}):
        text = re.sub(r"\x1b\[[0-9;]*m", "", printed(run, 100, **options))
        assert "[bold red]not markup[/bold red]" in " ".join(text.split())
        assert not set(text) & {"\x07", "\x00", "\x1b", "\u202e", "\x9b"}
    assert "\x1b" not in printed(run, 100)


def test_terminal_survives_a_stream_without_unicode(run):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_run(run, Console(file=stream, width=80))
    stream.seek(0)
    assert "clumsy on mice-mini" in stream.read()


@pytest.fixture(scope="module")
def tree(run) -> Node:
    return parse(render(run))


def words(cell: Node) -> list[str]:
    """value, interval, counts of one cell of the page."""
    found = [one.text for kind in ("v", "ci", "n") for one in cell.find("span", klass=kind)]
    return [word for word in found if word]


def table(tree: Node, key: str) -> Node:
    (found,) = tree.find("table", id=f"table-{key}")
    return found


def test_page_by_turn_and_type(tree, run):
    summary = run.summary()
    rows = cells(table(tree, "overall"))
    for name, entries in summary["metrics"].items():
        assert [words(cell) for cell in rows[LABELS[name]]] == [shown(entry) for entry in entries.values()]
    rows = cells(table(tree, "edit-types"))
    assert set(rows) == set(summary["edit_types"])
    for kind, row in rows.items():
        entries = [summary["edit_types"][kind], *summary["edit_types_by_turn"][kind].values()]
        assert [words(cell) for cell in row] == [shown(entry) for entry in entries]


def test_page_by_track(tree, run):
    summary, seen = run.summary(), set()
    names = {label: name for name, label in LABELS.items()}
    for one in (t for t in tree.find("table") if t.attributes.get("id", "").startswith("table-tracks-")):
        name = names[one.find("caption")[0].text]
        seen.add(name)
        for track, row in cells(one).items():
            entries = summary["tracks"][track][name].values()
            assert [words(cell) for cell in row] == [shown(entry) for entry in entries], (name, track)
    assert seen == set(summary["metrics"])


def test_page_failures_bounds_and_coverage(tree, run):
    summary = run.summary()
    rows = cells(table(tree, "failures"))
    counts = {"none": "no failure"} | {str(turn): f"turn {turn}" for turn in range(1, 4)}
    for key, count in summary["first_failure"].items():
        assert rows[counts.get(key, key)][0].text == str(count)
    rows = cells(table(tree, "bounds"))
    for name, entries in summary["metrics"].items():
        for cell, entry in zip(rows[LABELS[name]], entries.values(), strict=True):
            if entry["at_most"] - entry["at_least"] > 1e-9:
                assert cell.text == f"{entry['at_least']:.1f}–{entry['at_most']:.1f}"
    text = tree.find("ul", klass="gaps")[0].text
    for metric, statuses in summary["coverage"].items():
        assert f"{metric} {statuses['ok']} of {sum(statuses.values())} scored" in text


def test_page_has_the_four_figures_with_their_numbers_in_words(tree, run):
    figures = {one.attributes["id"]: one for one in tree.find("figure", klass="figure")}
    assert set(figures) == {"figure-success", "figure-marginal", "figure-consistency", "figure-awareness"}
    told = figures["figure-marginal"].find("div", role="img")[0].attributes["aria-label"]
    for entry in run.summary()["metrics"]["turn_success"].values():
        assert f"{entry['value']:.1f}" in told
    assert all(one.find("svg") for one in figures.values())
