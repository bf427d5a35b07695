"""What came of a training: start and best checkpoint side by side, and how it got there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from micebench.comparison.paired_runs import compare
from micebench.report.training_curve import read_curve
from micebench.publish.difference_tables import by_kind, by_metric, difference
from micebench.report.plots import rewards_figure
from micebench.training.rl.recipe import RlRecipe
from micebench.training.rl.validation import Reading

_REWARD = "advantage/reward/"


def one_line(numbers: Mapping[str, float]) -> str:
    """What matters of a step's numbers, for people who watch."""
    if "validation/overall/1" in numbers:
        last = max(int(name.rpartition("/")[2]) for name in numbers if name.startswith("validation/overall/"))
        said = f"validation: overall at turn {last} {numbers[f'validation/overall/{last}']:.1f}"
        gain = {name: numbers.get(f"validation/gain/{name}") for name in ("difference", "low", "high")}
        if gain["difference"] is None:
            return said
        regressed = ", regressed" if numbers.get("validation/regressed") else ""
        return f"{said}, {difference(gain)} against the start{regressed}"
    rewards: dict[str, list[str]] = {}
    for name, value in numbers.items():
        if name.startswith(_REWARD):
            rewards.setdefault(name.removeprefix(_REWARD).partition("/")[0], []).append(f"{value:.2f}")
    seconds = sum(value for name, value in numbers.items() if name.startswith("seconds/") and "judging" not in name)
    parts = [f"{metric} {' '.join(values)}" for metric, values in rewards.items()]
    masked = numbers.get("advantage/masked", 0.0)
    parts += [f"lessons {numbers.get('learn/lessons', 0):.0f}", f"{seconds:.0f} s"]
    return "   ".join([*parts, f"masked {masked:.1%}"] if masked else parts)


def best_reading(readings: Sequence[Reading]) -> Reading:
    """The checkpoint that is kept: the highest overall at the last turn after the start, the earliest of equals."""
    later = [reading for reading in readings if reading.iteration]
    return max(later, key=lambda reading: (reading.overall, -reading.iteration))


def write_report(recipe: RlRecipe, work: Path, readings: Sequence[Reading]) -> Path:
    """``work/report.md`` and ``work/curve.png``; needs a reading of the start and a later one."""
    best = best_reading(readings)
    start, kept = (work / "validation" / f"{reading.iteration:05d}" for reading in (readings[0], best))
    found = compare(start, kept)
    (work / "curve.png").write_bytes(rewards_figure(read_curve(work / "curve.jsonl")))
    lines = [
        f"# {recipe.id}: {recipe.model} after {best.iteration} iterations",
        "",
        f"Validation `{found.task}`, judge `{found.judge}`, {found.numbers['n_paired']} sessions, percent, paired "
        f"differences with {100 * found.numbers['level']:g} % intervals. The checkpoint was chosen on these very "
        "sessions: what it is worth is for a test split to say.",
        "",
        by_metric(found.numbers["metrics"], ("start", "best")),
        "",
        by_kind(found.numbers, ("start", "best")),
        "",
        "![reward and validation](curve.png)",
        "",
        "| iteration | overall | difference to the start | |",
        "|---|---|---|---|",
        *(_line(reading, reading is best) for reading in readings),
    ]
    path = work / "report.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _line(reading: Reading, best: bool) -> str:
    gain = {name: reading.numbers.get(f"gain/{name}") for name in ("difference", "low", "high")}
    remark = ", ".join(word for word, fits in (("kept", best), ("regressed", reading.regressed)) if fits)
    return f"| {reading.iteration} | {_number(reading.overall)} | {difference(gain)} | {remark} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
