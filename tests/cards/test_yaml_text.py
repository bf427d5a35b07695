"""Cards are plain data: whatever else a YAML file holds is one line that names file, line and remedy."""

import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micebench.cards import EditorCard, check_fields, load_card, read_yaml, recipe_fields
from micebench.cards.yaml_text import MAX_BYTES, load_yaml
from micebench.errors import CardError


def load(tmp_path: Path, content: str | bytes) -> object:
    path = tmp_path / "card.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_yaml(path)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", r":3: .*the key 'a' is given twice"),
        ("o:\n  x: 1\n  x: 1\n", r":3: .*the key 'x' is given twice"),
        ("1: a\n'1': b\n", r":2: .*given twice"),
        (BOMB, r"aliases expand to too many values"),
        ("a: &a [*a]\n", r":1: .*contains itself"),
        ("a: &a {<<: *a}\n", r":1: .*contains itself"),
        ("a: " + "[" * 2000, r"nested deeper than 32 levels"),
        ("{a: " * 2000, r"nested deeper than 32 levels"),
        ("- " * 2000, r"nested deeper than 32 levels"),
        ("a: 017\n", r":1: .*017 may be octal or decimal"),
        ("a: " + "1" * 5000, r":1: .*no whole number of fewer than 20 digits"),
        ("a: 0x" + "f" * 5000, r"more than 64 bits"),
        ("a: .nan\n", r"\.nan is no finite number"),
        ("a: 1.0e+999\n", r"no finite number"),
        ("no: 1\n", r":1: .*the key no is no text; put it in quotes"),
        ("2024-01-01: 1\n1.5: 2\n", r":2: .*the key 1.5 is no text"),
        ("[a]: 1\n", r"no text"),
        ("a: !!python/object/apply:os.system [id]\n", r":1: .*tag 'python/object/apply:os.system' is not allowed"),
        ("a: !!binary aGk=\n", r"tag 'binary' is not allowed"),
        ("a: !!set {x}\n", r"tag 'set' is not allowed"),
        ("a: !!bool x\n", r"card.yaml"),
        ("a: !!int\n", r":1: .*no whole number"),
        ("a: !!float\n", r":1: .*no number"),
        ('a: "\\U0FFFFFFF"\n', r"card.yaml:1"),
        ('a: "\\ud83d"\n', r":1: .*half a surrogate pair"),
        ("a: \x00\n", r":1: .*U\+0000 is not allowed"),
        ("a:\n\tb: 1\n", r":2: .*cannot start any token"),
        ("a: 1\n---\nb: 2\n", r"single document"),
        (b"a: 1\nb: \xff\n", r"UTF-8 text \(byte 0xff in line 2\)"),
        ("a: 1".encode("utf-16"), r"UTF-16 text; save it as UTF-8"),
        ("a: 1 #" + "x" * MAX_BYTES, r"larger than 0.5 MiB"),
    ],
)
def test_what_is_no_plain_data_is_refused_in_one_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    began = time.process_time()
    with pytest.raises(CardError, match=said) as caught:
        load(tmp_path, content)
    assert time.process_time() - began < 10
    assert "\n" not in str(caught.value)
    assert "card.yaml" in str(caught.value)


def test_what_yaml_would_guess_is_the_text_that_was_written(tmp_path: Path) -> None:
    found = load(tmp_path, "a: 2024-01-01\nb: 16:9\nc: 1e3\nd: =\ne: 2001-12-14 21:59:43.10\nf: 1:30.5\n")
    assert found == {
        "a": "2024-01-01",
        "b": "16:9",
        "c": "1e3",
        "d": "=",
        "e": "2001-12-14 21:59:43.10",
        "f": "1:30.5",
    }


def test_what_cards_say_today_is_read_as_before(tmp_path: Path) -> None:
    content = (
        "\ufeffa: &x {b: [1, -2, 1_000, 0x10], c: 2.0e-4}\nd: {<<: *x, e: yes}\nf: ~\ng: .inf\nh: !!str 017\n5: x\n"
    )
    base = {"b": [1, -2, 1000, 16], "c": 2.0e-4}
    found = load(tmp_path, content)
    assert found == {"a": base, "d": {**base, "e": True}, "f": None, "g": math.inf, "h": "017", 5: "x"}


