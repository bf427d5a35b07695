"""The contact sheet of a model card: sessions that went well and sessions that did not, with what was asked."""

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from micebench.report.formatting import number, visible, without_rule
from micebench.report.session_sampling import Key, Outcome, outcomes, pick

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

    from micebench.engine.run_reader import Run
    from micebench.sessions import Session

GOOD, BAD, WORN = 4, 4, 2
"""Sessions shown: all turns followed; failed; least consistent of the others."""

_INK, _QUIET, _BAND, _PASS, _FAIL = "#1f2328", "#57606a", "#eef1f4", "#1a7f37", "#b42318"
_TILE, _COLUMN, _EDGE = 144, 226, 22  # px
_TEXT, _HEAD = 13, 15  # px
_LINE = 17
_WORDS = 400  # characters of an instruction or a reason
_PALETTE = 256
_LIMIT_BYTES = 390_000


@dataclass(slots=True)
class _Shown:
    """What the sheet says about one session and repeat."""

    images: dict[int, str] = field(default_factory=dict)  # turn -> sha256
    verdicts: dict[tuple[int, str], tuple[float | None, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Words:
    """A piece of wrapped text: one tuple (text, colour) per line."""

    lines: tuple[tuple[str, str], ...]

    @property
    def height(self) -> int:
        return _LINE * len(self.lines)


def choose(found: Mapping[Key, Outcome]) -> list[tuple[str, list[Key]]]:
    """(heading, sessions) of the sheet: good ones, bad ones by the turn that failed first, and worn ones.

    Good and bad ones are drawn by the hash of their ids, one after the other from each track and outcome: no
    one's choice, and the same for equal runs. Worn are those with the lowest content consistency among the rest.
    """
    good = pick({key: one for key, one in found.items() if one.kind == "pass"}, GOOD)
    bad = pick({key: one for key, one in found.items() if one.first_failure is not None}, BAD)
    rest = [key for key, one in found.items() if one.scored and key not in {*good, *bad}]
    worn = sorted(rest, key=lambda key: (found[key].consistency / found[key].scored, found[key].order))[:WORN]
    by_turn: dict[int, list[Key]] = defaultdict(list)
    for key in bad:
        by_turn[found[key].first_failure or 0].append(key)
    groups = [("Every turn followed", good)]
    groups += [(f"Turn {turn} is the first that was not followed", by_turn[turn]) for turn in sorted(by_turn)]
    groups.append(("Least consistent with the source image", worn))
    return [(heading, keys) for heading, keys in groups if keys]


def contact_sheet(run: "Run") -> bytes:
    """The sheet as PNG, below 400 kB: one row per session, its source image and every turn."""
    groups = choose(outcomes(run))
    picked = [key for _, keys in groups for key in keys]
    evidence = _evidence(run, picked)
    ids = {name for name, _ in picked}
    sessions = {session.id: session for session in run.sessions() if session.id in ids}
    columns = 1 + max((len(session.turns) for session in sessions.values()), default=1)
    strips = [_legend(columns)]
    for heading, keys in groups:
        strips.append(_band(heading, columns))
        strips += [_row(run, sessions[key[0]], evidence[key], columns) for key in keys]
    return _encode(_stack(strips))


def _evidence(run: "Run", picked: Sequence[Key]) -> dict[Key, _Shown]:
    found = {key: _Shown() for key in picked}
    for edit in run.edits():
        if (shown := found.get((edit.session, edit.repeat))) is not None and edit.image is not None:
            shown.images[edit.turn] = edit.image
    for verdict in run.verdicts():
        if (shown := found.get((verdict.session, verdict.repeat))) is not None:
            shown.verdicts[verdict.turn, verdict.metric] = (verdict.value, verdict.reason)
    return found


def _row(run: "Run", session: "Session", shown: _Shown, columns: int) -> "Image":
    """One session: images with the words under them; as high as its longest words."""
    rule = session.rule.text if session.rule else ""
    head = [("source image", _QUIET), (session.id, _INK), (f"track {session.track}", _QUIET)]
    texts = [_wrap([*head, (f"rule: {rule}" if rule else "", _INK)])]
    images = [_open(session.image.read())]
    for turn in session.turns:
        said = without_rule(turn.instruction, rule)
        texts.append(_wrap([*_marks(shown, turn.number), (said, _INK), _why(shown, turn.number)]))
        sha = shown.images.get(turn.number)
        images.append(_open(run.blob(sha)) if sha else _blank((_TILE, _TILE), _BAND))
    strip = _blank((_width(columns), _TILE + 8 + max(text.height for text in texts) + 18))
    draw = _draw(strip)
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        left = _EDGE + place * _COLUMN
        strip.paste(image, (left, 0))
        for line, (words, colour) in enumerate(text.lines):
            draw.text((left, _TILE + 8 + line * _LINE), words, fill=colour, font=_font(_TEXT))
    return strip


def _marks(shown: _Shown, turn: int) -> list[tuple[str, str]]:
    """``turn 1 ✓ followed`` or ``✗ not followed``; the same of everything so far, and consistency."""
    following, _ = shown.verdicts.get((turn, "IF"), (None, ""))
    aware, _ = shown.verdicts.get((turn, "GA"), (None, ""))
    marks = [(f"turn {turn} not scored", _QUIET)]
    if following is not None:
        marks = [(f"turn {turn} ✓ followed", _PASS) if following > 0.5 else (f"turn {turn} ✗ not followed", _FAIL)]
    if aware is not None and following is not None and (aware > 0.5) != (following > 0.5):
        marks.append(("✓ everything so far", _PASS) if aware > 0.5 else ("✗ not everything so far", _FAIL))
    parts = [shown.verdicts.get((turn, part), (None, ""))[0] for part in ("CC.object", "CC.background")]
    known = [value for value in parts if value is not None]
    said = f"CC {number(100 * sum(known) / len(known))}" if known else "CC –"
    return [*marks, (said, _QUIET)]


def _why(shown: _Shown, turn: int) -> tuple[str, str]:
    """The judge's reason where something failed."""
    for metric in ("IF", "GA"):
        value, reason = shown.verdicts.get((turn, metric), (None, ""))
        if value is not None and value <= 0.5:
            return f"judge: {reason}", _FAIL
    return "", _QUIET


def _legend(columns: int) -> "Image":
    said = (
        "✓ ✗  whether this turn's instruction was followed (IF); a second mark where the answer for everything asked "
        "so far (GA) is another one. CC: how much of what was not to change is still as in the source image (100: "
        "all of it). Sessions are drawn by the hash of their ids."
    )
    text = _wrap([(said, _QUIET)], width=_width(columns) - 2 * _EDGE)
    strip = _blank((_width(columns), 14 + text.height + 8))
    for line, (words, colour) in enumerate(text.lines):
        _draw(strip).text((_EDGE, 14 + line * _LINE), words, fill=colour, font=_font(_TEXT))
    return strip


def _band(heading: str, columns: int) -> "Image":
    strip = _blank((_width(columns), 46))
    draw = _draw(strip)
    draw.rectangle((0, 4, _width(columns), 34), fill=_BAND)
    draw.text((_EDGE, 10), heading, fill=_INK, font=_font(_HEAD, bold=True))
    return strip


def _wrap(pieces: Iterable[tuple[str, str]], width: int = _COLUMN - 14) -> _Words:
    """Pieces of (text, colour), each from a new line, broken at blanks so that no line is wider than `width`."""
    font = _font(_TEXT)
    lines: list[tuple[str, str]] = []
    for text, colour in pieces:
        line = ""
        for word in (part for whole in visible(text, _WORDS).split() for part in _broken(whole, width)):
            longer = f"{line} {word}".strip()
            if font.getlength(longer) > width:
                lines.append((line, colour))
                longer = word
            line = longer
        if line:
            lines.append((line, colour))
    return _Words(tuple(lines))


def _broken(word: str, width: int) -> list[str]:
    """A word that is wider than a line, in pieces that are not."""
    pieces = [""]
    for character in word:
        if _font(_TEXT).getlength(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _open(data: bytes) -> "Image":
    """A stored image at the size of a tile: small ones by whole multiples, pixel by pixel."""
    import PIL.Image

    with PIL.Image.open(io.BytesIO(data)) as stored:
        image = stored.convert("RGB")
    scale = _TILE // max(image.size)
    if scale >= 1:
        return image.resize((image.width * scale, image.height * scale), PIL.Image.Resampling.NEAREST)
    image.thumbnail((_TILE, _TILE))
    return image


def _stack(strips: "Sequence[Image]") -> "Image":
    sheet = _blank((strips[0].width, sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _encode(sheet: "Image") -> bytes:
    """PNG; with a palette of 256 colours where noise would make it too large for a repository."""
    import PIL.Image

    for image in (sheet, sheet.quantize(_PALETTE, PIL.Image.Quantize.MEDIANCUT, dither=PIL.Image.Dither.NONE)):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        if buffer.tell() < _LIMIT_BYTES:
            break
    return buffer.getvalue()


def _width(columns: int) -> int:
    return 2 * _EDGE + columns * _COLUMN


def _blank(size: tuple[int, int], colour: str = "white") -> "Image":
    import PIL.Image

    return PIL.Image.new("RGB", size, colour)


def _draw(image: "Image") -> "ImageDraw":
    import PIL.ImageDraw

    return PIL.ImageDraw.Draw(image)


@cache
def _font(size: int, *, bold: bool = False) -> "FreeTypeFont":
    """DejaVu Sans, which travels with matplotlib and has the marks."""
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    path = findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal"))
    return ImageFont.truetype(path, size)
