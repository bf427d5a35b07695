"""A bundle says what the run says, to the byte the same each time, and passes every check."""

import itertools
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.engine.evaluate import evaluate
from micebench.submission import accept, read_bundle, submit, to_json
from micebench.submission.sampling import detection_probability, drawn
from micebench.submission.verify import NAMES
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import TEXTS


def test_a_whole_bundle_is_verified(made: Made):
    found = made.verify(made.bundle)
    outcomes = {check.check: check.outcome for check in found.checks}
    assert outcomes == dict.fromkeys(NAMES, "passed") | {"copies": "skipped"}, found.checks
    assert (found.passed, found.mark) == (True, "verified")
    assert found.verdicts_recomputed == found.of == 26 * 3 * 6
    assert found.detection_probability == 1.0
    assert found.summary == made.run.summary()


def test_it_says_what_the_run_says(made: Made):
    bundle = read_bundle(made.bundle)
    assert bundle.manifest == made.run.manifest
    assert list(bundle.edits) == list(made.run.edits())
    ours = [(v.session, v.turn, v.metric, v.status, v.value, v.reason, v.key[:16]) for v in made.run.verdicts()]
    assert [(v.session, v.turn, v.metric, v.status, v.value, v.reason, v.key) for v in bundle.verdicts] == ours
    assert bundle.summary == made.run.summary()
    for edit in itertools.islice(made.run.edits(), 9):
        assert bundle.image(edit.image) == made.run.blob(edit.image)
    said = bundle.submission
    assert (said.name, said.contact, said.url) == (ABOUT["name"], ABOUT["contact"], ABOUT["url"])
    assert said.command.startswith("micebench run --model fumbling --task tiny ")


def test_nothing_of_the_submitters_disk_is_in_it(made: Made):
    with zipfile.ZipFile(made.bundle) as zipped:
        assert list(zipped.namelist())[:5] == list(TEXTS)
        for name in TEXTS:
            assert str(made.folder).encode() not in zipped.read(name)


def test_equal_runs_give_equal_bytes(made: Made, tmp_path: Path):
    elsewhere = shutil.copytree(made.run.path, tmp_path / "copied")
    again = submit(elsewhere, **ABOUT, out=tmp_path / "again.zip", cards=made.cards).path
    assert again.read_bytes() == made.bundle.read_bytes()


def test_nobody_chooses_the_sample(made: Made, tmp_path: Path):
    written = submit(made.run.path, **ABOUT, out=tmp_path / "b.zip", images="sample", sessions=15, cards=made.cards)
    bundle = read_bundle(written.path)
    kept = bundle.submission.images
    ids = [line["id"] for line in bundle.sessions]
    assert kept.seed == bundle.seed
    assert kept.sessions == drawn(ids, 15, bundle.seed)
    assert kept.sessions != drawn(ids, 15, "0" * 64)
    found = made.verify(written.path)
    assert found.mark == "verified"
    assert found.verdicts_recomputed == 15 * 3 * 6
    assert found.detection_probability == pytest.approx(1 - (11 / 26) * (10 / 25), abs=1e-12)  # 2 of 26 altered
    fewer = made.verify(written.path, sample=4, seed="7")
    assert (fewer.verdicts_recomputed, fewer.seed) == (4 * 3 * 6, "7")
    assert fewer.command == "micebench verify bundle.zip --sample 4 --seed 7"
    assert made.verify(written.path, sample=4).seed not in (None, "7")


def test_probabilities_are_those_of_drawing():
    for total, looked_at, share in ((10, 3, 0.2), (12, 12, 0.1), (9, 1, 0.5)):
        altered = set(range(max(1, round(total * share + 0.4999))))
        draws = list(itertools.combinations(range(total), looked_at))
        met = sum(bool(altered & set(draw)) for draw in draws)
        assert detection_probability(total, looked_at, share) == pytest.approx(met / len(draws))


def test_every_repeat_is_in_it(made: Made, tmp_path: Path):
    run = evaluate("tiny", "fumbling", out=tmp_path / "run", cards=made.cards, repeats=2, seed=5)
    found = made.verify(submit(run.path, **ABOUT, out=tmp_path / "b.zip", cards=made.cards).path)
    assert found.passed, found.checks
    assert found.of == 2 * 26 * 3 * 6
    assert {check.check: check.detail for check in found.checks}["seeds"] == "all follow from run seed 5"


def test_accepting_writes_three_files(made: Made, tmp_path: Path):
    found = made.verify(made.bundle, results=tmp_path)
    folder = accept(found, tmp_path)
    assert folder == tmp_path / "tiny" / "fumbling-2"
    assert {path.name for path in folder.iterdir()} == {"bundle.zip", "summary.json", "verification.json"}
    assert (folder / "bundle.zip").read_bytes() == made.bundle.read_bytes()
    assert json.loads((folder / "summary.json").read_text()) == made.run.summary()
    said = json.loads((folder / "verification.json").read_text())
    assert said == to_json(found)
    assert (said["mark"], said["slug"], said["model"], said["task"]) == ("verified", "fumbling-2", "fumbling", "tiny")
    assert said["verdicts_recomputed"] == said["of"] == 468
    assert [check["check"] for check in said["checks"]] == list(NAMES)


def test_the_verbs_do_it_in_one_line_each(made: Made, tmp_path: Path):
    bundle, cards = str(tmp_path / "b.zip"), ["--cards", str(made.cards[0])]
    words = ["submit", str(made.run.path), "--name", "x1", "--contact", "a@b.org", "--out", bundle, *cards]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == bundle
    results = str(tmp_path / "results")
    done = CliRunner().invoke(build_app(), ["verify", bundle, "--json", "--accept", results, *cards])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["mark"] == "verified"
    assert (tmp_path / "results/tiny/x1/verification.json").is_file()
    Path(bundle).write_bytes(b"no zip")
    done = CliRunner().invoke(build_app(), ["verify", bundle, *cards])
    assert done.exit_code == 1
    assert "failed  archive" in done.stdout
    for verb in ("submit", "verify"):
        shown = CliRunner().invoke(build_app(), [verb, "--help"], env={"COLUMNS": "110"}).stdout
        assert shown.count(f"micebench {verb} ") >= 2
