"""The gate's decisions as JUnit XML, which every CI system shows: one test case per guarded number of a new run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from micebench.comparison.flips import Loss
from micebench.comparison.multi_run import Gated, GateResult
from micebench.report.formatting import visible
from micebench.store.manifest import write_atomically

_KINDS = {"regressed": "failure", "incomplete": "error", "drifted": "error"}


def write_junit(path: Path, result: GateResult, lost: Mapping[str, Sequence[Loss]]) -> None:
    """Write `junit` as a file. Raises RunError if the disk refuses."""
    write_atomically(path, junit(result, lost))


def junit(result: GateResult, lost: Mapping[str, Sequence[Loss]]) -> bytes:
    """The document, UTF-8.

    Args:
        lost: by path of the new run, the sessions to list with a regression, worst first.

    A regression is a ``failure``; what could not be decided is an ``error``. No character of a run that XML
    forbids, or that hides others, is written.
    """
    root = ElementTree.Element("testsuites")
    count = {outcome: sum(row.decision.outcome == outcome for row in result.rows) for outcome in _KINDS}
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name="micebench gate",
        tests=str(len(result.rows)),
        failures=str(count["regressed"]),
        errors=str(count["incomplete"] + count["drifted"]),
        skipped="0",
    )
    for row in result.rows:
        _case(suite, row, lost.get(str(row.new), ()))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(suite: ElementTree.Element, row: Gated, lost: Sequence[Loss]) -> None:
    decision = row.decision
    case = ElementTree.SubElement(
        suite, "testcase", classname=_words(f"micebench.{row.new.name}"), name=_words(row.options.metric), time="0"
    )
    said = "\n".join(_words(reason) for reason in decision.reasons)
    if decision.outcome == "passed":
        ElementTree.SubElement(case, "system-out").text = said
        return
    problem = ElementTree.SubElement(
        case, _KINDS[decision.outcome], message=_words(decision.reasons[0]), type=decision.outcome
    )
    lines = [_line(loss) for loss in lost] if decision.outcome == "regressed" else []
    problem.text = "\n".join([said, *(["", "lost sessions, worst first:", *lines] if lines else [])])


def _line(loss: Loss) -> str:
    where = f" turn {loss.turn}: {loss.instruction}" if loss.turn else ""
    return f"  {loss.session}{where}" + (f" -- {loss.reason}" if loss.reason else "")


def _words(text: str) -> str:
    return visible(text, 1000)
