"""A target or mask that cannot be read is named and costs its session; the others go on."""

from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate
from micebench.errors import RunError
from tests.tasks.hand_made import make_card, png, write, write_card, write_lines
from tests.toy import Meter, Painter


def picture(value: int) -> bytes:
    return png(value, (8, 8))


CARD = make_card("jsonl", "sessions.jsonl", turns=2)


def release(folder: Path, **broken: bytes) -> Path:
    """Sessions a, b, c of two turns; `broken`: content of files."""
    rows = []
    for value, name in enumerate("abc"):
        write(folder / f"{name}.png", broken.get(name, picture(value)))
        write(folder / f"{name}_target.png", broken.get(f"{name}_target", picture(value + 10)))
        write(folder / f"{name}_mask.png", broken.get(f"{name}_mask", picture(value + 20)))
        rows.append(
            {
                "id": name,
                "image": f"{name}.png",
                "instructions": ["Remove the cup", "Remove the pot"],
                "target_images": [None, f"{name}_target.png"],
                "mask_images": [f"{name}_mask.png", None],
            }
        )
    write_lines(folder / "sessions.jsonl", rows)
    return folder


def run(tmp_path: Path, out: str = "run"):
    card = write_card(tmp_path / "card", CARD)
    return evaluate(card, Painter(), out=tmp_path / out, judge=Meter(), data=tmp_path / "data")


@pytest.mark.parametrize(("broken", "said"), [("b_target", "target of turn 2"), ("b_mask", "mask of turn 1")])
@pytest.mark.parametrize("content", [b"torn", picture(0)[:45]], ids=["no image", "cut"])
def test_the_session_is_recorded_as_failed_and_the_rest_go_on(
    tmp_path: Path, broken: str, said: str, content: bytes
) -> None:
    release(tmp_path / "data", **{broken: content})
    result = run(tmp_path)
    (failure,) = result.failures()
    assert (failure.session, failure.turn) == ("b", 1)
    assert failure.reason.startswith(f"{said}: image {tmp_path}/data/{broken}.png: not a readable image")
    assert [(edit.session, edit.turn) for edit in result.edits() if edit.status == "ok"] == [
        ("a", 1), ("a", 2), ("c", 1), ("c", 2)
    ]  # fmt: skip


def test_a_repaired_reference_is_taken_in_by_the_next_run(tmp_path: Path) -> None:
    release(tmp_path / "data")
    straight = run(tmp_path, "straight")
    release(tmp_path / "data", b_target=b"torn", c_mask=b"torn")
    assert [failure.session for failure in run(tmp_path).failures()] == ["b", "c"]
    release(tmp_path / "data", c_mask=b"torn")
    assert [failure.session for failure in run(tmp_path).failures()] == ["c"]
    release(tmp_path / "data")
    repaired = run(tmp_path)
    assert repaired.failures() == []
    for name in ("summary.json", "verdicts.parquet", "sessions.jsonl"):
        assert (repaired.path / name).read_bytes() == (straight.path / name).read_bytes(), name


@pytest.mark.parametrize("broken", ["b", "b_target"])
def test_an_image_lost_since_the_run_was_started_is_named(tmp_path: Path, broken: str) -> None:
    release(tmp_path / "data")
    run(tmp_path)
    release(tmp_path / "data", **{broken: b"torn"})
    with pytest.raises(RunError, match=f"session 'b' cannot be read any more .*{broken}.png: not a readable image"):
        run(tmp_path)


def test_another_reference_than_the_run_was_started_with_is_refused(tmp_path: Path) -> None:
    release(tmp_path / "data")
    run(tmp_path)
    release(tmp_path / "data", b_target=picture(99))
    with pytest.raises(RunError, match="session 'b' says something else"):
        run(tmp_path)
