"""An EdiVal release and the folder of images its scripts make, from photographs that test libraries install."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw

from tests.judges.photographs import photographs
from tests.judges.planted import share

COLUMNS = (
    "image_index", "turns", "task_type", "instructions", "format_instructions", "bg_consistency",
    "unchanged_objects", "available_objects", "all_objects",
)  # fmt: skip
SIDE = 96
WRITING = "OPEN, Hotel, 24"
EDITS = {
    "subject_add": ("Add [kite] on the [right] of [thing]", ["kite"]),
    "subject_remove": ("Remove [straw hat]", ["straw hat"]),
    "subject_replace": ("Replace [boxes] with [cans]", ["boxes"]),
    "color_alter": ("Change the color of [cup] to [blue]", ["cup"]),
    "material_alter": ("Change the material of [chair] to [wood]", ["chair"]),
    "text_change": ("Replace the text '[STOP]' on [sign] with '[Hotel]'", ["sign"]),
    "position_change": ('"Change the position of [green vase] to [above] of [thing]"', ["green vase", "thing"]),
    "count_change": ('"Change the count of [bird] to [1]"', ["bird"]),
    "background_change": ("Change the background to [park]", []),
}
"""Edit type -> bracketed instruction as the release writes it, stray quotes and all, and the objects it edits."""


def write_release(folder: Path, sessions: int) -> Path:
    """instructions.csv and the source images: every edit type in every turn once there are nine sessions."""
    kinds = list(EDITS)
    with (folder / "instructions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for index in range(sessions):
            chosen = [kinds[(index + 4 * turn) % len(kinds)] for turn in range(3)]
            writer.writerows(_rows(index, chosen, alone=index % 4 == 3))
    return folder


def _rows(index: int, kinds: list[str], *, alone: bool) -> list[list[str]]:
    """The three prefix rows of a session; `alone`: nothing is left unchanged after the first turn."""
    named = [name for kind in kinds if kind != "subject_add" for name in EDITS[kind][1]]
    source = list(dict.fromkeys(["thing", *named]))
    orders = [EDITS[kind][0] for kind in kinds]
    plain = [order.replace("[", "").replace("]", "") for order in orders]
    plain = [f"{said}, remain the thing unchanged" if "background" in said else said for said in plain]
    rows: list[list[str]] = []
    for turns in (1, 2, 3):
        edited = {name for kind in kinds[:turns] for name in EDITS[kind][1]}
        unchanged = [name for name in source if name not in edited and not (alone and turns > 1)]
        pool = source + ["kite"] * ("kite" in edited)
        rows.append(
            [
                str(index), str(turns), repr(kinds[:turns]), repr(plain[:turns]), repr(orders[:turns]),
                str("background_change" not in kinds[:turns]), repr(unchanged), repr(pool), repr(pool),
            ]
        )  # fmt: skip
    return rows


def write_images(release: Path, outputs: Path, indices: range) -> Path:
    """Sources into the release; into `outputs` what an editor made of them: photographs, a patch more each turn."""
    pictures = list(photographs(SIDE).values())
    outputs.mkdir(parents=True)
    for index in indices:
        picture = pictures[index % len(pictures)].copy()
        picture.save(release / f"{index}_input_raw.jpg", quality=95)
        with Image.open(release / f"{index}_input_raw.jpg") as source:
            picture = source.convert("RGB")
        picture.save(outputs / f"{index}_input_raw.jpg", quality=95)
        for turn in (1, 2, 3):
            x, y = (int(share(str(index), str(turn), axis) * SIDE / 2) for axis in "xy")
            ImageDraw.Draw(picture).rectangle((x, y, x + 20, y + 15), fill=(40 * turn, 90, 200 - 30 * turn))
            picture.save(outputs / f"{index}_input_raw_turn_{turn}.png")
    return outputs
