"""An EdiVal folder in, EdiVal's tables out: every cell, to the last digit, as its notebook would compute it.

The notebook's formulas (analysis.ipynb and eval.py of EdiVal @ a7bbdec) are written out here once more, in plain
Python, over the run's raw verdicts. Only detector, features and VLM are planted; task, replay, judge card, prompts,
rules, store and report are what a user gets.
"""

import csv
import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.engine.run_reader import Run, open_run
from micebench.judges.models.base import Failure
from micebench.report.gallery import cards
from micebench.report.session_sampling import outcomes
from micebench.verdicts import Status
from tests.judges.edival_folder import EDITS, WRITING, write_images, write_release
from tests.judges.planted import Planted

TURNS = (1, 2, 3)
PARTS = ("Object", "Background")
Values = dict[tuple[str, str, int], float]
"""(session, metric, turn) -> value of the verdicts that have one."""


class Folder(NamedTuple):
    release: Path
    outputs: Path
    sessions: int


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Folder]:
    def make(passes: str, sessions: int = 18) -> Folder:
        (tmp_path / "edival").mkdir()
        release = write_release(tmp_path / "edival", sessions)
        return Folder(release, write_images(release, tmp_path / "editor" / passes, range(sessions)), sessions)

    return make


@pytest.fixture
def micebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the command line with planted models; returns what it prints."""

    def call(*words: str, planted: Planted | None = None) -> str:
        models = (planted or Planted(WRITING)).components
        monkeypatch.setattr("micebench.judges.protocols.protocol_judge.build", lambda card, said: models)
        monkeypatch.setattr("micebench.judges.protocols.protocol_judge.probe_vlm", lambda card, vlm: None)
        result = CliRunner().invoke(build_app(), [str(word) for word in words], env={"COLUMNS": "100"})
        assert result.exit_code in (0, 3), result.output
        return result.stdout

    return call


def run_of(micebench: Callable[..., str], folder: Folder, out: Path, **planted: Any) -> tuple[Run, str]:
    task = ("--task", "edival", "--data", folder.release, "--limit", folder.sessions, "--judge", "edival")
    printed = micebench("run", "--model", f"replay:{folder.outputs}", *task, "--out", out, "--no-report", **planted)
    return open_run(out), printed


# --- the notebook once more ------------------------------------------------------------------------------------


def mean(values: list[float]) -> float | None:
    return 100 * sum(values) / len(values) if values else None


def asked(run: Run, values: Values, session: Any, turn: int) -> list[tuple[str, float | None]]:
    """instruction_following_list of one image: (edit type, score) of every instruction it is asked about."""
    kinds = [one.edit_type for one in session.turns]
    own = (kinds[turn - 1], values.get((session.id, "IF", turn)))
    if run.manifest.context != "composed":
        return [own]
    return [(kinds[j - 1], values.get((session.id, f"IF.{j}", turn))) for j in range(1, turn)] + [own]


def success(run: Run, values: Values, session: Any, turn: int) -> float | None:
    """np.all over image_rate[:turn] (multipass) or over the list of the image (singlepass)."""
    images = [turn] if run.manifest.context == "composed" else range(1, turn + 1)
    scores = [score for at in images for _, score in asked(run, values, session, at)]
    if 0.0 in scores:
        return 0.0
    return None if None in scores else 1.0


def notebook(run: Run) -> dict[tuple[str, str, str], tuple[float | None, int]]:
    """(table, row, column) -> (percent, number of scores)."""
    values = {(v.session, v.metric, v.turn): v.value for v in run.verdicts() if v.value is not None}
    sessions = list(run.sessions())
    cells: dict[tuple[str, str, str], tuple[float | None, int]] = {}
    for turn in TURNS:

        def put(
            row: str, scores: list[float | None], table: str = "edival", at: str = f"turn {turn}"
        ) -> float | None:
            known = [score for score in scores if score is not None]
            cells[table, row, at] = mean(known), len(known)
            return mean(known)

        lists = [pair for session in sessions for pair in asked(run, values, session, turn)]
        image = put("Image success", [success(run, values, session, turn) for session in sessions])
        put("Task success", [score for _, score in lists])
        put("Marginal success", [values.get((session.id, "IF", turn)) for session in sessions])
        for kind in EDITS:
            put(kind, [score for named, score in lists if named == kind], table="edival-types")
        parts = {
            part: [values.get((session.id, f"CC.{part}", turn)) for session in sessions]
            for part in ("object", "background")
        }
        means = [put("Object consistency", parts["object"]), put("Background consistency", parts["background"])]
        known = [one for one in means if one is not None]
        consistency = sum(known) / len(known)
        covered = sum(a is not None or b is not None for a, b in zip(*parts.values(), strict=True))
        cells["edival", "Content consistency", f"turn {turn}"] = consistency, covered
        assert image is not None
        n = min(cells["edival", "Image success", f"turn {turn}"][1], covered)
        cells["edival", "Overall", f"turn {turn}"] = (image * consistency) ** 0.5, n
    return cells


# --- what a user gets ------------------------------------------------------------------------------------------


def from_csv(text: str) -> dict[tuple[str, str, str], dict[str, str]]:
    return {(line["table"], line["row"], line["column"]): line for line in csv.DictReader(io.StringIO(text))}


def from_terminal(text: str) -> dict[tuple[str, str], str]:
    """(row, column) -> number, of EdiVal's two tables."""
    found: dict[tuple[str, str], str] = {}
    inside = False
    for line in text.splitlines():
        inside = (inside or line.startswith("EdiVal's ")) and not line.startswith("First failure")
        if not inside or not line.strip() or line.startswith(("EdiVal's ", "rate ", "edit type ")):
            continue
        if line[0] != " ":  # a line that begins with blanks says how many were scored
            label, *words = re.split(r" {2,}", line.strip())
            found |= {(label, f"turn {turn}"): word for turn, word in zip(TURNS, words, strict=True)}
    return found


