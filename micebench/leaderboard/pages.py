"""The pages of the site. All text of submitters goes through `visible` and is escaped; addresses are http(s) only."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from micebench import __version__
from micebench.cards import TaskCard, load_card
from micebench.errors import CardError
from micebench.leaderboard.literature_results import ReportedRow, reported_table, web_address
from micebench.leaderboard.ranking import Board, Line
from micebench.leaderboard.results import Accepted
from micebench.report import tables
from micebench.report.formatting import MEANINGS, plural, visible
from micebench.report.gallery import SessionCard
from micebench.report.html import page_environment
from micebench.report.summary_header import tiles, warning
from micebench.sessions import TRACKS
from micebench.submission.sampling import EDITED_SHARE

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

GALLERY_BYTES = 400_000


def index_page(boards: Sequence[Board], reported: Mapping[str, Sequence[ReportedRow]]) -> str:
    """All tables, by task."""
    names = sorted({board.task for board in boards} | set(reported), key=lambda name: _first_ranked(name, boards))
    tasks = [_task(name, [board for board in boards if board.task == name], reported.get(name, ())) for name in names]
    contents = [{"key": task["key"], "title": task["title"], "count": _count(task)} for task in tasks]
    return _page("index.html.j2", tasks=tasks, contents=contents)


def model_page(board: Board, line: Line, gallery: "Sequence[Markup]") -> str:
    """One model on one task: its numbers, what was checked, some of its sessions."""
    result, manifest = line.entry.result, line.entry.manifest
    verification, summary = result.verification, result.summary
    overall = tables.overall_table(summary)
    url = web_address(verification.url)
    facts = [
        ("model", manifest.model),
        ("task", f"{manifest.task} (version {manifest.task_version})"),
        ("judge", board.judge),
        ("sessions", f"{manifest.n_sessions:,} of {plural(manifest.turns, 'turn')}"),
        ("context", manifest.context),
        ("seed", manifest.seed),
        *([("repeats", manifest.repeats)] if manifest.repeats > 1 else []),
        ("micebench", verification.micebench),
    ]
    return _page(
        "model.html.j2",
        name=line.entry.name,
        task=visible(result.task, 80),
        task_key=result.task,
        kind=verification.mark,
        rank=line.rank,
        of=len(board.lines),
        ranked_by=board.columns[0].title,
        gaps=stands.words if (stands := line.entry.standing) else "",
        facts=[(word, visible(value, 200)) for word, value in facts if value != ""],
        url=url,
        shown_url=visible(url, 80),
        command=visible(verification.command, 1000),
        overall=overall,
        tiles=tiles(summary, overall),
        warning=warning(summary),
        tracks=tables.split_groups(tables.track_table(summary)),
        edit_types=tables.edit_type_table(summary),
        bounds=tables.bounds_table(summary),
        checked=_checked(result),
        checks=[
            {"name": visible(one.check, 60), "outcome": one.outcome, "detail": visible(one.detail, 600)}
            for one in verification.checks
        ],
        digest=verification.bundle_sha256,
        cards=gallery,
        shown_note=_shown_note(len(gallery), manifest.n_sessions),
    )


def gallery_markup(cards: Sequence[SessionCard], *, budget: int = GALLERY_BYTES) -> "tuple[Markup, ...]":
    """Rendered sessions, in the order given, of at most `budget` bytes (but at least one)."""
    from markupsafe import Markup

    template = _environment().get_template("session.html.j2")
    tracks = {name: place for place, name in enumerate(TRACKS)}
    found: list[Markup] = []
    size = 0
    for card in cards:
        place = tracks.setdefault(card.track, len(tracks))
        text = template.render(card=card, rank=0, repeated=False, track_index=place, type_indices=[])
        size += len(text.encode())
        if size > budget and found:
            break
        found.append(Markup(text))
    return tuple(found)


def stylesheet() -> str:
    """The look of the report, and what the tables add to it."""
    look = (resources.files("micebench.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return look + _resource("leaderboard.css")


def script() -> str:
    """Sorting and filters."""
    return _resource("leaderboard.js")


def _task(name: str, boards: Sequence[Board], reported: Sequence[ReportedRow]) -> dict[str, Any]:
    try:
        description = load_card(TaskCard, name).description
    except CardError:
        description = ""  # a task of someone's own
    return {
        "key": name,
        "title": visible(name, 80),
        "description": visible(description, 300),
        "boards": [_board(board) for board in boards],
        "reported": reported_table(reported),
    }


def _board(board: Board) -> dict[str, Any]:
    return {
        "key": board.key,
        "judge": visible(board.judge, 80),
        "card": board.card,
        "size": plural(board.sessions, "session"),
        "columns": [
            {"title": one.title, "hint": MEANINGS.get(one.name, ""), "lower_is_better": one.lower_is_better}
            for one in board.columns
        ],
        "lines": [
            {
                "rank": line.rank,
                "name": line.entry.name,
                "page": page_path(line.entry.result),
                "mark": line.entry.result.verification.mark,
                "cells": line.cells,
                "bound": line.bound,
                "missing": line.missing,
            }
            for line in board.lines
        ],
    }


def page_path(result: Accepted) -> str:
    """Where a model's page lies in the site."""
    return f"{result.task}/{result.slug}.html"


def _count(task: Mapping[str, Any]) -> str:
    ranked = sum(len(board["lines"]) for board in task["boards"])
    printed = len(task["reported"]["rows"]) if task["reported"] else 0
    parts = [plural(ranked, "model") if ranked else "", f"{printed} reported" if printed else ""]
    return ", ".join(part for part in parts if part)


def _first_ranked(name: str, boards: Sequence[Board]) -> tuple[bool, str]:
    return all(board.task != name for board in boards), name


def _checked(result: Accepted) -> str:
    one = result.verification
    if one.mark == "self-reported":
        return (
            "The numbers were recomputed from the submitted verdicts. Judge not available to the verifier: the "
            "verdicts are the submitter's own."
        )
    if one.verdicts_recomputed >= one.of:
        return f"The judge was asked again about every image: {plural(one.verdicts_recomputed, 'verdict')}."
    caught = ""
    if one.detection_probability is not None:
        caught = (
            f" Had {EDITED_SHARE:.0%} of the sessions been altered, one of them would have been among those with a "
            f"probability of {one.detection_probability:.1%}."
        )
    asked = f"{one.verdicts_recomputed:,} of {plural(one.of, 'verdict')}"
    return f"The judge was asked again for {asked}, of sessions drawn at random.{caught}"


def _shown_note(shown: int, total: int) -> str:
    if not shown:
        return "The bundle holds no images of whole sessions."
    words = "Verdicts as submitted; their reasons are left out, because no check covers them."
    if shown == total:
        return f"All {plural(total, 'session')}. {words}"
    return (
        f"{shown:,} of {total:,} sessions: one after the other from each combination of track and outcome, in the "
        "order of a hash of their ids, of those whose images are in the bundle. The numbers above are over all. "
        f"{words}"
    )


def _page(template: str, **fields: Any) -> str:
    return _environment().get_template(template).render(version=__version__, **fields) + "\n"


@cache
def _environment() -> "jinja2.Environment":
    environment = page_environment("micebench.leaderboard")
    environment.filters.update(short=lambda value: f"{value:.1f}")
    return environment


def _resource(name: str) -> str:
    return (resources.files("micebench.leaderboard") / "templates" / name).read_text(encoding="utf-8")
