"""A damaged line of a run is one error that names file and line; it is never a number and never a traceback."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from micebench.engine.evaluate import judge
from micebench.engine.run_reader import open_run
from micebench.errors import RunError
from micebench.verdicts import Status, Verdict
from tests.store.damage import Change, change_line, finished, verdicts_of, with_fields, without
from tests.toy import Meter, toy_cards

DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def refused(run: Path, where: str, remedy: str = "delete that line") -> str:
    with pytest.raises(RunError) as error:
        open_run(run).summary()
    said = str(error.value)
    assert where in said
    assert remedy in said
    assert "\n" not in said
    assert len(said) < 700
    return said


def raw(line: dict[str, Any], old: str, new: str) -> bytes:
    text = json.dumps(line, separators=(",", ":"))
    assert old in text
    return text.replace(old, new, 1).encode() + b"\n"


VERDICTS: dict[str, Change] = {
    "ok without a value": with_fields(status="ok", value=None),
    "no value field": without("value"),
    "a value without ok": with_fields(status="error", value=1.0),
    "true": with_fields(status="ok", value=True),
    "text": with_fields(status="ok", value="1.0"),
    "above one": with_fields(status="ok", value=1.5),
    "below zero": with_fields(status="ok", value=-0.01),
    "NaN": with_fields(status="ok", value=math.nan),
    "Infinity": with_fields(status="ok", value=math.inf),
    "a number too large": lambda line: raw(line, f'"value":{line["value"]}', '"value":1e999'),
    "a whole number too large": with_fields(status="ok", value=10**400),
    "digits without end": lambda line: raw(line, f'"value":{line["value"]}', f'"value":{"1" * 5000}'),
    "a list": with_fields(status="ok", value=[1.0]),
    "unknown status": with_fields(status="fine"),
    "status in capitals": with_fields(status="OK"),
    "status null": with_fields(status=None),
    "status a list": with_fields(status=[]),
    "unknown session": with_fields(session="s999"),
    "session a number": with_fields(session=1),
    "session a list": with_fields(session=[]),
    "turn zero": with_fields(turn=0),
    "negative turn": with_fields(turn=-1),
    "a turn beyond the session": with_fields(turn=4),
    "turn true": with_fields(turn=True),
    "turn a float": with_fields(turn=1.0),
    "turn text": with_fields(turn="1"),
    "negative repeat": with_fields(repeat=-1),
    "a repeat the run has not": with_fields(repeat=1),
    "unknown metric": with_fields(metric="IQ"),
    "metric null": with_fields(metric=None),
    "metric a list": with_fields(metric=["IF"]),
    "no key": without("key"),
    "key null": with_fields(key=None),
    "key no digest": with_fields(key="x" * 64),
    "edit no digest": with_fields(edit=7),
    "an extra field": with_fields(colour="red"),
    "reason null": with_fields(reason=None),
    "votes with NaN": with_fields(votes=[math.nan]),
    "votes with text": with_fields(votes=["1"]),
    "raw a text": with_fields(raw="yes"),
    "usage infinite": lambda line: raw(line, '"reason"', '"usage":{"a":[1e999]},"reason"'),
    "usage deep": lambda line: raw(line, '"reason"', f'"usage":{{"a":{DEEP.decode()}}},"reason"'),
    "latency below zero": with_fields(latency_s=-1.0),
    "attempt negative": with_fields(attempt=-1),
    "a name twice": lambda line: raw(line, '"value":', '"value":0.123,"value":'),
    "a name twice with a blank": lambda line: raw(line, '"value":', '"value" : 0.123,"value":'),
    "a list for a line": lambda line: b"[]\n",
    "a number for a line": lambda line: b"0.5\n",
    "deep nesting": lambda line: DEEP + b"\n",
    "two objects": lambda line: b"{} {}\n",
    "zeros": lambda line: b"\0" * 40 + b"\n",
    "another encoding": lambda line: json.dumps(line).encode("utf-16") + b"\n",
    "not UTF-8": lambda line: b'{"key":"\xff\xfe"}\n',
}


@pytest.mark.parametrize("damage", VERDICTS)
def test_a_damaged_verdict_line_is_named_and_never_a_number(run: Path, damage: str) -> None:
    path = verdicts_of(run)
    change_line(path, 5, VERDICTS[damage])
    refused(run, f"{path}:5: ")


def test_a_verdict_given_twice_with_different_values_is_named(run: Path) -> None:
    path = verdicts_of(run)
    last = json.loads(path.read_bytes().splitlines()[-1])
    path.write_bytes(path.read_bytes() + json.dumps({**last, "value": 0.0123}).encode() + b"\n")
    assert "an earlier line gives the same verdict" in refused(run, f"{path}:52: ")
    change_line(path, 52, lambda line: {**line, "value": None, "status": "error"})
    refused(run, f"{path}:52: ")
    change_line(path, 52, lambda line: last)
    open_run(run).summary()


def test_a_verdict_asked_again_replaces_one_without_a_value(run: Path) -> None:
    path = verdicts_of(run)
    line = json.loads(path.read_bytes().splitlines()[4])
    change_line(path, 5, with_fields(status="unparsed", value=None))
    path.write_bytes(path.read_bytes() + json.dumps(line | {"attempt": 1}).encode() + b"\n")
    assert open_run(run).summary()["coverage"]["IF"]["unparsed"] == 0


def test_deleting_the_damaged_line_and_judging_again_repairs_the_run(whole: Path, run: Path) -> None:
    path = verdicts_of(run)
    change_line(path, 5, VERDICTS["ok without a value"])
    refused(run, f"{path}:5: ")
    change_line(path, 5, lambda line: b"")
    judge(run, Meter())
    assert open_run(run).summary() == open_run(whole).summary()


@pytest.mark.parametrize("torn", [b'{"key":"ab', b"\xff", b'{"status":"ok","value":null}'])
def test_a_torn_last_line_is_still_tolerated(whole: Path, run: Path, torn: bytes) -> None:
    path = verdicts_of(run)
    path.write_bytes(path.read_bytes() + torn)
    assert open_run(run).summary() == open_run(whole).summary()


EDITS: dict[str, Change] = {
    "ok without an image": with_fields(status="ok", image=None),
    "failed with an image": with_fields(status="failed"),
    "unknown status": with_fields(status="great"),
    "a short image": with_fields(image="ab"),
    "image in blanks": with_fields(image="ab " * 32),
    "a short key": with_fields(key="ab"),
    "no key": without("key"),
    "turn zero": with_fields(turn=0),
    "negative turn": with_fields(turn=-2),
    "a turn beyond the session": with_fields(turn=4),
    "negative repeat": with_fields(repeat=-1),
    "unknown session": with_fields(session="nobody"),
    "seed text": with_fields(seed="1"),
    "seed true": with_fields(seed=True),
    "an extra field": with_fields(note="x"),
    "usage a list": with_fields(usage=[1]),
    "usage infinite": lambda line: raw(line, '"reason"', '"usage":{"cost_usd":1e999},"reason"'),
    "usage too large": with_fields(usage={"cost_usd": 10**400}),
    "a name twice": lambda line: raw(line, '"turn":', '"turn":1,"turn":'),
    "a text for a line": lambda line: b'"edit"\n',
}


@pytest.mark.parametrize("damage", EDITS)
def test_a_damaged_edit_line_is_named(run: Path, damage: str) -> None:
    path = run / "edits" / "main.jsonl"
    change_line(path, 4, EDITS[damage])
    refused(run, f"{path}:4: ")


def in_turn(**fields: Any) -> Change:
    return lambda line: {**line, "turns": [{**line["turns"][0], **fields}, *line["turns"][1:]]}


SESSIONS: dict[str, Change] = {
    "no id": without("id"),
    "id a number": with_fields(id=3),
    "id a list": with_fields(id=[]),
    "an id twice": with_fields(id="s000"),
    "no turns": with_fields(turns=[]),
    "turns null": with_fields(turns=None),
    "turns a text": with_fields(turns="abc"),
    "more turns than the manifest says": lambda line: {**line, "turns": line["turns"] * 3},
    "instruction null": in_turn(instruction=None),
    "turn number zero": in_turn(number=0),
    "pool a text": in_turn(unchanged_objects="fish"),
    "invalid a list": in_turn(invalid=["IF"]),
    "edit type a number": in_turn(edit_type=3),
    "target no digest": in_turn(target="../../x"),
    "image no digest": with_fields(image="../../etc/passwd"),
    "image too short": with_fields(image="ab"),
    "rule a text": with_fields(rule="red"),
    "rule without text": with_fields(rule={"attribute": "color", "value": "red"}),
    "track null": with_fields(track=None),
    "an extra field": with_fields(pixels="x"),
    "a name twice": lambda line: raw(line, '"id":', '"id":"s009","id":'),
}


@pytest.mark.parametrize("damage", SESSIONS)
def test_a_damaged_session_line_is_named(run: Path, damage: str) -> None:
    path = run / "sessions.jsonl"
    change_line(path, 2, SESSIONS[damage])
    remedy = "restore" if damage.startswith("more turns") else "delete that line and all after it"
    refused(run, f"{path}:2: ", remedy)


def test_lost_session_lines_are_no_smaller_run(run: Path) -> None:
    path = run / "sessions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for name in ("edits/main.jsonl", f"verdicts/{verdicts_of(run).name}"):
        kept = [line for line in (run / name).read_bytes().splitlines(keepends=True) if b'"s005"' not in line]
        (run / name).write_bytes(b"".join(kept))
    assert "5 of the run's 6 sessions" in refused(run, str(path), "micebench run")


MANIFEST: dict[str, Change] = {
    "seed text": with_fields(seed="0"),
    "seed true": with_fields(seed=True),
    "repeats zero": with_fields(repeats=0),
    "repeats without bounds": with_fields(repeats=10**12),
    "turns a float": with_fields(turns=3.0),
    "negative sessions": with_fields(n_sessions=-1),
    "unknown context": with_fields(context="all"),
    "unknown metric": with_fields(metrics=["IQ"]),
    "a metric twice": with_fields(metrics=["IF", "IF"]),
    "a judge elsewhere": with_fields(judge="../../other"),
    "a judge without a hash": with_fields(judge_hash=None),
    "hash no digest": with_fields(editor_hash="x"),
    "no task": without("task"),
    "an extra field": with_fields(more=1),
    "NaN": lambda line: json.dumps({**line, "versions": math.nan}).encode(),
    "a name twice": lambda line: raw(line, '"seed":', '"seed":1,"seed":'),
    "a list": lambda line: b"[]",
    "deep nesting": lambda line: DEEP,
    "torn": lambda line: b'{"format": 1,',
    "empty": lambda line: b"",
}


@pytest.mark.parametrize("damage", MANIFEST)
def test_a_damaged_manifest_is_named(run: Path, damage: str) -> None:
    path = run / "manifest.json"
    made = MANIFEST[damage](json.loads(path.read_bytes()))
    path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
    refused(run, str(path), "restore it from a copy")


@pytest.mark.parametrize("name", ["task_card", "judge_card"])
def test_a_damaged_recorded_card_is_named(run: Path, name: str) -> None:
    path = run / "manifest.json"
    line = json.loads(path.read_bytes()) | {name: {"id": 7}}
    path.write_bytes(json.dumps(line).encode())
    with pytest.raises(RunError, match=f"manifest.json: the recorded {name.split('_')[0]} card: "):
        judge(run)


def test_text_with_half_a_character_is_honest(run: Path) -> None:
    change_line(verdicts_of(run), 5, with_fields(reason="\ud83d", raw=["\udc00"]))
    open_run(run).summary()
    assert any("\ud83d" in verdict.reason for verdict in open_run(run).verdicts())


def test_what_a_judge_gives_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    """Flags and whole numbers become floats; what no journal can hold is an error of the guilty verdict."""

    class Odd(Meter):
        def judge(self, questions: Any) -> list[Verdict]:
            given = [
                Verdict(Status.OK, True, votes=(1, False)),  # type: ignore[arg-type]
                Verdict(Status.OK, 0.5, usage={"tokens": math.inf}),
                Verdict(Status.OK, 0.5, reason=None),  # type: ignore[arg-type]
                Verdict(Status.OK, 0.5, raw=(b"yes",)),  # type: ignore[arg-type]
            ]
            return [given[question.turn % 4] if question.metric == "IF" else Verdict.ok(1) for question in questions]

    whole = finished(tmp_path)
    run = judge(whole, Odd(), cards=[toy_cards(tmp_path / "cards")])
    found = {(one.turn, one.status, one.value) for one in open_run(run.path).verdicts() if one.metric == "IF"}
    assert found == {(1, Status.ERROR, None), (2, Status.ERROR, None), (3, Status.ERROR, None)}
    with pytest.raises(ValueError):
        Verdict(Status.OK, "1.0")  # type: ignore[arg-type]
    kept = Verdict(Status.OK, True, votes=(1, False))  # type: ignore[arg-type]
    assert (kept.value, kept.votes) == (1.0, (1.0, 0.0))
    assert type(kept.value) is float
