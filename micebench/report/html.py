"""The report as one HTML file: no network, no other file, nothing of the run's text is ever markup."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micebench.instructions import EDIT_TYPES
from micebench.report import gallery, session_sampling, tables
from micebench.report.drift import drift_line
from micebench.report.figures import consistency_parts, figures
from micebench.report.formatting import interval, number, plural, visible
from micebench.report.summary_header import head, tiles, warning
from micebench.report.tables import Cell
from micebench.sessions import TRACKS

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from micebench.engine.run_reader import Run

SESSIONS_SHOWN = 200
GALLERY_BYTES = 12_000_000
_FAILED_SHOWN = 20


def write_report(run: "Run", *, limit: int = SESSIONS_SHOWN) -> Path:
    """Write ``report/index.html`` with at most `limit` sessions in its gallery; returns its path.

    Equal runs give equal bytes. Memory is bounded by the page, whose gallery stays below `GALLERY_BYTES`.

    Raises:
        RunError: the run has no judge, is damaged, or the disk refuses.
    """
    from micebench.store.run_dir import write_report as store

    return store(run.path, "index.html", render(run, limit=limit).encode("utf-8"))


def render(run: "Run", *, limit: int = SESSIONS_SHOWN, budget: int = GALLERY_BYTES) -> str:
    """The page. `budget` bounds the bytes of the gallery."""
    from markupsafe import Markup

    summary = run.summary()
    environment = page_environment()
    found = session_sampling.outcomes(run)
    picked = session_sampling.pick(found, limit)
    track_names = _ordered({found[key].track for key in picked}, TRACKS)
    cards, type_options = _cards(environment, run, found, picked, track_names, budget)
    overall = tables.overall_table(summary)
    script = resource("report.js")
    page = environment.get_template("report.html.j2").render(
        head=head(run),
        tiles=tiles(summary, overall),
        warning=warning(summary),
        drift=drift_line(run),
        overall=overall,
        tracks=tables.split_groups(tables.track_table(summary)),
        edit_types=tables.edit_type_table(summary),
        bounds=tables.bounds_table(summary),
        failures=tables.first_failures(summary),
        gaps=tables.gaps(summary),
        any_partial=any(not one.full for row in overall.rows for one in row.cells),
        figures=figures(summary, consistency_parts(run.table())),
        stopped=[
            (title, len(edits), [_stopped(edit) for edit in edits[:_FAILED_SHOWN]])
            for title, edits in (
                ("Edits refused by the model", run.refusals()),
                ("Edits that failed", run.failures()),
            )
        ],
        cards=cards,
        shown_note=_shown_note(len(cards), len(found), limit),
        track_names=[visible(name, 40) for name in track_names],
        type_options=type_options,
        outcome_options=_outcome_options(found[key].kind for key in picked[: len(cards)]),
        style=Markup(resource("report.css")),
        script=Markup(script),
        script_hash=script_hash(script),
    )
    return page + "\n"


def page_environment(*packages: str) -> "jinja2.Environment":
    """The templates of the pages, those of `packages` first; everything that is put into them is escaped."""
    import jinja2

    rooms = (*packages, "micebench.report")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(room, "templates") for room in rooms]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        ends=lambda one: interval(one.low, one.high),
        bounds=_bounds,
        drawable=_drawable,
        capitalize_first=lambda words: words[:1].upper() + words[1:],
    )
    return environment


def script_hash(script: str) -> str:
    """What a page's policy calls its one script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def resource(name: str, package: str = "micebench.report") -> str:
    """The text of a style sheet or script beside the templates."""
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def _cards(
    environment: "jinja2.Environment",
    run: "Run",
    found: Mapping[session_sampling.Key, session_sampling.Outcome],
    picked: Sequence[session_sampling.Key],
    track_names: Sequence[str],
    budget: int,
) -> "tuple[list[Markup], list[tuple[int, str]]]":
    """Rendered sessions in the run's order, and (number, name) of the edit types they have.

    Rendering follows the order of picking and stops at the budget, so a page cut short is a fair choice too.
    """
    from markupsafe import Markup

    template = environment.get_template("session.html.j2")
    worst = {key: rank for rank, key in enumerate(sorted(picked, key=lambda key: found[key].badness))}
    types: dict[str, int] = {}
    shown: set[str] = set()
    rendered: list[tuple[int, Markup]] = []
    size = 0
    for key, card in zip(picked, gallery.cards(run, found, picked), strict=True):
        names = {turn.edit_type for turn in card.turns if turn.edit_type}
        kinds = [types.setdefault(name, len(types)) for name in sorted(names)]
        markup = template.render(
            card=card,
            rank=worst[key],
            repeated=run.manifest.repeats > 1,
            track_index=track_names.index(found[key].track),
            type_indices=kinds,
        )
        size += len(markup.encode("utf-8"))
        if size > budget and rendered:
            break
        rendered.append((card.order, Markup(markup)))
        shown |= names
    options = [(types[name], name) for name in _ordered(shown, EDIT_TYPES)]
    return [markup for _, markup in sorted(rendered, key=lambda pair: pair[0])], options


def _stopped(failure: Any) -> tuple[str, str]:
    repeat = f" repeat {failure.repeat}" if failure.repeat else ""
    return visible(f"{failure.session} turn {failure.turn}{repeat}", 120), visible(failure.reason, 300)


def _shown_note(shown: int, total: int, limit: int) -> str:
    if shown == total:
        return f"All {plural(total, 'session')} of the run."
    why = "" if shown == min(limit, total) else " (the page's size is bounded)"
    return (
        f"{shown:,} of {total:,} sessions shown{why}: one after the other from each combination of track and "
        f"outcome, in the order of a hash of their ids. The gallery is for looking; the numbers above are "
        f"over all sessions."
    )


def _outcome_options(kinds: Any) -> list[tuple[str, str]]:
    present = set(kinds)
    failed = sorted((kind for kind in present if kind.startswith("fail-")), key=lambda kind: int(kind[5:]))
    return [
        *([("pass", "all turns pass")] if "pass" in present else []),
        *((kind, f"fails first at turn {kind[5:]}") for kind in failed),
        *([("undetermined", "undetermined")] if "undetermined" in present else []),
        ("missing", "any verdict missing"),
    ]


def _bounds(one: Cell) -> str:
    return interval(one.at_least, one.at_most) if one.bounded else number(one.value)


def _drawable(one: Cell) -> bool:
    ends = (one.low, one.value, one.high)
    return all(end is not None and 0 <= end <= 100 for end in ends)


def _ordered(names: set[str], preferred: Sequence[str]) -> list[str]:
    return [*(name for name in preferred if name in names), *sorted(names - set(preferred))]
