"""`micebench compare --gate`: 0 passed, 1 regressed, 2 incomplete, 3 judge drift; and what CI reads of it."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.engine.evaluate import evaluate
from micebench.engine.run_reader import open_run
from micebench.store.run_dir import RunDir

SESSIONS = 40


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gate")
    for model in ("oracle", "clumsy"):
        evaluate("mice-mini", model, out=folder / model, limit=SESSIONS)
    return {"oracle": folder / "oracle", "clumsy": folder / "clumsy"}


@pytest.fixture(autouse=True)
def _no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def gate(*arguments: object, **env: str):
    words = ["compare", *map(str, arguments), "--gate"]
    return CliRunner().invoke(build_app(), words, env={"COLUMNS": "80"} | env)


@pytest.fixture
def copied(scripted, tmp_path) -> Path:
    """A copy of the oracle's run that a test may damage."""
    return Path(shutil.copytree(scripted["oracle"], tmp_path / "copy"))


def forget(run: Path, keep) -> None:
    """Lose verdicts, as if they had never been journaled."""
    (journal,) = (run / "verdicts").glob("*.jsonl")
    lines = journal.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if keep(json.loads(line))]
    assert len(kept) < len(lines)
    journal.write_text("\n".join(kept) + "\n", encoding="utf-8")


def test_a_run_against_itself_passes(scripted):
    result = gate(scripted["oracle"], scripted["oracle"])
    assert result.exit_code == 0
    assert "gate passed overall@3" in result.stdout


def test_a_better_run_passes(scripted):
    assert gate(scripted["clumsy"], scripted["oracle"]).exit_code == 0


def test_a_worse_run_regresses(scripted):
    result = gate(scripted["oracle"], scripted["clumsy"], "--metric", "overall@3", "--tolerance", 1.0)
    assert result.exit_code == 1
    assert "gate regressed overall@3 got worse: 100.0 to " in result.stdout
    assert gate(scripted["oracle"], scripted["clumsy"], "--tolerance", 100).exit_code == 0


def test_a_few_missing_verdicts_are_tolerated_and_more_are_not(scripted, copied):
    forget(copied, lambda line: line["metric"] != "IF" or line["session"] != "plain-0000")
    result = gate(scripted["oracle"], copied)
    assert result.exit_code == 2
    assert "coverage 97.5 % is below 99 %" in result.stdout
    assert gate(scripted["oracle"], copied, "--coverage", 0.97).exit_code == 0
    assert gate(scripted["oracle"], copied, "--metric", "global_awareness").exit_code == 0  # asks no IF


def test_other_sessions_are_incomplete(scripted, tmp_path):
    evaluate("mice-mini", "oracle", out=tmp_path / "short", limit=SESSIONS - 3)
    result = gate(scripted["oracle"], tmp_path / "short")
    assert result.exit_code == 2
    assert "sessions do not match: 3 sessions only in the base run" in result.stdout


def test_runs_that_cannot_be_compared_are_incomplete(scripted, copied):
    manifest = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    (copied / "manifest.json").write_text(json.dumps(manifest | {"judge_hash": "0" * 64}), encoding="utf-8")
    result = gate(scripted["oracle"], copied)
    assert result.exit_code == 2
    assert "judge card differs" in " ".join(result.stdout.split())


def test_no_base_and_wrong_options_are_no_regression(scripted, tmp_path):
    assert gate(tmp_path / "nothing", scripted["oracle"]).exit_code == 2
    assert gate(scripted["oracle"], tmp_path / "nothing").exit_code == 2
    assert gate(scripted["oracle"], scripted["oracle"], "--metric", "overal").exit_code == 2
    assert gate(scripted["oracle"], scripted["oracle"], "--metric", "overall@9").exit_code == 2


def drift(run: Path, *, drifted: bool) -> None:
    manifest = open_run(run).manifest
    scores = {"scores": {"one/IF": 1.0}, "missing": {}}
    assert manifest.judge_hash is not None
    record = {"judge": manifest.judge, "judge_hash": manifest.judge_hash, "golden": "g", "items": 1}
    record |= {"start": scores, "end": scores, "changes": {}, "shift": 0.0, "largest": 0.0, "coverage": 1.0}
    record |= {"limit": 0.1, "drifted": drifted}
    key = f"{manifest.judge}-{manifest.judge_hash[:8]}"
    RunDir(run).drift.write_text(json.dumps({"judges": {key: record}}), encoding="utf-8")


def test_a_judge_that_drifted_outweighs_the_numbers(scripted, copied):
    drift(copied, drifted=False)
    assert gate(copied, scripted["clumsy"]).exit_code == 1
    drift(copied, drifted=True)
    for pair in ((copied, scripted["clumsy"]), (scripted["oracle"], copied)):
        result = gate(*pair)
        assert result.exit_code == 3
        assert "gate drifted" in result.stdout


def test_the_worst_of_several_decides(scripted, copied):
    result = gate(scripted["oracle"], scripted["oracle"], scripted["clumsy"], "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [one["outcome"] for one in found["gate"]["decisions"]] == ["passed", "regressed"]
    assert (found["gate"]["outcome"], found["gate"]["code"], len(found["comparisons"])) == ("regressed", 1, 2)
    drift(copied, drifted=True)
    assert gate(scripted["oracle"], scripted["clumsy"], copied).exit_code == 3


def test_several_numbers_share_one_family(scripted):
    words = ("--metric", "overall@3", "--metric", "turn_success@3", "--json")
    cells = [
        decision["cell"]
        for decision in json.loads(gate(scripted["oracle"], scripted["clumsy"], *words).stdout)["gate"]["decisions"]
    ]
    assert [cell["metric"] for cell in cells] == ["overall", "turn_success"]
    assert all(cell["p_holm"] == pytest.approx(2 * cell["p"]) for cell in cells)


def test_one_new_run_keeps_its_json(scripted):
    plain = CliRunner().invoke(build_app(), ["compare", str(scripted["oracle"]), str(scripted["clumsy"]), "--json"])
    gated = json.loads(gate(scripted["oracle"], scripted["clumsy"], "--json").stdout)
    decided = gated.pop("gate")
    assert gated == json.loads(plain.stdout)
    assert decided["decisions"][0]["cell"]["turn"] == "3"


def test_ci_gets_its_files(scripted, tmp_path):
    junit, page, step = (tmp_path / name for name in ("gate.xml", "gate.html", "step.md"))
    result = gate(
        scripted["oracle"], scripted["clumsy"], "--junit", junit, "--html", page, GITHUB_STEP_SUMMARY=str(step)
    )
    assert result.exit_code == 1
    (suite,) = ElementTree.parse(junit).getroot()
    assert suite.get("failures") == "1"
    assert "Gate: regressed" in page.read_text(encoding="utf-8")
    assert step.read_text(encoding="utf-8").startswith("## ❌ micebench gate: regressed")
    other = tmp_path / "mine.md"
    gate(scripted["oracle"], scripted["oracle"], "--summary", other, GITHUB_STEP_SUMMARY=str(step))
    assert other.read_text(encoding="utf-8").startswith("## ✅ micebench gate: passed")
    assert step.read_text(encoding="utf-8").count("##") == 2  # the gate's and its table's


@pytest.mark.parametrize("words", [["--tolerance", "2"], ["--metric", "overall"], ["--junit", "x.xml"]])
def test_options_of_the_gate_need_the_gate(scripted, words):
    result = CliRunner().invoke(build_app(), ["compare", str(scripted["oracle"]), str(scripted["clumsy"]), *words])
    assert result.exit_code == 2
    assert "--gate" in result.output
