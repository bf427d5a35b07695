"""A row of unknown origin is a session, or one line that names file and line; images stay in the data folder."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from micebench.annotation.label_files import read_labels
from micebench.cards import DataSource
from micebench.errors import CardError, DataError, MicebenchError
from micebench.tasks.audit.report import audit
from micebench.tasks.edival import _COLUMNS
from micebench.tasks.load import load_task
from micebench.tasks.rows import BadRow
from micebench.tasks.source import locate
from tests.tasks.hand_made import make_card, mice_row, png, read, read_leniently, write, write_card, write_lines

CARD = make_card("jsonl", "my.jsonl")
SMALL = {"id": "a", "image": "a.png", "instructions": ["Remove the cup"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a", "id": "b", "image": "a.png", "instructions": ["x"]}', r"my\.jsonl:2: .*'id' is given twice"),
        ('{"id": "a", "image": "a.png", "instructions": ["\\ud83d"]}', r"my\.jsonl:2: .*half a surrogate pair"),
        ('{"id": ' + "[" * 3000 + "]" * 3000 + "}", r"my\.jsonl:2: .*nested deeper"),
        ('{"id": ' + "1" * 5000 + "}", r"my\.jsonl:2: .*thousands of digits"),
        ('{"id": NaN, "image": "a.png", "instructions": ["x"]}', r"my\.jsonl:2 id: expected text, found nan"),
        (b'{"id": "\xff"}', r"my\.jsonl:2: .*UTF-8"),
        (b'{"id": "a\x00"}', r"my\.jsonl:2: .*control character"),
    ],
)
def test_a_hostile_row_is_refused_by_its_line_and_costs_no_other(
    tmp_path: Path, line: str | bytes, said: str
) -> None:
    line = line if isinstance(line, bytes) else line.encode()
    write(
        tmp_path / "my.jsonl",
        json.dumps(SMALL).encode() + b"\n" + line + b"\n" + json.dumps({**SMALL, "id": "c"}).encode(),
    )
    with pytest.raises(BadRow, match=said) as caught:
        read(CARD, tmp_path)
    assert "\n" not in str(caught.value)
    sessions, bad = read_leniently(CARD, tmp_path)
    assert ([session.id for session in sessions], len(bad)) == (["a", "c"], 1)


def test_a_byte_order_mark_is_accepted_in_jsonl_json_and_csv(tmp_path: Path) -> None:
    write(tmp_path / "my.jsonl", b"\xef\xbb\xbf" + json.dumps(SMALL).encode())
    assert read(CARD, tmp_path)[0].id == "a"
    lme = {"items": [{"id": "l", "turns": ["x"]}]}
    write(tmp_path / "lme.json", b"\xef\xbb\xbf" + json.dumps(lme).encode())
    assert read(make_card("lme", "lme.json"), tmp_path)[0].id == "l"
    with (tmp_path / "e.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([_COLUMNS, edival_row()])
    assert read(make_card("edival", "e.csv"), tmp_path)[0].id == "7"
    for name, text in (
        ("l.csv", "session,turn,label\na,1,pass\n"),
        ("l.jsonl", '{"session":"a","turn":1,"label":1}'),
    ):
        write(tmp_path / name, b"\xef\xbb\xbf" + text.encode())
        assert list(read_labels(tmp_path / name, "IF").values()) == [1.0]


def edival_row(**changes: str) -> list[str]:
    row = {
        "image_index": "7", "turns": "1", "instructions": "['Remove cup']", "task_type": "['subject_remove']",
        "format_instructions": "['Remove [cup]']", "bg_consistency": "True", "unchanged_objects": "[]",
        "available_objects": "[]", "all_objects": "['cup']",
    }  # fmt: skip
    return [{**row, **changes}[name] for name in _COLUMNS]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_index": "1" * 5000}, r"e\.csv:2 image_index: expected a whole number"),
        ({"turns": "9" * 30}, r"e\.csv:2 turns: expected a whole number"),
        ({"instructions": "[" * 3000}, r"e\.csv:2 instructions: expected a list"),
        ({"instructions": "['\\ud83d']"}, r"e\.csv:2 instructions: expected a list"),
        ({"instructions": "[" + "1" * 5000 + "]"}, r"e\.csv:2 instructions"),
    ],
)
def test_a_hostile_cell_is_refused_by_its_line(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with (tmp_path / "e.csv").open("w", newline="") as file:
        csv.writer(file).writerows([_COLUMNS, edival_row(**changes)])
    with pytest.raises(BadRow, match=said):
        read(make_card("edival", "e.csv"), tmp_path)


@pytest.mark.parametrize("turn", ["1.5", "true", "NaN", "1e400", '"x"', "[]"])
def test_a_label_of_no_whole_turn_is_refused(tmp_path: Path, turn: str) -> None:
    path = write(tmp_path / "l.jsonl", f'{{"session": "a", "turn": {turn}, "label": 1}}\n')
    with pytest.raises(DataError, match=r"l\.jsonl:1 turn: expected a whole number"):
        read_labels(path, "IF")


def releases(folder: Path, image: str) -> list[tuple[Any, Path]]:
    """(card, where the image belongs) of one release per adapter, with one session whose source is `image`."""
    write_lines(folder / "jsonl/my.jsonl", [{**SMALL, "image": image}])
    write_lines(folder / "mice/cu/test_metadata.jsonl", [mice_row(image=image)])
    write_lines(folder / "imgedit/content_memory/annotation.json", [{"id": image, "turn1": "x"}])
    write(
        folder / "magicbrush/edit_sessions.json",
        json.dumps({"s": [{"input": image, "output": "o.png", "instruction": "x"}]}),
    )
    return [
        (make_card("jsonl", "my.jsonl"), folder / "jsonl"),
        (make_card("mice", "cu/test_metadata.jsonl"), folder / "mice/cu"),
        (make_card("imgedit", "*/annotation.json"), folder / "imgedit/content_memory"),
        (make_card("magicbrush", "*.parquet"), folder / "magicbrush/images/s"),
    ]


def root_of(card: Any, folder: Path) -> Path:
    return folder / card.loader


def test_an_image_that_a_link_takes_from_outside_is_absent(tmp_path: Path) -> None:
    write(tmp_path / "private/secret.png", png(1))
    for link in ("file", "folder"):
        image = "in.png" if link == "file" else "sub/secret.png"
        for card, place in releases(tmp_path / link, image):
            place.mkdir(parents=True, exist_ok=True)
            if link == "file":
                (place / "in.png").symlink_to(tmp_path / "private/secret.png")
            else:
                (place / "sub").symlink_to(tmp_path / "private")
            (session,) = read(card, root_of(card, tmp_path / link))
            assert not session.image.present, card.loader
            with pytest.raises(DataError, match="missing"):
                session.image.read()


def test_an_image_that_is_a_pipe_or_a_device_is_absent(tmp_path: Path) -> None:
    for card, place in releases(tmp_path, "in.png"):
        place.mkdir(parents=True, exist_ok=True)
        os.mkfifo(place / "in.png")
        assert not read(card, root_of(card, tmp_path))[0].image.present


@pytest.mark.parametrize(
    "image", ["../secret.png", "/etc/hostname", "a/../../secret.png", "x" * 5000, "a\0b", "..\\secret.png"]
)
def test_a_path_that_leads_out_or_nowhere_is_absent(tmp_path: Path, image: str) -> None:
    write(tmp_path / "secret.png", png())
    for card, _ in releases(tmp_path / "data", image):
        assert not read(card, root_of(card, tmp_path / "data"))[0].image.present


@pytest.mark.parametrize("name", ["../../private", "/etc", "..", "a/b", ".", "..\\.."])
def test_a_magicbrush_session_names_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    write(tmp_path / "private/p.png", png())
    turns = [{"input": "p.png", "output": "p.png", "instruction": "x"}]
    write(tmp_path / "data/edit_sessions.json", json.dumps({name: turns}))
    with pytest.raises(BadRow, match="img_id is the name of a folder"):
        read(make_card("magicbrush", "*.parquet"), tmp_path / "data")


def test_a_linked_data_folder_and_links_within_it_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "real/source_image/ab12.jpg", png(3))
    write_lines(tmp_path / "real/cu/test_metadata.jsonl", [mice_row()])
    (tmp_path / "real/cu/source_image").symlink_to("../source_image")
    (tmp_path / "data").symlink_to("real")
    for folder in (tmp_path / "data", tmp_path / "data/cu"):
        card = make_card("mice", "cu/test_metadata.jsonl")
        assert read(card, folder)[0].image.read() == png(3)


def test_a_snapshot_of_the_hub_s_cache_is_links_to_its_blobs(tmp_path: Path) -> None:
    home = tmp_path / "datasets--some--thing"
    write(home / "blobs/abc", png(5))
    snapshot = home / "snapshots/0123"
    write_lines(snapshot / "my.jsonl", [SMALL])
    (snapshot / "a.png").symlink_to("../../blobs/abc")
    assert read(CARD, snapshot)[0].image.read() == png(5)


@pytest.mark.parametrize("pattern", ["../*.jsonl", "/etc/*", "", "a/../../b.jsonl", "a\0b"])
def test_annotation_files_outside_the_data_folder_are_refused(tmp_path: Path, pattern: str) -> None:
    card = make_card("jsonl", data=DataSource(files=[pattern]))
    with pytest.raises(CardError, match="is not a path inside the data folder"):
        read(card, tmp_path)


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "a\udcff").mkdir()
    with pytest.raises(DataError, match="not UTF-8; rename it"):
        locate(CARD, tmp_path / "a\udcff")
    for name in ("x" * 300, "a\0b", "~nobody-of-this-name"):
        with pytest.raises(DataError, match="--data"):
            locate(CARD, name)


def test_check_names_a_broken_adapter(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="task 'toy': loader: cannot import"):
        audit(CARD.model_copy(update={"loader": "not_there_at_all:sessions"}), tmp_path)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a.png", "\ud83d", "plain", "cm"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "a"]), inner, max_size=2),
    max_leaves=6,
)
_KEYS = ["id", "image", "instructions", "track", "rule", "category", "edit_types", "formatted", "unchanged_objects",
         "all_objects", "bg_consistency", "labels", "target_images", "mask_images", "other"]  # fmt: skip
_ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _VALUES))
_SOUND = st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS[3:], _VALUES)).map(lambda row: SMALL | row)
_LINE = st.one_of(
    _ROW.map(json.dumps), _SOUND.map(json.dumps), st.text(max_size=40), st.just('{"id": "a", "id": "a"}')
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(_LINE.map(lambda line: line.encode("utf-8", "surrogatepass")), st.binary(max_size=40)), max_size=4
    )
)
def test_any_lines_are_sessions_or_one_line(tmp_path: Path, lines: list[bytes]) -> None:
    folder = tmp_path / "fuzz"
    write(folder / "my.jsonl", b"\n".join(lines))
    try:
        dataset = load_task(write_card(tmp_path / "card", CARD), data=folder)
    except MicebenchError as error:
        found = str(error)
        assert ("my.jsonl" in found or "no session found" in found, "\n" in found) == (True, False), found
        return
    for session in read(CARD, folder):
        assert session.id.strip()
        assert all(turn.instruction.encode() for turn in session.turns)
    assert len(dataset) == len(read(CARD, folder))
