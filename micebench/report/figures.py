"""Figures of the page: matplotlib drawings as inline SVG whose colours are the page's own.

Each colour drawn is a placeholder that becomes a CSS variable, so one drawing serves light and dark. Series
differ in marker and dash as well as in colour. Axes run from 0 to 100.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micebench.metrics.verdict_table import OK
from micebench.report.formatting import number, visible
from micebench.report.tables import turn_numbers
from micebench.sessions import TRACKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from micebench.metrics.verdict_table import VerdictTable

_INK, _GRID = "#010203", "#010204"
_SERIES = ("#010301", "#010302", "#010303", "#010304")
_VARIABLES = {
    _INK: "--ink-2",
    _GRID: "--rule",
    **{c: f"--series-{i}" for i, c in enumerate(_SERIES, start=1)},
}
_NAMED = 6  # up to so many turns are written out on the axis
_MARKERS = ("o", "s", "^", "D")
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


@dataclass(frozen=True, slots=True)
class Series:
    """One line: percentages by turn, with an optional interval band. `place` picks colour, marker, dash."""

    name: str
    by_turn: Mapping[str, Mapping[str, Any]]
    place: int = 0
    banded: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """`svg` is markup in which the run's words (names of tracks) are escaped; `alt` says the numbers."""

    key: str
    title: str
    caption: str
    svg: str
    alt: str


def consistency_parts(table: "VerdictTable") -> dict[str, dict[str, dict[str, float]]]:
    """``{"objects" | "background": {turn: {"value": percent}}}``: means of the scored verdicts, every session
    counting once, its repeats averaged."""
    _, session = np.unique(table.sessions, return_inverse=True)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, metric in (("objects", "CC.object"), ("background", "CC.background")):
        if metric not in table.values:
            continue
        found[name] = {}
        for turn in range(table.width):
            scored = table.status[metric][:, turn] == OK
            count = np.bincount(session[scored])
            total = np.bincount(session[scored], weights=table.values[metric][scored, turn])
            if count.any():
                means = total[count > 0] / count[count > 0]
                found[name][str(turn + 1)] = {"value": 100 * float(means.mean())}
    return found


def figures(summary: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """The figures this summary has numbers for; `parts` as from `consistency_parts`."""
    metrics: Mapping[str, Any] = summary["metrics"]
    wanted = [
        (
            "success",
            "Success by turn and track",
            "Share of sessions whose turns 1 to k were all followed; band: 95 % interval over all sessions.",
            [
                Series("all", metrics.get("turn_success", {})),
                *_by_track(summary, "turn_success", banded=False),
            ],
        ),
        (
            "marginal",
            "Marginal and cumulative success",
            "Each turn on its own, and all turns so far. The space between is what earlier failures cost.",
            [
                Series("this turn", metrics.get("marginal_success", {})),
                Series("turns 1 to k", metrics.get("turn_success", {}), 1),
            ],
        ),
        (
            "consistency",
            "Content consistency",
            "What no instruction touched, compared with the source image.",
            [
                Series("total", metrics.get("content_consistency", {})),
                Series("objects", parts.get("objects", {}), 1, banded=False),
                Series("background", parts.get("background", {}), 2, banded=False),
            ],
        ),
        (
            "awareness",
            "Global awareness by track",
            "Share of images that comply with everything accumulated so far.",
            _by_track(summary, "global_awareness", banded=True)
            or [Series("all", metrics.get("global_awareness", {}))],
        ),
    ]
    turns = turn_numbers(summary)
    drawn: list[Figure] = []
    for key, title, caption, series in wanted:
        present = [one for one in series if any(_value(one, turn) is not None for turn in turns)]
        if present:
            drawn.append(Figure(key, title, caption, _draw(key, present, turns), _alt(title, present, turns)))
    return drawn


def _by_track(summary: Mapping[str, Any], name: str, *, banded: bool) -> list[Series]:
    tracks: Mapping[str, Any] = summary.get("tracks") or {}
    if len(tracks) < 2:
        return []
    ordered = [*(t for t in TRACKS if t in tracks), *sorted(set(tracks) - set(TRACKS))]
    return [
        Series(visible(track, 20), tracks[track].get(name, {}), place, banded)
        for place, track in enumerate(ordered[:3], start=1)
    ]


def _value(series: Series, turn: str) -> float | None:
    entry = series.by_turn.get(turn)
    return entry.get("value") if entry else None


def _alt(title: str, series: Sequence[Series], turns: Sequence[str]) -> str:
    lines = [f"{one.name}: " + ", ".join(number(_value(one, turn)) for turn in turns) for one in series]
    return f"{title}, percent at turns {turns[0]} to {turns[-1]}. " + "; ".join(lines) + "."


def _draw(key: str, series: Sequence[Series], turns: Sequence[str]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    # Salt and font type are read when the file is written; the salt makes ids equal between equal runs and
    # different between the figures of one page.
    with mpl.rc_context({"svg.hashsalt": f"micebench-{key}", "svg.fonttype": "none", "text.parse_math": False}):
        canvas = Canvas(figsize=(5.4, 3.1))
        bottom = 0.1 if len(turns) <= _NAMED else 0.16
        axes = canvas.add_axes((0.085, bottom, 0.895, 0.875 - bottom))
        for one in series:
            _plot(axes, one, turns)
        _dress(axes, turns)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, fontsize=9.5,
                    labelcolor=_INK, handlelength=2.4, columnspacing=2, borderaxespad=0.2)  # fmt: skip
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue())