def check(run: Run, printed: str, table: str) -> None:
    """Every cell of the CSV, and every number of the terminal, is the notebook's."""
    wanted, written, shown = notebook(run), from_csv(table), from_terminal(printed)
    ours = {key for key in written if key[0].startswith("edival")}
    assert ours == {key for key in wanted if wanted[key][1] or key in ours}
    for key in ours:
        value, n = wanted[key]
        cell = written[key]
        assert int(cell["n"]) == n, key
        if value is None:
            assert (cell["value"], shown[key[1], key[2]]) == ("", "–"), key
            continue
        assert float(cell["value"]) == pytest.approx(value, rel=1e-13), key
        assert shown[key[1], key[2]] == f"{value:.2f}", key


def test_multipass(folder: Any, micebench: Any, tmp_path: Path) -> None:
    run, printed = run_of(micebench, folder("multipass"), tmp_path / "run")
    check(run, printed, micebench("report", tmp_path / "run", "--csv", "--no-html"))
    rates = notebook(run)
    # a mixed world: nothing of the above holds only because everything is 0, 100, or scored
    for row in ("Image success", "Task success", "Object consistency", "Background consistency", "Overall"):
        assert all(0 < rates["edival", row, f"turn {turn}"][0] < 100 for turn in TURNS), row
    counts = [rates["edival", f"{part} consistency", f"turn {turn}"][1] for part in PARTS for turn in TURNS]
    assert len(set(counts)) > 4, "each part has its own valid set in every turn"
    for kind in EDITS:
        values = {rates["edival-types", kind, f"turn {turn}"][0] for turn in TURNS}
        assert values != {0.0}, kind
        assert values != {100.0} or kind == "background_change", kind
    assert {verdict.status for verdict in run.verdicts()} == {Status.OK, Status.NOT_APPLICABLE}


def test_the_tables_agree_with_the_summary(folder: Any, micebench: Any, tmp_path: Path) -> None:
    for passes in ("multipass", "singlepass"):
        root = tmp_path / passes
        root.mkdir()
        release = write_release(root, 9)
        made = Folder(release, write_images(release, root / "editor" / passes, range(9)), 9)
        run, _ = run_of(micebench, made, root / "run")
        metrics, cells = run.summary()["metrics"], notebook(run)
        rows = {"turn_success": "Image success", "marginal_success": "Marginal success", "overall": "Overall"}
        for name, row in (rows | {"content_consistency": "Content consistency"}).items():
            for turn in TURNS:
                value, n = cells["edival", row, f"turn {turn}"]
                entry = metrics[name][str(turn)]
                assert (entry["value"], entry["n"]) == (pytest.approx(value, rel=1e-12), n), (passes, name, turn)


def test_singlepass_asks_every_image_about_all_instructions_so_far(
    folder: Any, micebench: Any, tmp_path: Path
) -> None:
    run, printed = run_of(micebench, folder("singlepass"), tmp_path / "run")
    assert run.manifest.context == "composed"
    assert run.manifest.metrics == ["IF", "CC.object", "CC.background", "IF.1", "IF.2"]
    check(run, printed, micebench("report", tmp_path / "run", "--csv", "--no-html"))
    rates = notebook(run)
    pooled = [rates["edival", "Task success", f"turn {turn}"] for turn in TURNS]
    assert [n for _, n in pooled] == [18, 36, 54]
    assert pooled[2][0] != rates["edival", "Marginal success", "turn 3"][0]
    statuses = {(v.metric, v.turn): v.status for v in run.verdicts() if v.metric.startswith("IF.")}
    for metric, turn in (("IF.1", 1), ("IF.2", 1), ("IF.2", 2)):
        assert statuses[metric, turn] is Status.NOT_APPLICABLE
    assert "EdiVal's rates, singlepass" in printed


