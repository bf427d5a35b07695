"""Turns of the formats that annotate edit types, bracketed instructions, pools and background flags.

MICE-Bench and EdiVal-Bench name these fields differently and mean the same; the generic format offers them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from micebench.instructions import EDIT_TYPES, unquote
from micebench.sessions import Track, Turn
from micebench.tasks import rows

LOST: dict[str, tuple[str, ...]] = {
    "edit_type": ("IF",),
    "formatted": ("IF",),
    "unchanged_objects": ("CC.object",),
    "available_objects": (),
    "all_objects": ("CC.background",),
    "bg_consistency": ("CC.background",),
}
"""Our field -> metrics that cannot be judged without it."""


@dataclass(frozen=True, slots=True)
class AnnotatedRow:
    """A row's values, our field -> its field name, and one "file:line" per turn."""

    values: Mapping[str, Any]
    fields: Mapping[str, str]
    places: Sequence[str]
    required: bool = True


def build_turns(row: AnnotatedRow, instructions: Sequence[str], track: Track) -> tuple[Turn, ...]:
    """One Turn per instruction; what is wrong with a field is entered in `Turn.invalid`, never raised."""
    count = len(instructions)
    columns = {
        name: rows.column(row.values, row.fields[name], row.places, count, accept, required=row.required)
        for name, accept in (
            ("edit_type", _is_edit_type),
            ("formatted", rows.is_text),
            ("unchanged_objects", rows.is_names),
            ("available_objects", rows.is_names),
            ("all_objects", rows.is_names),
            ("bg_consistency", rows.is_flag),
        )
    }
    turns: list[Turn] = []
    for index, instruction in enumerate(instructions):
        invalid: dict[str, str] = {}
        for name, column in columns.items():
            fault = column.faults.get(index + 1)
            # the cu judge of global awareness reads the bracketed instruction too
            lost = (*LOST[name], "GA") if name == "formatted" and track == "cu" else LOST[name]
            for metric in lost if fault else ():
                invalid.setdefault(metric, fault or "")
        formatted = columns["formatted"].values[index]
        turns.append(
            Turn(
                number=index + 1,
                instruction=instruction,
                edit_type=columns["edit_type"].values[index],
                formatted=None if formatted is None else unquote(formatted),
                unchanged_objects=_names(columns["unchanged_objects"].values[index]),
                available_objects=_names(columns["available_objects"].values[index]),
                all_objects=_names(columns["all_objects"].values[index]),
                bg_consistency=columns["bg_consistency"].values[index],
                invalid=invalid,
            )
        )
    return tuple(turns)


def _is_edit_type(value: object) -> bool:
    return value in EDIT_TYPES


def _names(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)
