"""``micebench list``: the cards and recipes that can be named on the command line."""

from enum import StrEnum
from typing import Annotated

import typer

from micebench.cli import options


class Kind(StrEnum):
    TASKS = "tasks"
    MODELS = "models"
    JUDGES = "judges"
    RECIPES = "recipes"


def list_cards(
    kind: Annotated[Kind | None, typer.Argument(help="Only this kind.", show_default="all")] = None,
    cards: options.Cards = None,
) -> None:
    """List tasks, models, judges, and recipes of `micebench train`.

    Examples:

      micebench list

      micebench list models --cards my-cards/
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from micebench.cards import EditorCard, JudgeCard, TaskCard, find_cards, find_recipes, load_card, recipe_fields
    from micebench.errors import CardError

    console = Console()
    for name, card_type in ((Kind.TASKS, TaskCard), (Kind.MODELS, EditorCard), (Kind.JUDGES, JudgeCard)):
        if kind not in (None, name):
            continue
        table = Table(title=name.value, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("name", style="cyan", no_wrap=True)
        table.add_column("world", no_wrap=True)
        table.add_column("what it is")
        for card_id in sorted(find_cards(card_type, cards or ())):
            try:
                card = load_card(card_type, card_id, cards or ())
                table.add_row(escape(card.id), card.domain, escape(card.description))
            except CardError as error:
                table.add_row(escape(card_id), "-", f"[red]{escape(str(error))}[/red]")
        console.print(table)
        console.print()
    if kind in (None, Kind.RECIPES):
        table = Table(title="recipes", title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("name", style="cyan", no_wrap=True)
        table.add_column("what it does")
        for recipe_id, path in sorted(find_recipes(cards or ()).items()):
            try:
                said = escape(str(recipe_fields(path).get("description", "")))
            except CardError as error:
                said = f"[red]{escape(str(error))}[/red]"
            table.add_row(escape(recipe_id), said)
        console.print(table)
