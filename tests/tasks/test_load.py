"""`load_task`: what the card promises is checked, and every refusal is one line with a remedy."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors as hub

from micebench.cards import DataSource, TaskCard, find_cards, load_card
from micebench.errors import CardError, DataError
from micebench.sessions import ImageFile
from micebench.tasks.load import fingerprint, iter_sessions, load_task
from micebench.tasks.source import locate
from tests.tasks.hand_made import make_card, mice_row, png, read, write, write_card, write_lines

CARD = make_card("mice", "cu/test_metadata.jsonl", turns=3)
REVISION = "0123456789abcdef0123456789abcdef01234567"


def release(folder: Path, count: int = 3) -> Path:
    rows = [mice_row(image=f"source_image/{k}.png") for k in range(count)]
    write_lines(folder / "cu/test_metadata.jsonl", rows)
    return folder


def load(tmp_path: Path, card: TaskCard, **options: int):
    return load_task(write_card(tmp_path / "card", card), data=tmp_path, **options)


def test_limit_takes_the_first_sessions(tmp_path: Path) -> None:
    dataset = load(release(tmp_path), CARD.model_copy(update={"sessions": 3}), limit=2)
    assert [session.id for session in iter_sessions(dataset)] == ["cu/test/0", "cu/test/1"]


def test_limit_reads_no_further(tmp_path: Path) -> None:
    release(tmp_path)
    with (tmp_path / "cu/test_metadata.jsonl").open("a") as file:
        file.write("{broken\n")
    assert len(load(tmp_path, CARD, limit=3)) == 3
    with pytest.raises(DataError, match=r"test_metadata.jsonl:4"):
        load(tmp_path, CARD)


def test_another_number_of_sessions_than_promised_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 sessions found, the card promises 4"):
        load(release(tmp_path), CARD.model_copy(update={"sessions": 4}))


def test_more_turns_than_the_card_allows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test_metadata.jsonl:1: 3 turns, but task 'toy' says at most 2"):
        load(release(tmp_path), CARD.model_copy(update={"turns": 2}))


def test_an_id_used_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    write_lines(tmp_path / "cu/test_metadata.jsonl", [mice_row(), mice_row()])
    with pytest.raises(DataError, match=r"jsonl:2: id 'cu/test/ab12' is already used at cu/test_metadata.jsonl:1"):
        load(tmp_path, CARD)


def test_no_session_and_no_limit_below_one(tmp_path: Path) -> None:
    write(tmp_path / "cu/test_metadata.jsonl", "\n")
    with pytest.raises(DataError, match="no session found"):
        load(tmp_path, CARD)
    with pytest.raises(DataError, match="at least one session"):
        load(tmp_path, CARD, limit=0)


def test_options_the_adapter_does_not_take_are_a_card_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"does not take the card's options.*colour"):
        load(release(tmp_path), CARD.model_copy(update={"options": {"colour": 1}}))


def test_a_fingerprint_is_held_against_the_card(tmp_path: Path) -> None:
    release(tmp_path)
    right = fingerprint(read(CARD, tmp_path))
    load(tmp_path, CARD.model_copy(update={"fingerprint": right}))
    with pytest.raises(DataError, match=rf"fingerprint {right}, but the card says beef"):
        load(tmp_path, CARD.model_copy(update={"fingerprint": "beef"}))
    load(tmp_path, CARD.model_copy(update={"fingerprint": "beef"}), limit=2)


def test_the_fingerprint_sees_words_pictures_order_and_faults_but_not_places(tmp_path: Path) -> None:
    first, second = read(CARD, release(tmp_path / "a", 2))
    original = fingerprint([first, second])
    moved = read(CARD, release(tmp_path / "b", 2))
    assert fingerprint(moved) == original
    assert fingerprint([replace(first, provenance="elsewhere:9"), second]) == original
    assert fingerprint([second, first]) != original
    assert fingerprint([first]) != original
    assert fingerprint([replace(first, image=ImageFile(first.image.path, data=png(1))), second]) != original
    turn = replace(first.turns[0], instruction="other")
    assert fingerprint([replace(first, turns=(turn, *first.turns[1:])), second]) != original
    turn = replace(first.turns[0], invalid={"IF": "x"})
    assert fingerprint([replace(first, turns=(turn, *first.turns[1:])), second]) != original


def test_the_same_picture_inside_and_beside_the_row_has_one_fingerprint(tmp_path: Path) -> None:
    (session,) = read(CARD, release(tmp_path, 1))
    write(tmp_path / "x.png", png(4))
    inside = replace(session, image=ImageFile("x.png", data=png(4)))
    beside = replace(session, image=ImageFile("x.png", file=str(tmp_path / "x.png")))
    assert fingerprint([inside]) == fingerprint([beside])


def test_a_task_without_a_source_says_what_to_type() -> None:
    with pytest.raises(DataError, match=r"--data DIR.*cu/test_metadata.jsonl"):
        locate(CARD)


def test_a_repository_without_a_pinned_revision_is_refused() -> None:
    card = make_card("mse", id="mse", data=DataSource(repo="some/thing", files=["*.parquet"]))
    with pytest.raises(DataError, match=r"no pinned revision in the card; give --data DIR or set data.revision"):
        locate(card)


def test_data_that_is_no_folder_and_data_for_a_built_in_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        locate(CARD, tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file"):
        locate(CARD, write(tmp_path / "f.jsonl", ""))
    with pytest.raises(DataError, match="makes its own sessions"):
        locate(CARD.model_copy(update={"data": None}), tmp_path)


def hub_card(*files: str) -> TaskCard:
    return make_card("mse", data=DataSource(repo="some/thing", revision=REVISION, files=list(files)))


def test_the_hub_is_asked_for_the_pinned_revision_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple] = []

    def download(repo: str, **options: object) -> str:
        asked.append((repo, options["repo_type"], options["revision"], options["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate(hub_card("data/*.parquet")) == tmp_path
    locate(hub_card("a.json"))
    assert asked == [
        ("some/thing", "dataset", REVISION, ["data/*.parquet"]),
        ("some/thing", "dataset", REVISION, None),
    ]


TRANSPORT: type[Exception] = hub.HfHubHTTPError.__bases__[0]  # whatever HTTP library the hub client uses


def answer() -> Any:
    return SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (hub.LocalEntryNotFoundError("cannot find\nlong explanation"), "not in the local cache.*--data DIR"),
        (hub.OfflineModeIsEnabled("offline"), "not in the local cache"),
        (ConnectionError("no route"), "cannot be reached"),
        (TRANSPORT("Name or service not known"), "cannot be reached"),
        (hub.GatedRepoError("gated", response=answer()), "is gated: accept its terms"),
        (hub.RepositoryNotFoundError("404", response=answer()), "no such dataset"),
        (hub.RevisionNotFoundError("404", response=answer()), "no such revision"),
        (hub.HfHubHTTPError("500", response=answer()), "cannot be reached"),
    ],
)
def test_hub_troubles_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(DataError, match=message) as caught:
        locate(hub_card("*.parquet"))
    assert "\n" not in str(caught.value)
    assert "some/thing@01234567" in str(caught.value)


def test_every_shipped_task_card_loads_without_its_judge() -> None:
    cards = {name: load_card(TaskCard, name) for name in find_cards(TaskCard)}
    assert {"mice", "mice-cm", "mice-cu", "edival", "mse", "lme", "imgedit-mt", "magicbrush"} <= set(cards)
    for name, card in cards.items():
        assert card.content_consistency == (
            "mice" if name.startswith("mice") and card.domain == "photo" else "edival"
        ) or (card.domain == "mini")
        assert (
            card.data is None or card.data.repo is None or card.data.revision is None or len(card.data.revision) == 40
        )
