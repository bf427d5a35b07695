"""Words and numbers as the reports show them; the same in the terminal and on the page."""

from micebench.errors import printable
from micebench.verdicts import MEASURES

LABELS: dict[str, str] = {
    "marginal_success": "Marginal success",
    "turn_success": "Turn-k success",
    "content_consistency": "Content consistency",
    "overall": "Overall",
    "global_awareness": "Global awareness",
    "cumulative_awareness": "Cumulative awareness",
    "collapse": "Collapse",
    "quality_drift": "Quality drift",
}
"""Names of summary.json in reading order, with their labels."""

MEANINGS: dict[str, str] = {
    "marginal_success": "this turn's instruction was followed",
    "turn_success": "the instructions of turns 1 to k were all followed",
    "content_consistency": "what no instruction touched still looks like the source image",
    "overall": "square root of turn-k success × content consistency",
    "global_awareness": "the image complies with everything accumulated so far",
    "cumulative_awareness": "it did so at this and at every earlier turn",
    "collapse": "two destroyed images in a row by turn k; lower is better",
    "quality_drift": "image quality lost against the source image; lower is better",
}

JUDGED_BY: dict[str, tuple[str, ...]] = {
    "marginal_success": ("IF",),
    "turn_success": ("IF",),
    "content_consistency": ("CC.object", "CC.background"),
    "overall": ("IF", "CC.object", "CC.background"),
    "global_awareness": ("GA",),
    "cumulative_awareness": ("GA",),
    "collapse": ("destroyed",),
    "quality_drift": ("quality",),
}
"""Which verdicts a number is computed from."""

_MEASURED: dict[str, str] = {
    "L1": "1 - mean absolute difference",
    "L2": "1 - mean squared difference",
    "PSNR": "PSNR in dB, 50 dB = 100",
    "SSIM": "SSIM × 100",
    "LPIPS": "1 - LPIPS",
    "CLIP": "cosine of CLIP's image features × 100",
    "CLIP.text": "cosine of CLIP's features of the image and of the wanted description × 100",
    "CLIP.direction": "cosine of change in image and change in description, by CLIP; 50 = unrelated",
    "DINO": "cosine of DINO's image features × 100",
}
for _name in MEASURES:
    _kind, _to = _name.split(".")
    LABELS[_name] = f"{_kind} {_to}" if _name in _MEASURED else f"{_kind} to {_to}"
    MEANINGS[_name] = _MEASURED.get(_name) or f"{_MEASURED[_kind]}, compared with the {_to} image"
    JUDGED_BY[_name] = (_name,)

LEGITIMATE = ("not_applicable", "invalid_annotation")
"""Statuses that leave a mean by definition; all others except ``ok`` are gaps, and bounded."""

STATUS_WORDS: dict[str, str] = {
    "ok": "scored",
    "not_applicable": "not applicable",
    "invalid_annotation": "invalid annotation",
    "unparsed": "judge's reply unparsed",
    "refused": "judge refused",
    "error": "judge call failed",
    "missing": "not judged",
}


def label(name: str) -> str:
    """A metric's name for people; names of other packages' metrics are only unsnaked."""
    return LABELS.get(name) or visible(name.replace("_", " ").capitalize(), 40)


def without_rule(instruction: str, rule: str) -> str:
    """What an instruction says after the session's standing rule, which is shown apart; without it, all of it."""
    rest = instruction.removeprefix(rule).strip()
    return f"… {rest}" if rule and rest and instruction.startswith(rule) else instruction


def visible(text: object, limit: int = 4000) -> str:
    """`text` on one line with nothing hidden in it, at most `limit` characters plus a note.

    Control characters, direction overrides, lone surrogates and unassigned code points are written out as
    ``\\x1b`` or ``\\u202e``, so that no instruction can move the cursor, turn the line around or hide words.
    """
    whole = str(text)
    shown = printable(whole[:limit])
    rest = len(whole) - limit
    return f"{shown}… ({rest:,} more characters)" if rest > 0 else shown


def number(value: float | None) -> str:
    """One decimal, as the field prints percentages; an en dash where nothing was scored."""
    if value is None:
        return "–"
    return f"{value:.1f}".replace("-0.0", "0.0") if abs(value) < 0.05 else f"{value:.1f}"


def interval(low: float | None, high: float | None) -> str:
    """``"91.2–95.0"``, or "" where there is none; a negative end is set off by " to "."""
    if low is None or high is None:
        return ""
    dash = " to " if low < -0.05 or high < -0.05 else "–"
    return f"{number(low)}{dash}{number(high)}"


def p_value(p: float | None, unknown: str = "") -> str:
    """Three decimals; `unknown` where there is no test."""
    if p is None:
        return unknown
    return "<.001" if p < 0.001 else f"{p:.3f}"


def plural(count: int, noun: str) -> str:
    """``"1 session"``, ``"1,234 sessions"``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
