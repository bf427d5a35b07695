"""Two runs of the same sessions: a base in which all turns pass, and one with everything a page must survive."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from micebench.comparison.gate import GateOptions
from micebench.comparison.multi_run import GateResult, compare_all, gate
from micebench.engine.run_reader import Run
from tests.report.runs import Plan, ordinary_plans, write_run


class Pair(NamedTuple):
    base: Run
    new: Run
    comparison: dict
    gate: GateResult


def untroubled(plan: Plan) -> Plan:
    return Plan(plan.session, (True,) * len(plan.followed))


def troubled(plan: Plan) -> Plan:
    """Sessions with hostile instructions, rules and ids fail, so that they are shown."""
    hostile = plan.session.id in ("plain-002", "cm-006", "cu-009")
    return replace(plan, followed=(True, False, True)) if hostile else plan


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pairs")
    base = write_run(folder / "base", [untroubled(plan) for plan in ordinary_plans()])
    new = write_run(folder / "<b id=planted>new", [troubled(plan) for plan in ordinary_plans()])
    (comparison,) = compare_all(base, [new])
    return Pair(
        base, new, comparison.to_json(), gate(base, [new], [GateOptions(metric="turn_success@3", coverage=0.0)])
    )


@pytest.fixture(scope="session")
def third(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plans = ordinary_plans()
    failing = [replace(untroubled(plan), followed=(n != 0, True, n != 4)) for n, plan in enumerate(plans)]
    return write_run(Path(tmp_path_factory.mktemp("pairs")) / "third", failing)
