"""A comparison as one HTML page in the look of the report: numbers, decisions, and the sessions that flipped."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.comparison.flips import Flip, flips
from micebench.comparison.lines import Block, Line, blocks, edit_types, line, names, signed, unmatched
from micebench.comparison.multi_run import GateResult
from micebench.instructions import EDIT_TYPES
from micebench.report.formatting import label, p_value, plural, visible
from micebench.report.html import page_environment, resource, script_hash
from micebench.sessions import TRACKS
from micebench.store.manifest import write_atomically

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from micebench.engine.run_reader import Run

SESSIONS_SHOWN = 200
GALLERY_BYTES = 12_000_000
_HEADLINES = ("overall", "turn_success", "content_consistency", "cumulative_awareness")
_IDS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the page; `reach` is half the width of the axis of its bars, in points."""

    key: str
    title: str
    blocks: list[Block]
    by_turn: bool = True

    @property
    def reach(self) -> float:
        return _reach([one for block in self.blocks for one in block.lines])


@dataclass(frozen=True, slots=True)
class _Against:
    """What the page says about one new run."""

    name: str
    tables: tuple[_Table, ...]
    headlines: tuple[Line, ...]
    warnings: tuple[str, ...]
    flipped: Mapping[str, Any]


def write_page(
    path: Path,
    base: "Run",
    new: "Sequence[Run]",
    comparisons: Sequence[Mapping[str, Any]],
    gate: GateResult | None = None,
    *,
    limit: int = SESSIONS_SHOWN,
) -> None:
    """Write the page to a file of the user's.

    Raises:
        RunError: a run is damaged, or the disk refuses.
    """
    write_atomically(path, render(base, new, comparisons, gate, limit=limit).encode("utf-8"))


def render(
    base: "Run",
    new: "Sequence[Run]",
    comparisons: Sequence[Mapping[str, Any]],
    gate: GateResult | None = None,
    *,
    limit: int = SESSIONS_SHOWN,
    budget: int = GALLERY_BYTES,
) -> str:
    """The page; equal runs give equal pages. `limit` and `budget` (bytes) bound its gallery.

    Args:
        new: the run behind each of `comparisons`.
    """
    from markupsafe import Markup

    from micebench import __version__

    called_base, *called = names(comparisons) or [visible(base.manifest.model, 80)]
    cards, filters = _cards(base, new, comparisons, called, limit, budget)
    against = [_against(one, name, place) for place, (one, name) in enumerate(zip(comparisons, called, strict=True))]
    flipped = sum(len(one["flipped"][way]) for one in comparisons for way in ("lost", "gained"))
    script = resource("report.js")
    environment = _environment()
    page = environment.get_template("comparison.html.j2").render(
        base=called_base,
        new=called,
        task=visible(base.manifest.task, 120),
        facts=_facts(base, comparisons),
        command=visible(shlex.join(["micebench", "compare", str(base.path), *(str(run.path) for run in new)]), 2000),
        gate=gate,
        against=against,
        glance=_reach([one for run in against for one in run.headlines]),
        cards=cards,
        shown_note=_shown_note(len(cards), flipped),
        filters=filters,
        version=__version__,
        style=Markup(resource("report.css") + resource("comparison.css", "micebench.comparison")),
        script=Markup(script),
        script_hash=script_hash(script),
    )
    return page + "\n"


def _environment() -> "jinja2.Environment":
    environment = page_environment("micebench.comparison")
    environment.filters.update(
        signed=signed,
        p_value=p_value,
        label=label,
        shown=lambda words: visible(words, 600),
        verdict=lambda chips: next((chip.mood for chip in chips if chip.name == "IF"), ""),
        zip=lambda one, other: zip(one, other, strict=True),
    )
    return environment


