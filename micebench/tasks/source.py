"""Where a task's files are: a local folder (--data DIR), or the hub at the card's pinned revision."""

import os
from pathlib import Path
from typing import cast

from micebench.cards import TaskCard
from micebench.errors import DataError


def locate(card: TaskCard, data: Path | str | None = None) -> Path | None:
    """The folder of a task's files; None for a task that makes its own sessions.

    Raises:
        DataError: no such folder, no source at all, no pinned revision, hub out of reach; each with a remedy.
    """
    if card.data is None:
        if data is not None:
            raise DataError(f"task {card.id!r} makes its own sessions; leave --data out")
        return None
    if data is not None:
        return _given(card, Path(data))
    if card.data.repo is None:
        raise DataError(
            f"task {card.id!r} has no public address micebench knows: give its folder with --data DIR "
            f"(it holds {_files(card)}; layout: tasks/{card.id}/README.md)"
        )
    if card.data.revision is None:
        raise DataError(
            f"task {card.id!r}: no pinned revision in the card; give --data DIR or set data.revision "
            f"(the 40-character commit of {card.data.repo})"
        )
    return _snapshot(card, card.data.repo, card.data.revision)


def _given(card: TaskCard, data: Path) -> Path:
    try:
        folder = data.expanduser()
    except RuntimeError as error:  # ~somebody
        raise DataError(f"--data {data}: {error}") from error
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "does not exist"
        raise DataError(f"--data {data}: {what}; give the folder that holds {_files(card)}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(f"--data {data}: no permission to read the folder")
    try:
        os.path.abspath(folder).encode()
    except UnicodeError as error:
        raise DataError(f"--data {str(data)!r}: the folder's name is not UTF-8; rename it, or link to it") from error
    return folder


def _files(card: TaskCard) -> str:
    return ", ".join(card.data.files) if card.data and card.data.files else "the annotation files"


def _snapshot(card: TaskCard, repo: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    files = card.data.files if card.data else []
    # parquet carries its images; other annotation files need what lies beside them
    only = files if files and all(name.endswith(".parquet") for name in files) else None
    place = f"{repo}@{revision[:8]}"
    # the bases are the errors of whichever HTTP library this version of the hub client is built on
    transport = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    unreachable = (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, *transport)
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=only))
    except GatedRepoError as error:
        raise DataError(
            f"{place} is gated: accept its terms on the hub, run `hf auth login`, or give --data DIR"
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(f"{place}: the hub has no such revision; correct data.revision in the card") from error
    except RepositoryNotFoundError as error:
        raise DataError(f"{place}: the hub has no such dataset, or it is private; give --data DIR") from error
    except unreachable as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(
            f"{place} is not in the local cache and the hub cannot be reached ({first_line}); "
            f"go online once, or download it elsewhere and give --data DIR"
        ) from error
