"""`results/` as a static site. Equal results give equal bytes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from micebench.cards import command
from micebench.errors import DataError, MicebenchError
from micebench.leaderboard.bundle_reader import read_evidence
from micebench.leaderboard.pages import (
    gallery_markup,
    index_page,
    model_page,
    page_path,
    script,
    stylesheet,
)
from micebench.leaderboard.ranking import Board, Entry, boards
from micebench.leaderboard.results import Results
from micebench.store.manifest import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

LISTING = "site.json"
"""Names every file of the site, so that a later build, or push, knows which ones it may take away."""
_FORMAT = 1
_FIXED = ("leaderboard.css", "leaderboard.js", "README.md", "index.html")
_FILE = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")  # nothing outside, no wildcard
_SPACE = """---
title: micebench leaderboard
sdk: static
app_file: index.html
pinned: false
---

Built by `micebench leaderboard build` from accepted submissions. See index.html.
"""


@dataclass(frozen=True)
class Built:
    """What was built: number of models and of reported rows, and the files, relative to the site."""

    models: int
    reported: int
    files: tuple[str, ...]


def build_site(results: Results, out: Path) -> Built:
    """Write the site into `out`. Files of an earlier build that are no longer part of it are removed.

    Raises:
        DataError: a result that is not what was verified; `out` holds something else than an earlier build.
        MicebenchError: a bundle that cannot be read; a disk that refuses.
    """
    before = _checked_listing(out)
    entries: list[Entry] = []
    galleries: dict[Path, tuple[Markup, ...]] = {}
    for result in results.accepted:
        evidence = read_evidence(result)
        entries.append(Entry(result, evidence.manifest, evidence.values, evidence.standing))
        galleries[result.folder] = gallery_markup(evidence.cards)
    found = boards(entries)
    lines = [(board, line) for board in found for line in board.lines]
    files = {*_FIXED, *(page_path(line.entry.result) for _, line in lines)}
    _write_listing(out, before | files)  # first: a build that is cut off can be told from somebody's files
    for board, line in lines:
        result = line.entry.result
        _write(out / page_path(result), model_page(board, line, galleries.pop(result.folder)))
    for name, text in zip(_FIXED, (stylesheet(), script(), _SPACE, index_page(found, results.reported)), strict=True):
        _write(out / name, text)
    _remove(out, before - files)
    _write_listing(out, files)
    return Built(len(entries), sum(map(len, results.reported.values())), tuple(sorted(files)))


def ranked(results: Results) -> list[Board]:
    """The boards alone, without pages."""
    evidence = ((result, read_evidence(result, shown=0)) for result in results.accepted)
    return boards(Entry(result, one.manifest, one.values, one.standing) for result, one in evidence)


def listing(site: Path) -> tuple[str, ...] | None:
    """The files that an earlier build has written into `site`; None if there was none."""
    try:
        return parse_listing((site / LISTING).read_bytes())
    except OSError:
        return None
    except DataError as error:
        raise DataError(f"{site / LISTING}: {error}; remove it, or give another --out") from error


def parse_listing(data: bytes) -> tuple[str, ...]:
    """The files a listing names. Raises DataError if it is none, or names anything outside of its folder."""
    try:
        fields = json.loads(data)
        names = [str(name) for name in fields["files"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError("not the listing of a site") from error
    for name in names:
        if not _FILE.fullmatch(name):
            raise DataError(f"names {name!r}, which no site has")
    return tuple(names)


def _checked_listing(out: Path) -> set[str]:
    """The files of an earlier build. Raises DataError if `out` holds something else."""
    before = listing(out)
    if before is not None:
        return set(before)
    if out.exists() and (not out.is_dir() or any(not path.name.startswith(".") for path in out.iterdir())):
        raise DataError(f"{out}: holds something that is not a site built by micebench; give another --out")
    return set()


def _write_listing(out: Path, files: set[str]) -> None:
    _write(out / LISTING, json.dumps({"format": _FORMAT, "files": sorted(files)}, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())


def _remove(out: Path, names: set[str]) -> None:
    for name in sorted(names):
        path = out / name
        if path.parent.is_symlink():
            continue
        try:
            path.unlink(missing_ok=True)
            if path.parent != out and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise MicebenchError(f"{path}: cannot be removed ({error.strerror}); remove it") from error


def site_files(site: Path) -> Iterator[Path]:
    """The files of a built site. Raises DataError if it is none, or if one is missing."""
    names = listing(site)
    if names is None:
        raise DataError(
            f"{site}: not a site; build it with `{command('leaderboard', 'build', 'results/', '--out', site)}`"
        )
    for name in (*names, LISTING):
        path = site / name
        if not path.is_file():
            raise DataError(f"{path}: missing; build the site again")
        yield path
