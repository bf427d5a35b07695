"""A suggested command is quoted for a shell and names the card folders that it needs."""

import shlex
from pathlib import Path

from micebench.cards import JudgeCard, command, judge_command, load_card
from tests.toy import toy_cards


def test_words_are_quoted_and_folders_are_repeated(tmp_path: Path) -> None:
    said = command("judge", "a b", "--judge", "$(x)", cards=[Path("my cards"), Path("c")])
    assert shlex.split(said) == [
        "micebench",
        "judge",
        "a b",
        "--judge",
        "$(x)",
        "--cards",
        "my cards",
        "--cards",
        "c",
    ]


def test_a_judge_that_does_not_ship_needs_a_card_folder() -> None:
    assert judge_command(Path("r"), "exact") == "micebench judge r --judge exact"
    assert judge_command(Path("r"), "NAME") == "micebench judge r --judge NAME"
    assert judge_command(Path("r")) == "micebench judge r"
    assert judge_command(Path("r"), "mine") == "micebench judge r --judge mine --cards DIR"
    assert judge_command(Path("r"), "my.yaml") == "micebench judge r --judge my.yaml"
    assert judge_command(Path("r"), "mine", cards=[Path("c")]) == "micebench judge r --judge mine --cards c"


def test_a_card_given_by_its_file_is_named_by_its_file(tmp_path: Path) -> None:
    file = toy_cards(tmp_path) / "judges/meter/judge.yaml"
    card = load_card(JudgeCard, str(file))
    assert judge_command(Path("r"), card) == f"micebench judge r --judge {file}"
    assert judge_command(Path("r"), card, cards=[tmp_path]) == f"micebench judge r --judge meter --cards {tmp_path}"
    assert judge_command(Path("r"), load_card(JudgeCard, "exact")) == "micebench judge r --judge exact"
