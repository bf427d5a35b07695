"""Names without looks, texts up to normalisation, and what a background instruction keeps."""

import pytest

from micebench.instructions import by_pronoun, remain_names
from micebench.judges.protocols.following.names import bare
from micebench.judges.protocols.following.text_matching import occurrences, words


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("metal black silver tray", "tray"),
        ("black and white cow", "cow"),
        ("fabric dark blue striped tie", "striped tie"),
        ("plastic white street light", "street light"),
        ("Red Car", "Car"),
        ("gold", "gold"),
        ("red glass", "glass"),
        ("man and dog", "man and dog"),
        ("light bulb", "light bulb"),
        ("", ""),
    ],
)
def test_a_name_loses_colour_and_material_and_keeps_its_head(name: str, wanted: str) -> None:
    assert bare(name) == wanted


@pytest.mark.parametrize(
    ("wanted", "lines", "times"),
    [
        ("ON", ["ON AIR"], 1),
        ("ON", ["LONDON"], 0),
        ("on air", ["On-Air!", "on", "air"], 2),
        ("on air", ["on the air"], 0),
        ("a a", ["a a a a a"], 2),
        ("ﬁt", ["FIT"], 1),
        ("ＡＢ", ["ab"], 1),
        ("Straße", ["STRASSE"], 1),
        ("酒店", ["酒店"], 1),
        ("酒店", ["大酒店"], 0),
        ("!!", ["!!", "!"], 1),
        ("!!", ["hey"], 0),
        ("one two", ["one", "", "two"], 1),
        ("x", [], 0),
        ("", ["a"], 0),
    ],
)
def test_a_text_is_a_run_of_whole_words(wanted: str, lines: list[str], times: int) -> None:
    assert occurrences(wanted, lines) == times


def test_words_are_folded_and_split() -> None:
    assert words("It's  A\tCAFÉ—1,5") == ["it", "s", "a", "café", "1", "5"]


@pytest.mark.parametrize(
    ("instruction", "names", "pronouns"),
    [
        ("Change the background to beach, remain the red cup, tin can unchanged", ["red cup", "tin can"], []),
        ("With this rule active, Change the background to x, remain the a b unchanged", ["a b"], []),
        ("Change the background to pond, remain them unchanged", ["them"], ["them"]),
        (
            "Change the background to pond, remain the cow, leave them unchanged",
            ["cow", "leave them"],
            ["leave them"],
        ),
        ("Change the background to desert", [], []),
    ],
)
def test_the_remain_clause_is_read(instruction: str, names: list[str], pronouns: list[str]) -> None:
    assert remain_names(instruction) == names
    assert [name for name in names if by_pronoun(name)] == pronouns
