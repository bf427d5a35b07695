"""Cards: small YAML files that describe a task, a judge or an editor."""

from micebench.cards.commands import command, judge_command
from micebench.cards.kinds import resolve_kind
from micebench.cards.load import (
    CardFolders,
    card_hash,
    check_fields,
    find_cards,
    find_recipes,
    load_card,
    read_yaml,
    yaml_fields,
)
from micebench.cards.recipes import recipe_fields, recipe_path
from micebench.cards.resolve import failure_of, made, resolve
from micebench.cards.schema import AdapterSource, Card, DataSource, EditorCard, JudgeCard, TaskCard

__all__ = [
    "AdapterSource",
    "Card",
    "CardFolders",
    "DataSource",
    "EditorCard",
    "JudgeCard",
    "TaskCard",
    "card_hash",
    "check_fields",
    "command",
    "failure_of",
    "find_cards",
    "find_recipes",
    "judge_command",
    "load_card",
    "made",
    "read_yaml",
    "recipe_fields",
    "recipe_path",
    "resolve",
    "resolve_kind",
    "yaml_fields",
]
