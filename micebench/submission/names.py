"""Names of submissions: one script, nothing hidden, and none that looks like another model's.

A subset of Unicode's security rules (UTS 39): every letter that is allowed in a name and looks like a Latin one is
mapped to it, so that two names that look alike have one skeleton.
"""

import json
import re
import unicodedata
from pathlib import Path

from micebench.report.formatting import visible
from micebench.submission.errors import BundleError

_TOGETHER = {"CJK": "HAN", "HIRAGANA": "HAN", "KATAKANA": "HAN"}  # Japanese is written in all three
_SCRIPTS = (
    "LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI",
    "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "GEORGIAN",
    "ETHIOPIC", "KHMER", "HANGUL", "HAN",
)  # fmt: skip
"""Those in everyday use; others (Cherokee, Lisu, Coptic ...) have whole alphabets of look-alikes."""
_LATIN = {
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "p", "ß": "b", "ı": "i", "ħ": "h",
    "ŧ": "t", "ŋ": "n", "ə": "e",
}  # fmt: skip
"""Latin letters of living languages that are not an ASCII letter with marks; no others are allowed."""
_LOOKS = {
    # Cyrillic
    "а": "a", "б": "6", "в": "b", "В": "b", "г": "r", "ԁ": "d", "е": "e", "є": "e", "з": "3", "и": "u", "і": "i",
    "ј": "j", "к": "k", "м": "m", "н": "h", "Н": "h", "о": "o", "п": "n", "р": "p", "с": "c", "т": "t", "у": "y",
    "ү": "y", "х": "x", "ц": "u", "ч": "4", "ш": "w", "ь": "b", "ѕ": "s", "һ": "h", "ԛ": "q", "ԝ": "w", "ѵ": "v",
    "ӏ": "l", "я": "r", "ғ": "f", "қ": "k", "ԍ": "g", "ѡ": "w", "ө": "o",
    # Greek; capitals that look unlike their small letters come first
    "Η": "h", "Ν": "n", "Υ": "y", "Μ": "m", "Ρ": "p", "Χ": "x",
    "α": "a", "β": "b", "γ": "y", "δ": "d", "ε": "e", "ζ": "z", "η": "n", "θ": "o", "ι": "i", "κ": "k", "μ": "u",
    "ν": "v", "ο": "o", "π": "n", "ρ": "p", "σ": "o", "ς": "c", "τ": "t", "υ": "u", "χ": "x", "ω": "w", "ϲ": "c",
    "ϳ": "j", "ϝ": "f",
    # Armenian, Hebrew, Arabic, Georgian, Han
    "օ": "o", "ս": "u", "ո": "n", "հ": "h", "ց": "g", "զ": "q", "ք": "p", "լ": "l", "ա": "w", "յ": "j",
    "ס": "o", "ו": "l", "ן": "l", "ט": "u", "ا": "l", "ه": "o", "ہ": "o", "Ⴝ": "s", "口": "o", "ロ": "o", "〇": "o",
    "工": "l", "エ": "l", "一": "-", "ー": "-", "丨": "l", "ノ": "-", "卜": "h", "ト": "h",
    # ASCII
    "1": "l", "|": "l", "!": "l", "i": "l", "0": "o", "$": "s", "@": "a",
}  # fmt: skip
_RESERVED = {
    "reported", "index", "assets", "static", "images", "site", "leaderboard", "readme", "results", "verification",
    "summary", "bundle", "con", "prn", "aux", "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
}  # fmt: skip
"""Files and folders of ``results/`` and of the site, and names that Windows keeps for devices."""


def check_letters(name: str) -> None:
    """Raises ValueError: several scripts, marks, symbols or letters that only look like ordinary ones."""
    if "  " in name:
        raise ValueError("has several blanks in a row")
    scripts: dict[str, None] = {}
    for character in name:
        if character.isascii():
            scripts |= {"LATIN": None} if character.isalpha() else {}
            continue
        script = re.split(r"[ -]", unicodedata.name(character, ""))[0]
        script = _TOGETHER.get(script, script)
        spelled = f"{character!r} ({unicodedata.name(character, 'unnamed')})"
        if unicodedata.category(character) not in ("Lu", "Ll", "Lo"):
            raise ValueError(f"has {spelled}; write it with letters, ASCII digits and ASCII punctuation")
        if script not in _SCRIPTS or (script == "LATIN" and not _ordinary(character)):
            raise ValueError(f"has {spelled}, a letter that can be taken for another one")
        scripts[script] = None
    if len(scripts) > 1:
        raise ValueError(f"mixes {' and '.join(script.capitalize() for script in scripts)} letters; use one script")


def check_folder(slug: str) -> None:
    """Raises ValueError: a name that `results/`, the site or Windows needs itself."""
    if slug.partition(".")[0] in _RESERVED:
        raise ValueError(f"is reserved ({slug.partition('.')[0]!r}); choose another name")


def skeleton(name: str) -> str:
    """The same for all names that look alike: of letters, case, 0 and O, 1, l and I, and punctuation."""
    mapped = "".join(_mapped(character) for character in _without_marks(name))
    looks = mapped.replace("rn", "m").replace("vv", "w")
    return re.sub(r"[\W_]+", "-", looks).strip("-")


def check_unlike_accepted(name: str, slug: str, results: Path) -> None:
    """No accepted submission, of any task, has a name that looks like this one and is another.

    Raises BundleError (check "model").
    """
    mine = skeleton(name)
    for path in sorted(results.glob("*/*/verification.json")):
        try:
            other = json.loads(path.read_bytes())["name"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # `micebench leaderboard` reports damaged results
        if path.parent.name != slug and isinstance(other, str) and skeleton(other) == mine:
            raise BundleError(
                "model",
                f"the name {visible(name, 80)!r} looks like {visible(other, 80)!r}, which was accepted before "
                f"({path.parent.parent.name}/{path.parent.name}); choose another name",
            )


def _ordinary(character: str) -> bool:
    bare = _without_marks(character)
    return bare.isascii() or bare.lower() in _LATIN


def _without_marks(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _mapped(character: str) -> str:
    looks = _LOOKS.get(character) or _LATIN.get(character.lower()) or character.casefold()
    looks = "".join(_LOOKS.get(one, one) for one in looks)
    return "".join(_LOOKS.get(one, one) for one in looks)  # a Cyrillic i is an i, and so an l
