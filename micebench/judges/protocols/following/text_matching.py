"""Is this text among what was read? Equality of whole words up to normalisation, never a part of a word."""

import unicodedata
from collections.abc import Sequence


def words(text: str) -> list[str]:
    """NFKC, case folded, split at white space and punctuation; punctuation alone is kept as it is."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in folded)
    return plain.split() or folded.split()


def occurrences(wanted: str, lines: Sequence[str]) -> int:
    """How often `wanted` stands in the lines as a run of whole words, from line to line in order.

    Blanks inside the run do not matter (readers lose and invent them), its two ends do: "ON" is in "ON AIR" and
    not in "LONDON".
    """
    target = "".join(words(wanted))
    read = [word for line in lines for word in words(line)]
    count = start = 0
    while target and start < len(read):
        run, end = "", start
        while end < len(read) and len(run) < len(target):
            run += read[end]
            end += 1
        if run == target:
            count += 1
            start = end
        else:
            start += 1
    return count
