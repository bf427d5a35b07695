"""A run to label: 12 sessions with gaps, a failed edit and hostile text, anew for each test."""

import shutil

import pytest

from micebench.engine.run_reader import Run, open_run
from tests.report.runs import ordinary_plans, write_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("review") / "clumsy", ordinary_plans())


@pytest.fixture
def labelled(finished: Run, tmp_path) -> Run:
    """A copy that may be written into."""
    shutil.copytree(finished.path, tmp_path / "run")
    return open_run(tmp_path / "run")
