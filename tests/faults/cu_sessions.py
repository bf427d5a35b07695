"""The toy's sessions as a cu track."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from micebench.cards import TaskCard
from micebench.sessions import Session
from tests import toy


def sessions(card: TaskCard, folder: Path | None) -> Iterator[Session]:
    return (replace(session, track="cu") for session in toy.sessions(card, folder))
