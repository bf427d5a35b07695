"""Runs to report on; made once."""

import pytest

from micebench.engine.run_reader import Run
from tests.report.runs import Plan, make_session, ordinary_plans, write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("runs") / "clumsy", ordinary_plans())


@pytest.fixture(scope="session")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """5 sessions of 10 turns with larger images."""
    plans = [
        Plan(make_session(n, ("plain", "cm", "cu")[n % 3], 10), tuple(k < 4 + n for k in range(10))) for n in range(5)
    ]
    return write_run(tmp_path_factory.mktemp("runs") / "long", plans, turns=10, size=(512, 320))