def _plot(axes: "Axes", series: Series, turns: Sequence[str]) -> None:
    place = series.place
    colour = _SERIES[place]
    points = {turn: value for turn in turns if (value := _value(series, turn)) is not None}
    axes.plot(
        [int(turn) for turn in points],
        list(points.values()),
        color=colour,
        linewidth=2.0 if series.banded else 1.5,
        linestyle=_DASHES[place],
        marker=_MARKERS[place],
        markersize=5.5,
        markeredgewidth=0,
        label=series.name,
        clip_on=False,
        zorder=4 - 0.1 * place,
    )
    ended = [turn for turn in points if series.by_turn[turn].get("low") is not None]
    if not (series.banded and ended):
        return
    low, high = ([series.by_turn[turn][end] for turn in ended] for end in ("low", "high"))
    if len(ended) == 1:
        axes.vlines([int(turn) for turn in ended], low, high, color=colour, linewidth=6, alpha=0.25)
    else:
        axes.fill_between([int(turn) for turn in ended], low, high, color=colour, alpha=0.15, linewidth=0)


def _dress(axes: "Axes", turns: Sequence[str]) -> None:
    numbers = [int(turn) for turn in turns]
    step = max(1, len(numbers) // 12)
    axes.set_ylim(0, 100)
    axes.set_xlim(numbers[0] - 0.15, numbers[-1] + 0.15)
    word = "turn " if len(numbers) <= _NAMED else ""
    axes.set_xticks(numbers[::step], [f"{word}{turn}" for turn in numbers[::step]])
    axes.set_yticks(range(0, 101, 20))
    axes.tick_params(length=0, labelcolor=_INK, labelsize=9.5, pad=5)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    if len(numbers) > _NAMED:
        axes.set_xlabel("turn", color=_INK, fontsize=9.5)


def _inline(svg: str) -> str:
    """The drawing as it stands inside HTML: no prolog, no metadata, no style sheet, no fixed size or font,
    no ids beyond those it refers to."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font(-family)?: [^;\"]*'DejaVu Sans'[^;\"]*", _font, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)


def _font(match: "re.Match[str]") -> str:
    size = re.search(r"[\d.]+px", match.group(0))
    return f"font-size: {size.group(0)}" if size else "font-family: inherit"
