import errno
import gc
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from micebench.errors import DataError
from micebench.sessions import ImageFile, Rule, Session, Turn, features
from micebench.tasks.dataset import build_dataset, iter_sessions
from micebench.tasks.load import load_task
from tests.tasks.hand_made import make_card, mice_row, png, read, write, write_card, write_lines

CARD = make_card("mice", "cu/test_metadata.jsonl", turns=3)


def full_session(name: str = "s") -> Session:
    """Every field set, and set to something else than its default."""
    turn = Turn(
        number=1,
        instruction="Färbe 'es' rot\n",
        edit_type="color_alter",
        formatted="Change the color of [cup] to [red]",
        unchanged_objects=(),
        available_objects=("cup", "hat"),
        all_objects=("cup",),
        bg_consistency=False,
        label="hard",
        target_image=ImageFile("t.png", data=png(1)),
        mask_image=ImageFile("absent-mask.png"),
        target_description="a red cup",
        invalid={"IF": "f:1 x[1]: pool: y", "GA": "z"},
    )
    image = ImageFile("a.png", data=png(2))
    rule = Rule("only red", "color", "red")
    return Session(name, "toy", "cm", image, (turn, Turn(2, "plain")), rule, "home", "f:1")


def release(folder: Path, count: int = 3) -> Path:
    write_lines(folder / "cu/test_metadata.jsonl", [mice_row(image=f"source_image/{k}.png") for k in range(count)])
    return folder


def test_sessions_come_back_as_they_went_in(tmp_path: Path) -> None:
    write(tmp_path / "b.png", png(5))
    on_disk = Session("d", "toy", "plain", ImageFile("b.png", file=str(tmp_path / "b.png")), (Turn(1, "x"),))
    absent = Session("e", "toy", "plain", ImageFile("c.png"), (Turn(1, "x"),))
    sessions = [full_session(), on_disk, absent]
    dataset = build_dataset(sessions)
    assert dataset.features == features()
    assert list(iter_sessions(dataset)) == sessions


def test_every_adapter_survives_the_round_trip(tmp_path: Path) -> None:
    sessions = read(CARD, release(tmp_path, 40))
    assert list(iter_sessions(build_dataset(sessions))) == sessions


def test_selection_and_order_of_the_dataset_are_kept(tmp_path: Path) -> None:
    dataset = build_dataset(read(CARD, release(tmp_path, 10)))
    chosen = dataset.select([7, 2, 5])
    assert [session.id for session in iter_sessions(chosen)] == ["cu/test/7", "cu/test/2", "cu/test/5"]
    assert len(list(iter_sessions(dataset.shuffle(seed=1)))) == 10


def test_rows_with_absent_images_can_be_read(tmp_path: Path) -> None:
    folder = release(tmp_path)
    write(folder / "cu/source_image/1.png", png(7))
    dataset = load_task(write_card(tmp_path / "card", CARD), data=folder)
    assert dataset[0]["image"] is None
    assert dataset[0]["image_path"] == "source_image/0.png"
    assert dataset[1]["image"].size == (8, 6)
    assert dataset[1]["turns"][2]["edit_type"] == "background_change"


def test_a_corrupt_image_breaks_neither_loading_nor_iterating(tmp_path: Path) -> None:
    folder = release(tmp_path)
    write(folder / "cu/source_image/1.png", b"this is no picture")
    sessions = list(iter_sessions(load_task(write_card(tmp_path / "card", CARD), data=folder)))
    assert [session.image.present for session in sessions] == [False, True, False]
    with pytest.raises(DataError, match=r"1.png: not a readable image"):
        sessions[1].image.open()


def test_changed_files_are_never_answered_from_a_cache(tmp_path: Path) -> None:
    card = write_card(tmp_path / "card", CARD)
    first = load_task(card, data=release(tmp_path))
    path = tmp_path / "cu/test_metadata.jsonl"
    stat = path.stat()
    path.write_text(path.read_text().replace("Remove hat", "Remove cat"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = load_task(card, data=tmp_path)
    assert second[0]["turns"][1]["instruction"] == "Remove cat"
    assert first[0]["turns"][1]["instruction"] == "Remove hat"


def test_the_same_files_give_the_same_dataset(tmp_path: Path) -> None:
    card, folder = write_card(tmp_path / "card", CARD), release(tmp_path)
    first, second = load_task(card, data=folder), load_task(card, data=folder)
    assert first._fingerprint == second._fingerprint
    assert first.data.equals(second.data)


def test_a_failed_load_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from micebench.tasks import dataset as module

    monkeypatch.setattr(module, "scratch_folder", lambda: tmp_path)

    def broken() -> Iterator[Session]:
        yield full_session()
        raise DataError("row 2")

    with pytest.raises(DataError, match="row 2"):
        build_dataset(broken())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_other_errors_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from micebench.tasks import dataset as module

    monkeypatch.setattr(module, "scratch_folder", lambda: tmp_path)

    def failing(number: int) -> Iterator[Session]:
        yield full_session()
        raise OSError(number, os.strerror(number))

    with pytest.raises(DataError, match=r"No space left.*TMPDIR"):
        build_dataset(failing(errno.ENOSPC))
    with pytest.raises(PermissionError):
        build_dataset(failing(errno.EACCES))
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_sessions() -> None:
    """Python rows of all sessions at once would make the second peak ten times the first."""

    def many(count: int) -> Iterator[Session]:
        names = tuple(f"object {k}" for k in range(20))
        for number in range(count):
            image = ImageFile("x.png", data=number.to_bytes(4, "big") * 500)
            turn = Turn(1, f"do {number}", "subject_remove", "Remove [x]", names, names, names, True)
            yield Session(str(number), "toy", "plain", image, (turn, turn), provenance="f:1")

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        dataset = build_dataset(many(count))
        total = sum(1 for _ in iter_sessions(dataset))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == count
        return highest

    peak(10)  # imports
    assert peak(3000) < 1.5 * peak(300)


def test_one_heavy_session_does_not_wait_for_a_full_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    from micebench.tasks import dataset as module

    monkeypatch.setattr(module, "_BYTES", 1000)
    seen: list[int] = []

    def heavy() -> Iterator[Session]:
        for number in range(20):
            seen.append(number)
            yield Session(str(number), "t", "plain", ImageFile("x", data=bytes(600)), (Turn(1, "x"),))

    dataset = build_dataset(heavy())
    assert dataset.data.to_batches()[0].num_rows == 2
    assert [session.id for session in iter_sessions(dataset)] == [str(number) for number in seen]


def test_all_text_survives(tmp_path: Path) -> None:
    odd = "Add text '愿你幸福' on it — “quoted”\n\t[red]\\ \u2028 \U0001f600"
    row = mice_row(instruction=[odd, "x", "y"])
    write(tmp_path / "cu/test_metadata.jsonl", json.dumps(row, ensure_ascii=False) + "\n")
    (session,) = iter_sessions(build_dataset(read(CARD, tmp_path)))
    assert session.turns[0].instruction == odd
