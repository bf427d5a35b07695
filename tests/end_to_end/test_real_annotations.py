"""MICE-Bench through the real command: a Kontext edits, the `mice` judge asks a server, kill -9 twice, resumed.

Weights are tiny and random, photographs are samples: see `stand_ins`. benchmarks/dry_run.py does it with all 720
sessions and prints what came of them.
"""

import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("skimage")

from PIL import Image

from tests.end_to_end.command import finish, journal, kill, line, lines
from tests.end_to_end.scripted_verdicts import Opinions, marks
from tests.end_to_end.stand_ins import rows, with_models, with_photographs

METRICS = {"IF", "CC.object", "CC.background", "GA"}
RULE = "From now on, every edit must use red color on the object that is edited, and nowhere else. "
HINGE = "With this rule active, "
SAID = {
    "subject_remove": ("Remove {}", "Remove [{}]"),
    "color_alter": ("Change the color of {} to blue", "Change the color of [{}] to [blue]"),
    "material_alter": ("Change the material of {} to wood", "Change the material of [{}] to [wood]"),
    "count_change": ("Change the count of {} to 3", "Change the count of [{}] to [3]"),
    "subject_replace": ("Replace {} with bench", "Replace [{}] with [bench]"),
    "background_change": ("Change the background to beach", "Change the background to [beach]"),
}
SESSIONS = (
    ("cm", "color_alter", "subject_remove", "background_change"),
    ("cm", "background_change", "material_alter", "count_change"),
    ("cm", "subject_replace", "color_alter", "subject_remove"),
    ("cu", "material_alter", "color_alter", "subject_remove"),
    ("cu", "count_change", "subject_replace", "color_alter"),
    ("cu", "color_alter", "material_alter", "background_change"),
)


def row(number: int, track: str, kinds: list[str]) -> dict[str, Any]:
    """An annotation row of MICE-Bench's form: each turn edits an object of its own."""
    names = [f"{color} chair {number}" for color in ("green", "brown", "white", "black")]
    said = [SAID[kind][0].format(name) for kind, name in zip(kinds, names, strict=False)]
    formatted = [SAID[kind][1].format(name) for kind, name in zip(kinds, names, strict=False)]
    if track == "cm":
        said[0] = RULE + HINGE + said[0]
    return {
        "image": f"source_image/{number:016x}.jpg",
        "instruction": said,
        "task_type": kinds,
        "formatted_instruction": formatted,
        "bg_consistency": ["background_change" not in kinds[: turn + 1] for turn in range(3)],
        "unchanged_objects": [names[turn + 1 :] for turn in range(3)],
        "available_objects": [names] * 3,
        "all_objects": [names] * 3,
        "turns": 3,
    }


@pytest.fixture
def constructed(tmp_path: Path) -> Path:
    """Annotation files of six sessions."""
    for track in ("cm", "cu"):
        (tmp_path / "annotations" / track).mkdir(parents=True)
        mine = [row(number, track, kinds) for number, (on, *kinds) in enumerate(SESSIONS) if on == track]
        text = "".join(json.dumps(one) + "\n" for one in mine)
        (tmp_path / "annotations" / track / "test_metadata.jsonl").write_text(text)
    return tmp_path / "annotations"


@pytest.mark.slow
def test_a_run_killed_while_editing_and_while_judging_ends_like_one_that_was_not(
    tmp_path: Path, constructed: Path
) -> None:
    data = with_photographs(constructed, tmp_path / "data")
    with Opinions(latency_s=0.1).running() as vlm, ThreadPoolExecutor(1) as beside:
        cards = with_models(tmp_path / "cards", data, vlm.url, batch=2, concurrency=1, steps=30)
        limit = ("--limit", "6", "--no-report")
        command = line(cards, data, tmp_path / "killed", *limit)
        assert kill(command, lambda: lines(tmp_path / "killed", "edits") > 0)
        edits = (tmp_path / "killed" / "edits" / "main.jsonl").read_bytes()
        straight = beside.submit(finish, line(cards, data, tmp_path / "straight", *limit))
        assert kill(command, lambda: lines(tmp_path / "killed", "verdicts") > 0)
        assert straight.result().returncode == 0, straight.result().stderr
        answered, before = marks(journal(tmp_path / "killed", "verdicts")), vlm.asked.copy()
        assert finish(command).returncode == 0
    assert 0 < edits.count(b"\n") < 18
    assert (tmp_path / "killed" / "edits" / "main.jsonl").read_bytes().startswith(edits), "edits were made again"
    assert answered
    assert not {mark for mark in answered if vlm.asked[mark] > before[mark]}, "answers in the journal were asked for"
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


def contents(run: Path) -> dict[str, bytes]:
    """What a run has come to."""
    names = ("summary.json", "verdicts.parquet", "sessions.jsonl", "edits/main.jsonl")
    return {name: (run / name).read_bytes() for name in names}


@pytest.mark.slow
def test_every_session_of_the_release_is_edited_and_judged_once(tmp_path: Path, shared: Path) -> None:
    """Every tenth session of either track: 72 of 720."""
    every_tenth = tmp_path / "annotations"
    for track in ("cm", "cu"):
        text = (shared / "data" / "mice" / track / "test_metadata.jsonl").read_text(encoding="utf-8")
        (every_tenth / track).mkdir(parents=True)
        (every_tenth / track / "test_metadata.jsonl").write_text("".join(text.splitlines(keepends=True)[::10]))
    data, run = with_photographs(every_tenth, tmp_path / "data"), tmp_path / "run"
    with Opinions().running() as vlm:
        command = line(with_models(tmp_path / "cards", data, vlm.url), data, run, "--limit", "72")
        assert kill(command, lambda: lines(run, "edits") >= 108)
        done = finish(command)
    assert done.returncode == 0, done.stderr
    expected = {(session, turn) for session in ids(data) for turn in (1, 2, 3)}
    assert Counter((edit["session"], edit["turn"]) for edit in journal(run, "edits")) == dict.fromkeys(expected, 1)
    judged = Counter((said["session"], said["turn"], said["metric"]) for said in journal(run, "verdicts"))
    assert judged == {(*edit, metric): 1 for edit in expected for metric in METRICS}
    for said in journal(run, "verdicts"):
        assert (said["value"] is not None) == (said["status"] == "ok"), said
    assert {said["status"] for said in journal(run, "verdicts")} >= {"ok", "not_applicable", "refused", "unparsed"}
    assert not [said for said in journal(run, "verdicts") if said["status"] == "error"]
    assert every_turn_makes_a_picture(run)
    assert "--task mice --data DIR " in (run / "report" / "index.html").read_text(encoding="utf-8")
    for part in ("Coverage", "Bounds", str(run)):
        assert part in done.stdout
    retry = f"`micebench judge {run} --retry-failed --cards {tmp_path / 'cards'}` asks again"
    assert retry in done.stderr


def ids(data: Path) -> list[str]:
    return [f"{track}/test/{Path(one['image']).stem}" for track, one in rows(data)]


def every_turn_makes_a_picture(run: Path) -> bool:
    """Whether every edit has the size of its session's others, and is another picture than the turn before."""
    pictures = {(edit["session"], edit["turn"]): edit["image"] for edit in journal(run, "edits")}
    for (session, turn), digest in pictures.items():
        png = (run / "blobs" / digest[:2] / f"{digest}.png").read_bytes()
        first = pictures[session, 1]
        size = Image.open(run / "blobs" / first[:2] / f"{first}.png").size
        if Image.open(io.BytesIO(png)).size != size or (turn > 1 and pictures[session, turn - 1] == digest):
            return False
    return True