def test_in_singlepass_the_page_tells_of_the_image_that_fails_first(
    folder: Any, micebench: Any, tmp_path: Path
) -> None:
    run, _ = run_of(micebench, folder("singlepass"), tmp_path / "run")
    found, counts = outcomes(run), run.summary()["first_failure"]
    kinds = Counter(outcome.kind for outcome in found.values())
    words = {"none": "pass", "undetermined": "undetermined"}
    assert {turn: kinds[words.get(turn, f"fail-{turn}")] for turn in counts} == counts
    shown = list(cards(run, found, list(found)))
    assert any(card.kind.startswith("fail") for card in shown)
    for card in shown:
        followed = [
            all(chip.mood == "pass" for chip in turn.chips if chip.name.startswith("IF")) for turn in card.turns
        ]
        assert [sum(chip.name.startswith("IF") for chip in turn.chips) for turn in card.turns] == [1, 2, 3]
        assert card.kind == ("pass" if all(followed) else f"fail-{followed.index(False) + 1}")


@pytest.mark.parametrize(("passes", "alike"), [("multipass", False), ("singlepass", True)])
def test_only_in_multipass_the_output_before_matters(
    folder: Any, micebench: Any, tmp_path: Path, passes: str, alike: bool
) -> None:
    made = folder(passes)

    def last(out: str) -> list[tuple[str, str, float | None]]:
        run, _ = run_of(micebench, made, tmp_path / out)
        return [(v.session, v.metric, v.value) for v in run.verdicts() if v.turn == 3]

    before = last("one")
    for image in made.outputs.glob("*_turn_2.png"):
        shutil.copy(image.with_name(image.name.replace("turn_2", "turn_1")), image)
    after = last("other")
    assert (after == before) is alike
    assert [one for one in after if one[1].startswith("CC")] == [one for one in before if one[1].startswith("CC")]


def test_judged_again_a_singlepass_run_is_asked_the_same(folder: Any, micebench: Any, tmp_path: Path) -> None:
    run, _ = run_of(micebench, folder("singlepass", 3), tmp_path / "run")
    before = (run.path / "summary.json").read_bytes()
    micebench("judge", tmp_path / "run", "--judge", "edival", "--no-report")
    assert (run.path / "summary.json").read_bytes() == before
    assert open_run(tmp_path / "run").manifest.metrics == run.manifest.metrics


@pytest.mark.parametrize("passes", ["multipass", "singlepass"])
def test_what_has_no_score_leaves_its_own_mean_only(folder: Any, micebench: Any, tmp_path: Path, passes: str) -> None:
    """An image that is not there, a VLM that breaks down: fewer scores, and the table says how many."""
    made = folder(passes)
    (made.outputs / "5_input_raw_turn_3.png").unlink()
    broken = Planted(WRITING, {"to [blue]": Failure(Status.ERROR, "connection reset")})
    run, printed = run_of(micebench, made, tmp_path / "run", planted=broken)
    cells = from_csv(micebench("report", tmp_path / "run", "--csv", "--no-html"))
    wanted = notebook(run)
    last = cells["edival", "Marginal success", "turn 3"]
    assert (last["n"], last["of"]) == ("15", "18"), "one image lost, two recolourings not judged"
    for key, (value, n) in wanted.items():
        said = cells[key]["value"]
        assert (said == "") == (value is None), key
        assert int(cells[key]["n"]) == n, key
        if value is not None:
            assert float(said) == pytest.approx(value, rel=1e-13), key
    assert all(wanted["edival-types", "color_alter", f"turn {turn}"] == (None, 0) for turn in TURNS)
    assert "0/" in printed


def test_the_real_instructions(shared: Path, micebench: Any, tmp_path: Path) -> None:
    (tmp_path / "edival").mkdir()
    shutil.copy(shared / "data" / "edival" / "instructions.csv", tmp_path / "edival")
    made = Folder(tmp_path / "edival", write_images(tmp_path / "edival", tmp_path / "multipass", range(40)), 20)
    run, printed = run_of(micebench, made, tmp_path / "run")
    assert run.manifest.n_sessions == 20
    check(run, printed, micebench("report", tmp_path / "run", "--csv", "--no-html"))


def test_other_tasks_have_no_such_table(micebench: Any, tmp_path: Path) -> None:
    printed = micebench("run", "--model", "oracle", "--limit", "6", "--out", tmp_path / "run", "--no-report")
    table = micebench("report", tmp_path / "run", "--csv", "--no-html")
    assert "EdiVal" not in printed + table
    cells = from_csv(table)
    assert cells["overall", "Overall", "turn 3"]["value"] == "100.0"
    assert cells["edit-types", "subject_add", "all turns"]["of"] != ""
    both = CliRunner().invoke(build_app(), ["report", str(tmp_path / "run"), "--csv", "--json"])
    assert both.exit_code == 2
