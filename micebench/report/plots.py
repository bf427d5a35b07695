"""Drawings as PNG files for a model card: readable on white and without colour, at the width of a web page."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from micebench.instructions import EDIT_TYPES
from micebench.report.figures import consistency_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from micebench.engine.run_reader import Run
    from micebench.report.training_curve import Curve

Points = Mapping[str, Mapping[str, Any]]
"""TURN -> {"value", "low", "high"}, in percent."""

INK, GRID = "#24292f", "#d8dee4"
# Okabe and Ito's palette, without its yellow: told apart by people of all kinds of colour vision
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555", "#7a4fbf", "#8c6d31")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_DPI = 100
_FEW = 60  # points of a curve up to which each has its marker


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel by turn; `place` picks colour, marker and dash."""

    name: str
    points: Points
    place: int
    banded: bool = True


def turns_figure(runs: "Sequence[Run]") -> bytes:
    """A row of panels per run: success by turn (alone, cumulative, independent), and what stays of the image."""
    canvas = new_canvas(9.8, 3.7 * len(runs))
    grid = canvas.subplots(len(runs), 2, squeeze=False)
    for (left, right), run in zip(grid, runs, strict=True):
        metrics, task = run.summary()["metrics"], run.manifest.task
        parts = consistency_parts(run.table())
        _by_turn(left, f"{task}: success", _success(metrics))
        _by_turn(
            right,
            f"{task}: content consistency and collapse",
            [
                Line("consistency", metrics["content_consistency"], 0),
                Line("of objects", parts.get("objects", {}), 1, banded=False),
                Line("of the background", parts.get("background", {}), 2, banded=False),
                Line("sessions collapsed", metrics["collapse"], 3),
            ],
        )
    return as_png(canvas)


def _success(metrics: Mapping[str, Points]) -> list[Line]:
    marginal = metrics["marginal_success"]
    first = marginal["1"]["value"]
    lines = [Line("this turn", marginal, 0), Line("turns 1 to k", metrics["turn_success"], 1)]
    if first is not None and len(marginal) > 1:
        powers = {turn: {"value": 100 * (first / 100) ** int(turn)} for turn in marginal}
        lines.append(Line("turn 1 to the power k", powers, 2, banded=False))
    return lines


def _by_turn(axes: "Axes", title: str, lines: Sequence[Line]) -> None:
    drawn: list[int] = []
    for line in lines:
        known = {int(turn): cell for turn, cell in line.points.items() if cell.get("value") is not None}
        if not known:
            continue
        drawn += known
        colour = COLOURS[line.place]
        axes.plot(
            list(known),
            [cell["value"] for cell in known.values()],
            color=colour,
            marker=_MARKERS[line.place],
            linestyle=_DASHES[line.place],
            markersize=5,
            linewidth=1.8,
            label=line.name,
            clip_on=False,
            zorder=4 - 0.1 * line.place,
        )
        banded = {turn: cell for turn, cell in known.items() if line.banded and cell.get("low") is not None}
        if banded:
            low, high = ([cell[end] for cell in banded.values()] for end in ("low", "high"))
            axes.fill_between(list(banded), low, high, color=colour, alpha=0.15, linewidth=0)
    if drawn:
        turns = sorted(set(drawn))
        axes.set_xticks(turns)
        axes.set_xlim(turns[0] - 0.2, turns[-1] + 0.2)
    axes.set_ylim(0, 100)
    dress(axes, title, "turn", "percent")