def _facts(base: "Run", comparisons: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    manifest = base.manifest
    facts = [
        ("task", f"{manifest.task} (version {manifest.task_version})"),
        ("judge", str(manifest.judge)),
        ("base", f"{manifest.model}, {base.path}"),
        *(("new", f"{one['b']['model']}, {one['b']['path']}") for one in comparisons),
        ("paired", ", ".join(dict.fromkeys(plural(one["n_paired"], "session") for one in comparisons))),
    ]
    for one in comparisons[:1]:
        how = f"{one['resamples']:,} resamples, {one['permutations']:,} permutations, seed {one['seed']}"
        facts.append(("statistics", how))
    return [(name, visible(value, 400)) for name, value in facts if value]


def _against(comparison: Mapping[str, Any], name: str, place: int) -> _Against:
    level, metrics = comparison["level"], comparison["metrics"]
    tracks = comparison["tracks"] if len(comparison["tracks"]) > 1 else {}
    tables = [
        _Table(f"turns-{place}", "By turn", blocks(metrics, level)),
        *(
            _Table(f"track-{place}-{number}", f"Track {visible(track, 40)}", blocks(tracks[track], level))
            for number, track in enumerate(_ordered(tracks, TRACKS))
        ),
        _Table(f"types-{place}", "Success by edit type", edit_types(comparison), by_turn=False),
    ]
    cells = [(metric, max(turns, key=int), turns) for metric in _HEADLINES if (turns := metrics.get(metric))]
    headlines = [
        line(metric, turn, turns[turn], level)
        for metric, turn, turns in cells
        if turns[turn]["difference"] is not None
    ]
    return _Against(
        name,
        tuple(table for table in tables if table.blocks),
        tuple(headlines),
        tuple(f"{plural(len(ids), 'session')} {words}: {_some(ids)}" for words, ids in unmatched(comparison)),
        comparison["flipped"],
    )


def _reach(lines: Sequence[Line]) -> float:
    ends = [abs(end) for one in lines for end in (one.difference, one.low, one.high) if end is not None]
    return max(5.0, *ends) if ends else 5.0


def _cards(
    base: "Run",
    new: "Sequence[Run]",
    comparisons: Sequence[Mapping[str, Any]],
    called: Sequence[str],
    limit: int,
    budget: int,
) -> "tuple[list[Markup], dict[str, list[tuple[object, str]]]]":
    """The flipped sessions, the lost ones first and the worst of them foremost; what the filters offer."""
    from markupsafe import Markup

    template = _environment().get_template("flip.html.j2")
    rendered: list[Markup] = []
    tracks: dict[str, int] = {}
    types: dict[str, int] = {}
    kinds: dict[str, str] = {}
    size = 0
    for place, kind, flip in _flips(base, new, comparisons, limit):
        shown = {turn.edit_type for turn in flip.new.turns if turn.edit_type}
        markup = template.render(
            flip=flip,
            kind=kind,
            several=called[place] if len(called) > 1 else "",
            order=len(rendered),
            outcome_value=f"{kind}-{place}",
            track_index=tracks.setdefault(flip.new.track, len(tracks)),
            type_indices=[types.setdefault(name, len(types)) for name in sorted(shown)],
        )
        size += len(markup.encode("utf-8"))
        if size > budget and rendered:
            break
        rendered.append(Markup(markup))
        kinds[f"{kind}-{place}"] = f"{called[place]}: {kind}" if len(called) > 1 else kind
    return rendered, {
        "tracks": [(tracks[name], name) for name in _ordered(tracks, TRACKS)],
        "types": [(types[name], name) for name in _ordered(types, EDIT_TYPES)],
        "outcomes": list(kinds.items()),
    }


def _flips(
    base: "Run", new: "Sequence[Run]", comparisons: Sequence[Mapping[str, Any]], limit: int
) -> Iterator[tuple[int, str, Flip]]:
    """(place of the new run, "lost" or "gained", session): each new run has its share of the limit."""
    share = max(1, limit // max(len(new), 1))
    for place, (run, comparison) in enumerate(zip(new, comparisons, strict=True)):
        left = share
        for kind in ("lost", "gained"):
            ids = comparison["flipped"][kind][:left]
            left -= len(ids)
            for flip in flips(base, run, ids, lost=kind == "lost") if ids else ():
                yield place, kind, flip


def _shown_note(shown: int, flipped: int) -> str:
    if not flipped:
        return "No session changed sides."
    note = "Sessions whose success at the last turn changed sides, those that lost most first."
    return note if shown == flipped else f"{note} {shown:,} of {flipped:,} are shown; the page's size is bounded."


def _some(ids: Sequence[str]) -> str:
    more = ", …" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(visible(name, 60) for name in ids[:_IDS_SHOWN]) + more


def _ordered(found: Mapping[str, object], preferred: Sequence[str]) -> list[str]:
    return [*(name for name in preferred if name in found), *sorted(set(found) - set(preferred))]