def test_an_emoji_written_as_two_escapes_is_one_character(tmp_path: Path) -> None:
    assert load(tmp_path, 'a: "\\ud83d\\ude00"\n') == {"a": "\U0001f600"}


@pytest.mark.parametrize(("content", "said"), [("", "is empty"), ("- a\n", "holds a list"), ("a\n", "holds a str")])
def test_a_card_that_is_no_mapping_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(CardError, match=rf"x\.yaml: {said}; expected a mapping"):
        read_yaml(tmp_path / "x.yaml", EditorCard)


@pytest.mark.parametrize(("value", "shown"), [("no", "false"), ("1_000", "1000"), ("1.5", "1.5")])
def test_a_word_that_yaml_reads_otherwise_is_to_be_quoted(tmp_path: Path, value: str, shown: str) -> None:
    path = tmp_path / "editor.yaml"
    path.write_text(f"id: {value}\ndescription: x\ndomain: any\neditor: a:B\n")
    with pytest.raises(CardError, match=rf"id: .* found {shown}; put the value in quotes"):
        load_card(EditorCard, str(path))


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, said in (("pipe", "a pipe"), ("folder", "a folder"), ("zero", "a device"), ("loop", "symbolic links")):
        with pytest.raises(CardError, match=said):
            recipe_fields(tmp_path / f"{name}.yaml")
    with pytest.raises(CardError, match="cannot be read"):
        recipe_fields(tmp_path / "a\0b.yaml")


def test_a_name_that_no_file_can_have_is_an_unknown_card() -> None:
    for name in ("x" * 300, "a\0b", "\udcff", "\ud800", "a\nb"):
        with pytest.raises(CardError, match="unknown model") as caught:
            load_card(EditorCard, name)
        assert "\n" not in str(caught.value)
    with pytest.raises(CardError, match="no model card at"):
        load_card(EditorCard, "x" * 300 + ".yaml")


def test_an_id_is_short_enough_for_a_folder() -> None:
    said = {"id": "x" * 101, "description": "", "domain": "any", "editor": "a:B"}
    with pytest.raises(CardError, match=r"id: .*at most 100"):
        check_fields(said, EditorCard, where="card")


def test_a_base_that_is_no_name_and_a_long_chain_of_bases_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: 1\n")
    with pytest.raises(CardError, match="base is 1; give the id"):
        recipe_fields(tmp_path / "a.yaml")
    for number in range(40):
        (tmp_path / f"{number}.yaml").write_text(f"base: {tmp_path / str(number + 1)}.yaml\n")
    with pytest.raises(CardError, match="recipes on top of each other"):
        recipe_fields(tmp_path / "0.yaml")


_TOKENS = st.sampled_from(
    [
        *("a", "b: ", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "? ", "|", ">", '"', "'"),
        *("!!str ", "!!int ", "!!float ", "!!bool ", "!!binary ", "!t ", "\\", "\\ud800", "\\U0FFFFFFF", "#", "%"),
        *("---\n", "...", "\t", "1" * 30, "017", "0x", "1:30", "2024-01-01", ".nan", ".inf", "~", "no", "="),
        *("\x00", "\ufeff", "\x85", "\u2028", "\U0001f600", "é", "- - "),
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.lists(_TOKENS, max_size=40).map("".join), st.text(max_size=60), st.binary(max_size=60)))
def test_any_bytes_are_plain_data_or_one_line(tmp_path: Path, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    try:
        found = load(tmp_path, data)
    except CardError as error:
        found = str(error)
        assert ("card.yaml" in found, "\n" in found) == (True, False)
    pending = [found]
    while pending:
        value = pending.pop()
        assert type(value) in (str, int, float, bool, type(None), list, dict)
        assert not isinstance(value, float) or not math.isnan(value)
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, dict):
            assert all(type(key) in (str, int) for key in value)
            pending += value.values()
        elif isinstance(value, list):
            pending += value
