"""Command lines that messages suggest: quoted for a shell, and with the card folders that they need to work."""

import shlex
from pathlib import Path

from micebench.cards.load import CardFolders, find_cards
from micebench.cards.schema import JudgeCard

NAME = "NAME"
"""Stands for a judge that the user has to choose."""


def command(verb: str, *words: str | Path, cards: CardFolders = ()) -> str:
    """``micebench VERB WORDS --cards FOLDER ...``, to be pasted into a shell."""
    folders = (word for folder in cards for word in ("--cards", str(folder)))
    return shlex.join(["micebench", verb, *map(str, words), *folders])


def judge_command(run: Path, judge: str | JudgeCard = "", *flags: str, cards: CardFolders = ()) -> str:
    """``micebench judge RUN --judge JUDGE ...``.

    Args:
        judge: "" for the run's own; a card is named by its id where that finds it, else by its file.
        cards: the folders this command was given. Without them, a judge that does not ship needs ``--cards DIR``.
    """
    if isinstance(judge, JudgeCard):
        judge = _named(judge, cards)
    chosen = ["--judge", judge] if judge else []
    is_name = bool(judge) and judge != NAME and Path(judge).suffix not in (".yaml", ".yml")
    if is_name and not cards and judge not in find_cards(JudgeCard):
        cards = [Path("DIR")]
    return command("judge", run, *chosen, *flags, cards=cards)


def _named(card: JudgeCard, cards: CardFolders) -> str:
    found = find_cards(JudgeCard, cards).get(card.id)
    if card.folder is None or (found is not None and found.parent == card.folder):
        return card.id
    file = card.folder / "judge.yaml"
    return str(file) if file.is_file() else card.id