def curve_figure(curve: "Curve") -> bytes:
    """Loss of each stage, validation IF and CC, and validation IF per edit type, over training steps."""
    losses = [name for name in curve if name.endswith("/loss")]
    overall = {"IF": "IF", "CC.object": "CC of objects", "CC.background": "CC of the background"}
    overall = {words: f"validation/{name}" for name, words in overall.items() if f"validation/{name}" in curve}
    kinds = {kind: f"validation/IF/{kind}" for kind in EDIT_TYPES if f"validation/IF/{kind}" in curve}
    panels = len(losses) + bool(overall) + bool(kinds)
    rows = -(-panels // 2)
    canvas = new_canvas(9.8, 3.9 * rows)
    grid = list(canvas.subplots(rows, 2, squeeze=False).flat)
    for axes, name in zip(grid, losses, strict=False):
        _loss(axes, name.removesuffix("/loss"), curve[name])
    rest = grid[len(losses) :]
    if overall:
        _percents(rest.pop(0), "validation split", overall, curve)
    if kinds:
        ordered = sorted(kinds, key=lambda kind: -curve[kinds[kind]][-1][1])
        named = {f"{kind.replace('_', ' ')} {100 * curve[kinds[kind]][-1][1]:.0f}": kinds[kind] for kind in ordered}
        _percents(rest.pop(0), "validation IF by edit type (last value)", named, curve)
    for axes in grid[len(losses) : panels]:
        axes.set_ylim(0, 100)
    for axes in rest:
        axes.set_axis_off()
    return as_png(canvas)


def rewards_figure(curve: "Curve") -> bytes:
    """Post-training: mean rewards of the rollouts, then what held-out sessions score, over iterations."""
    canvas = new_canvas(9.8, 3.9 * 2)
    (followed, kept), (overall, beside) = canvas.subplots(2, 2)
    for axes, metric in ((followed, "IF"), (kept, "CC")):
        named = {f"turn {turn}": name for turn, name in _turns(curve, f"advantage/reward/{metric}/turn_")}
        _percents(axes, f"mean reward {metric} of the rollouts", named, curve, 100.0, "iteration")
    named = {f"turn {turn}": name for turn, name in _turns(curve, "validation/overall/")}
    _percents(overall, "held-out sessions: overall", named, curve, 1.0, "iteration")
    named = {
        f"{words}, turn {turn}": name
        for metric, words in (("turn_success", "turn-k success"), ("content_consistency", "CC"))
        for turn, name in _turns(curve, f"validation/{metric}/")[-1:]
    }
    _percents(beside, "held-out sessions: success and consistency", named, curve, 1.0, "iteration")
    return as_png(canvas)


def _turns(curve: "Curve", prefix: str) -> list[tuple[int, str]]:
    """(turn, name) of the numbers that have one, in the order of turns."""
    return sorted((int(name.removeprefix(prefix)), name) for name in curve if name.startswith(prefix))


def _loss(axes: "Axes", stage: str, points: Sequence[tuple[int, float]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    steps, values = np.array([step for step, _ in points]), np.array([value for _, value in points])
    axes.plot(steps, values, color=COLOURS[0], alpha=0.3, linewidth=1, label="as logged")
    width = max(1, len(values) // 40)
    padded = np.pad(values, (width, width), mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1), axis=-1)
    axes.plot(steps, smooth, color=COLOURS[0], linewidth=1.8, label="running median")
    if (values > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    dress(axes, f"{stage}: training loss", "step", "loss")


def _percents(
    axes: "Axes", title: str, lines: Mapping[str, str], curve: "Curve", unit: float = 100.0, across: str = "step"
) -> None:
    """Label -> name of what is drawn, `unit` times its values; many points as their running mean."""
    if not lines:
        axes.set_axis_off()
        return
    for place, (label, name) in enumerate(lines.items()):
        steps, values = zip(*curve[name], strict=True)
        axes.plot(
            steps,
            unit * (np.array(values) if len(values) <= _FEW else _running_mean(values, len(values) // 12)),
            color=COLOURS[place % len(COLOURS)],
            marker=_MARKERS[place % len(_MARKERS)] if len(steps) <= _FEW else "",
            linestyle=_DASHES[place % len(_DASHES)],
            markersize=4,
            linewidth=1.5,
            label=label,
            clip_on=False,
        )
    dress(axes, title, across, "percent")


def _running_mean(values: Sequence[float], width: int) -> np.ndarray:
    """Mean over `width` values to either side, fewer at the ends."""
    sums, counts = (np.convolve(part, np.ones(2 * width + 1), mode="same") for part in (values, np.ones(len(values))))
    return sums / counts


def dress(axes: "Axes", title: str, across: str, up: str) -> None:
    """Title, then the legend in rows that fit the panel's width, then the panel."""
    rows = -(-len(axes.get_lines()) // 2)
    axes.set_title(title, loc="left", fontsize=10.5, color=INK, pad=10 + 15 * rows, fontweight="bold")
    axes.set_xlabel(across, color=INK, fontsize=9.5)
    axes.set_ylabel(up, color=INK, fontsize=9.5)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9.5, pad=8)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=2.4,
        columnspacing=1.2,
        labelspacing=0.35,
        borderaxespad=0.4,
    )


def new_canvas(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def as_png(canvas: "Figure") -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
