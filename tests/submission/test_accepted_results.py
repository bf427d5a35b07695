"""What lies in `results/` is what its bundles say: each is verified again, from its images up."""

import json
from pathlib import Path

import pytest

from micebench.submission import verify_bundle
from micebench.submission.integrity_checks import check_summary
from micebench.submission.verify import NAMES

RESULTS = Path(__file__).parents[2] / "results"
ACCEPTED = sorted(path.parent for path in RESULTS.glob("*/*/verification.json"))
SCRIPTED = ("clumsy", "drifting", "identity", "oracle", "oracle-last")
LARGEST = 1_250_000


def test_every_bundled_editor_is_there():
    there = {(folder.parent.name, folder.name) for folder in ACCEPTED}
    for task in ("mice-mini", "mice-mini-long"):
        assert {(task, name) for name in (*SCRIPTED, "kontext")} <= there


def test_every_result_has_its_three_files():
    """A summary without a bundle would be a number that nobody can check."""
    for folder in sorted(RESULTS.glob("*/*/")):
        names = {path.name for path in folder.iterdir()}
        extra = {name for name in names if name == "exposure_gap.json" or name.startswith("against-")}
        assert names - extra == {"bundle.zip", "summary.json", "verification.json"}, folder


@pytest.mark.slow
@pytest.mark.parametrize("folder", ACCEPTED, ids=[f"{path.parent.name}/{path.name}" for path in ACCEPTED])
def test_every_bundle_is_verified(folder: Path):
    bundle = folder / "bundle.zip"
    assert bundle.stat().st_size < LARGEST
    said = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
    found = verify_bundle(bundle)
    assert found.passed, found.checks
    assert found.bundle is not None
    assert found.mark == said["mark"] == "verified"
    assert (said["task"], said["slug"]) == (folder.parent.name, folder.name)
    assert said["bundle_sha256"] == found.bundle.sha256
    assert (said["verdicts_recomputed"], said["of"]) == (found.verdicts_recomputed, found.of)
    assert said["detection_probability"] == pytest.approx(found.detection_probability)
    assert [check["check"] for check in said["checks"]] == list(NAMES)
    assert not [check for check in said["checks"] if check["outcome"] == "failed"]
    assert found.summary is not None
    check_summary(json.loads((folder / "summary.json").read_text(encoding="utf-8")), found.summary)
