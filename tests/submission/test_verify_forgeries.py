"""Whoever knows the format and recomputes every hash is still found out; each forgery is refused with its reason."""

import io
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from micebench.engine.evaluate import evaluate
from micebench.store.keys import EditCause, derive_seed, verdict_key
from micebench.store.session_records import row_hash
from micebench.submission import BundleError, accept, strict_json, submit
from micebench.submission.bundle import read_bundle
from micebench.submission.integrity_checks import indexed, recomputed
from micebench.tasks.load import iter_sessions, load_task
from micebench.utils.png import encode_png
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import Forgery, Line


def failure(made: Made, bundle: Path, **options: Any) -> tuple[str, str]:
    """The first check that fails, and why."""
    found = made.verify(bundle, **options)
    assert not found.passed
    assert found.mark == "self-reported"
    failed = next(check for check in found.checks if check.outcome == "failed")
    assert "\n" not in failed.detail
    return failed.check, failed.detail


def with_keys(forged: Forgery) -> Forgery:
    """Every key anew, as the verifier will compute them; also of images that were exchanged."""
    manifest = forged.said["manifest"]
    cause = EditCause(manifest["task"], manifest["editor_hash"], manifest["context"], manifest["seed"])
    sessions = {line["id"]: line for line in forged.lines("sessions.jsonl")}
    made: dict[tuple[str, int], list[str]] = {}
    keys: dict[tuple[str, int, int], tuple[str, str]] = {}
    edits = forged.lines("edits.jsonl")
    for edit in edits:
        line, image_checks = sessions[edit["session"]], made.setdefault((edit["session"], edit["repeat"]), [])
        edit["key"] = cause.edit_key(row_hash(line), line["image"], edit["repeat"], edit["turn"], image_checks)
        image_checks.append(edit["image"])
        keys[edit["session"], edit["repeat"], edit["turn"]] = (edit["key"], edit["image"])
    verdicts = forged.lines("verdicts.jsonl")
    for verdict in verdicts:
        key, image = keys[verdict["session"], verdict["repeat"], verdict["turn"]]
        verdict["edit"] = key[:16]
        verdict["key"] = verdict_key(key, image, manifest["judge_hash"], verdict["metric"])[:16]
    return forged.write("edits.jsonl", edits).write("verdicts.jsonl", verdicts)


def with_summary(made: Made, forged: Forgery, path: Path) -> Forgery:
    """The numbers anew, from the forged verdicts."""
    bundle = read_bundle(forged.fit().pack(path))
    own = list(iter_sessions(load_task("tiny", cards=made.cards)))
    folder = path.parent / "own"
    folder.mkdir(exist_ok=True)
    (folder / "sessions.jsonl").unlink(missing_ok=True)
    forged.members["summary.json"] = json.dumps(recomputed(bundle, indexed(bundle, own, folder))).encode()
    return forged.fit()


def better(forged: Forgery) -> Forgery:
    """All edits followed."""

    def praise(line: Line) -> None:
        if line["metric"] in ("IF", "GA"):
            line["value"] = 1.0

    return forged.change("verdicts.jsonl", praise)


def test_scores_that_were_edited(made: Made, tmp_path: Path):
    path = tmp_path / "b.zip"
    check, said = failure(made, better(Forgery(made.bundle)).pack(path))
    assert (check, said) == ("hashes", "verdicts.jsonl is not what submission.json says: it was changed afterwards")
    check, said = failure(made, better(Forgery(made.bundle)).fit().pack(path))
    assert check == "summary"
    assert "the verdicts give 100" in said
    whole = with_summary(made, better(Forgery(made.bundle)), path)
    check, said = failure(made, whole.pack(path))
    assert check == "verdicts"
    assert "468 verdicts of 26 sessions judged again" in said
    assert "is 1, judged here 0" in said


def test_an_edited_score_is_found_where_its_images_are(made: Made, tmp_path: Path):
    """Whoever alters verdicts draws another sample; they are caught if it holds an altered session, and only then."""
    path, caught = tmp_path / "b.zip", []
    wrong = [
        n
        for n, v in enumerate(Forgery(made.bundle).lines("verdicts.jsonl"))
        if (v["metric"], v["value"]) == ("IF", 0)
    ]
    for number in wrong[:6]:
        forged = Forgery(made.bundle)
        forged.say(lambda said: said["images"].update(kept="sample", sessions=said["images"]["sessions"][:14]))
        lines = forged.lines("verdicts.jsonl")
        lines[number]["value"] = 1.0
        forged = with_summary(made, forged.write("verdicts.jsonl", lines), path).trim().fit()
        found = made.verify(forged.pack(path))
        assert found.passed == (lines[number]["session"] not in forged.said["images"]["sessions"])
        assert found.passed or failure(made, path)[0] == "verdicts"
        caught.append(not found.passed)
    assert set(caught) == {True, False}


def test_numbers_that_were_edited(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    summary = json.loads(forged.members["summary.json"])
    summary["metrics"]["overall"]["3"]["value"] += 5
    forged.members["summary.json"] = json.dumps(summary).encode()
    check, said = failure(made, forged.fit().pack(tmp_path / "b.zip"))
    assert check == "summary"
    assert said.startswith("metrics.overall.3.value is ")
    forged = Forgery(made.bundle)
    summary["metrics"]["overall"]["3"]["value"] -= 5
    forged.members["summary.json"] = json.dumps(summary | {"rank": 1}).encode()
    assert failure(made, forged.fit().pack(tmp_path / "b.zip")) == (
        "summary",
        "rank is 1, the verdicts give nothing",
    )


def swap(forged: Forgery) -> tuple[str, str]:
    """Two output images change places; returns their hashes."""
    edits = forged.lines("edits.jsonl")
    one, other = (
        next(e for e in edits if e["session"] == s and e["turn"] == 2) for s in ("plain-0001", "plain-0002")
    )
    one["image"], other["image"] = other["image"], one["image"]
    forged.write("edits.jsonl", edits)
    return one["image"], other["image"]


def test_images_that_were_swapped(made: Made, tmp_path: Path):
    path, forged = tmp_path / "b.zip", Forgery(made.bundle)
    names = [name for name in forged.members if name.startswith("images/")][:2]
    first, second = (forged.members[name] for name in names)
    forged.members |= {names[0]: second, names[1]: first}
    check, said = failure(made, forged.fit().pack(path))
    assert check == "hashes"
    assert "is not the image its name says: images were swapped or changed" in said

    forged = Forgery(made.bundle)
    swap(forged)
    check, said = failure(made, forged.fit().pack(path))
    assert check == "edit keys"
    assert "images of another model or run, or swapped ones" in said

    forged = Forgery(made.bundle)
    swap(forged)
    check, said = failure(made, with_keys(forged).fit().pack(path))
    assert check == "verdicts"


def test_the_last_image_of_a_session_is_bound_by_its_verdicts(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    edits = forged.lines("edits.jsonl")
    one, other = (
        next(e for e in edits if e["session"] == s and e["turn"] == 3) for s in ("plain-0001", "plain-0002")
    )
    one["image"], other["image"] = other["image"], one["image"]
    assert failure(made, forged.write("edits.jsonl", edits).fit().pack(tmp_path / "b.zip"))[0] == "verdict keys"


def test_images_of_somebody_else(made: Made, tmp_path: Path):
    """Another model's bundle under one's own name: its keys say whose it is; recomputed, the images do."""
    path, results = tmp_path / "b.zip", tmp_path / "results"
    accept(made.verify(made.bundle, results=results), results)

    def mine(said: Line) -> None:
        said["name"], said["contact"] = "Mine", "me@example.org"
        said["manifest"] |= {"model": "mine", "editor_hash": "c" * 64}
        said["manifest"]["editor_card"] |= {"id": "mine"}

    check, said = failure(made, Forgery(made.bundle).say(mine).fit().pack(path))
    assert check == "edit keys"
    assert "images of another model or run" in said

    forged = with_summary(made, with_keys(Forgery(made.bundle).say(mine)), path)
    assert made.verify(forged.pack(path)).passed  # nothing in itself is wrong with it
    check, said = failure(made, path, results=results)
    assert check == "copies"
    assert said.endswith("images are those of 'Fumbling 2' (fumbling-2), which is another model")


def test_a_result_is_replaced_by_its_own_submitter_only(made: Made, tmp_path: Path):
    accept(made.verify(made.bundle), tmp_path)
    accept(made.verify(made.bundle), tmp_path)
    about = ABOUT | {"contact": "somebody.else@example.org"}
    other = submit(made.run.path, **about, out=tmp_path / "b.zip", cards=made.cards).path
    with pytest.raises(Exception, match="holds the result of another contact"):
        accept(made.verify(other), tmp_path)


def test_hard_sessions_that_are_missing(made: Made, tmp_path: Path):
    gone, forged = {"cu-0001", "cm-0002"}, Forgery(made.bundle)
    for name in ("sessions.jsonl", "edits.jsonl", "verdicts.jsonl"):
        forged.write(name, [line for line in forged.lines(name) if line.get("session", line.get("id")) not in gone])

    def fewer(said: Line) -> None:
        said["manifest"]["n_sessions"] = 24
        said["images"]["sessions"] = [name for name in said["images"]["sessions"] if name not in gone]

    assert failure(made, forged.say(fewer).trim().fit().pack(tmp_path / "b.zip")) == (
        "sessions",
        "2 sessions of the task missing, 'cu-0001' the first",
    )


def test_hard_edits_that_are_missing(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    for name in ("edits.jsonl", "verdicts.jsonl"):
        kept = [line for line in forged.lines(name) if (line["session"], line["turn"]) != ("cm-0000", 3)]
        forged.write(name, kept)
    assert failure(made, forged.fit().pack(tmp_path / "b.zip")) == (
        "units",
        "no edit of session 'cm-0000' turn 3: session 'cu-0000' turn 1 stands there",
    )


def test_hard_edits_that_are_called_refused(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    hard = {f"cu-000{number}" for number in range(4)}
    edits = [line for line in forged.lines("edits.jsonl") if line["session"] not in hard or line["turn"] == 1]
    for line in edits:
        if line["session"] in hard:
            line |= {"status": "refused", "image": None, "reason": "unsafe"}
    forged.write("edits.jsonl", edits)
    forged.write("verdicts.jsonl", [v for v in forged.lines("verdicts.jsonl") if v["session"] not in hard])
    forged = with_summary(made, forged, tmp_path / "b.zip")
    check, said = failure(made, forged.pack(tmp_path / "b.zip"))
    assert check == "coverage"
    assert "12 of 78 edits failed, were refused or were not reached" in said


def test_sessions_that_are_not_the_tasks(made: Made, tmp_path: Path):
    path = tmp_path / "b.zip"

    def easier(line: Line) -> None:
        if line["id"] == "plain-0003":
            line["turns"][1]["instruction"] = "Do nothing"

    check, said = failure(made, Forgery(made.bundle).change("sessions.jsonl", easier).fit().pack(path))
    assert (check, said) == (
        "sessions",
        "session 'plain-0003': turn 2, instruction is 'Do nothing', not the task's",
    )

    forged = Forgery(made.bundle)
    lines = forged.lines("sessions.jsonl")
    forged.write("sessions.jsonl", [*lines, lines[0] | {"id": "plain-9999"}])
    check, said = failure(made, forged.fit().pack(path))
    assert said == "1 session that the task does not have, 'plain-9999' the first"
    forged.write("sessions.jsonl", [*lines, lines[0]])
    assert failure(made, forged.fit().pack(path)) == (
        "sessions",
        "27 lines for the 26 sessions of the task: some come twice",
    )
    forged.write("sessions.jsonl", lines[::-1])
    assert "another order" in failure(made, forged.fit().pack(path))[1]


def test_another_source_image(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle)
    digest = forged.put(encode_png(Image.new("RGB", (48, 48), "red")))
    lines = forged.lines("sessions.jsonl")
    lines[0]["image"] = digest
    forged.write("sessions.jsonl", lines)
    check, said = failure(made, with_keys(forged).trim().fit().pack(tmp_path / "b.zip"))
    assert check == "images"
    assert "is not the source image that its session names" in said


def test_the_best_of_several_tries(made: Made, tmp_path: Path):
    """Of three repeats the best one of each session, as if there had been one: the seeds tell."""
    run = evaluate("tiny", "fumbling", out=tmp_path / "run", cards=made.cards, repeats=3)
    path = submit(run.path, **ABOUT, out=tmp_path / "b.zip", cards=made.cards).path
    forged = Forgery(path)
    scores: dict[tuple[str, int], float] = {}
    for line in forged.lines("verdicts.jsonl"):
        if line["metric"] == "IF":
            unit = (line["session"], line["repeat"])
            scores[unit] = scores.get(unit, 0) + line["value"]
    best = {name: max(range(3), key=lambda r: (scores[name, r], -r)) for name, _ in scores}
    assert set(best.values()) != {0}
    for name in ("edits.jsonl", "verdicts.jsonl"):
        lines = [line for line in forged.lines(name) if line["repeat"] == best[line["session"]]]
        forged.write(name, [line | {"repeat": 0} for line in lines])
    forged.say(lambda said: said["manifest"].update(repeats=1))
    check, said = failure(made, with_keys(forged).trim().fit().pack(path))
    assert check == "seeds"
    assert "was made with another seed than run seed 0 gives: one of several tries, or of another run" in said

    hidden = Forgery(submit(run.path, **ABOUT, out=tmp_path / "c.zip", cards=made.cards).path)
    hidden.say(lambda said: said["manifest"].update(repeats=1))
    check, said = failure(made, hidden.fit().pack(path))
    assert check == "units"
    assert "repeat 1 turn 1 stands there" in said


def test_another_run_seed_than_stated(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle).say(lambda said: said["manifest"].update(seed=1))
    assert failure(made, forged.fit().pack(tmp_path / "b.zip"))[0] == "seeds"

    def reseed(line: Line) -> None:
        line["seed"] = derive_seed("tiny", line["session"], line["turn"], line["repeat"], 1)

    forged.change("edits.jsonl", reseed)
    assert failure(made, forged.fit().pack(tmp_path / "b.zip"))[0] == "edit keys"


def replaced_value(text: bytes) -> Callable[[Forgery], Forgery]:
    """Put `text` where the first verdict's value stands."""

    def change(forged: Forgery) -> Forgery:
        data = forged.members["verdicts.jsonl"]
        start = data.index(b'"value":') + len(b'"value":')
        forged.members["verdicts.jsonl"] = data[:start] + text + data[data.index(b",", start) :]
        return forged

    return change


def first_line(name: str, **fields: Any) -> Callable[[Forgery], Forgery]:
    def change(forged: Forgery) -> Forgery:
        lines = forged.lines(name)
        lines[0] |= fields
        return forged.write(name, lines)

    return change


def appended(name: str, data: bytes) -> Callable[[Forgery], Forgery]:
    def change(forged: Forgery) -> Forgery:
        forged.members[name] += data
        return forged

    return change


FORMS: dict[str, tuple[Callable[[Forgery], Forgery], str]] = {
    "NaN": (replaced_value(b"NaN"), "verdicts.jsonl:1: NaN is no number"),
    "Infinity": (replaced_value(b"-Infinity"), "verdicts.jsonl:1: -Infinity is no number"),
    "overflow": (replaced_value(b"1e999"), "verdicts.jsonl:1: 1e999 is no finite number"),
    "beyond one": (replaced_value(b"1.5"), "value: Input should be less than or equal to 1"),
    "text": (replaced_value(b'"1.0"'), "value: Input should be a valid number"),
    "flag": (replaced_value(b"true"), "value: Input should be a valid number"),
    "list": (replaced_value(b"[1]"), "value: Input should be a valid number"),
    "no value": (replaced_value(b"null"), "status 'ok' and value None contradict each other"),
    "many digits": (replaced_value(b"1" * 5000), "verdicts.jsonl:1: "),
    "duplicate key": (replaced_value(b'0.0,"value":1.0'), "key 'value' is there twice"),
    "deep": (
        first_line("edits.jsonl", usage={"x": json.loads("[" * 200 + "]" * 200)}),
        "edits.jsonl:1: nested deeper than 32 levels",
    ),
    "very deep": (appended("verdicts.jsonl", b"[" * 500_000 + b"\n"), "nested deeper than 32 levels"),
    "huge line": (
        appended("verdicts.jsonl", b'{"x":"' + random.Random(0).randbytes(3 << 20).hex().encode() + b'"}\n'),
        "a line of more than 4 MiB",
    ),
    "cut off": (appended("verdicts.jsonl", b'{"x":'), "verdicts.jsonl: the last line is cut off"),
    "empty line": (appended("edits.jsonl", b"\n"), "edits.jsonl:79: "),
    "no object": (appended("edits.jsonl", b"[]\n"), "edits.jsonl:79: expected an object, got list"),
    "no UTF-8": (appended("edits.jsonl", b'{"x":"\xff"}\n'), "edits.jsonl:79: 'utf-8' codec can't decode"),
    "odd field": (first_line("edits.jsonl", score=1), "edits.jsonl:1: score: Extra inputs are not permitted"),
    "seed as text": (first_line("edits.jsonl", seed="0"), "edits.jsonl:1: seed: Input should be a valid integer"),
    "turn as float": (first_line("edits.jsonl", turn=1.0), "edits.jsonl:1: turn: Input should be a valid integer"),
    "no hash": (first_line("edits.jsonl", image="../../x"), "edits.jsonl:1: image: String should match pattern"),
    "turn 0": (first_line("edits.jsonl", turn=0), "edits.jsonl:1: turn: Input should be greater than or equal to 1"),
    "turns": (first_line("sessions.jsonl", turns=[]), "sessions.jsonl:1: turns: List should have at least 1 item"),
    "track": (first_line("sessions.jsonl", track="easy"), "sessions.jsonl:1: track: String should match pattern"),
    "long reason": (first_line("verdicts.jsonl", reason="x" * 5000), "reason: String should have at most 4000"),
}


@pytest.mark.parametrize(("change", "said"), FORMS.values(), ids=FORMS)
def test_lines_of_another_form(made: Made, tmp_path: Path, change: Callable[[Forgery], Forgery], said: str):
    check, why = failure(made, change(Forgery(made.bundle)).fit().pack(tmp_path / "b.zip"))
    assert check == "form"
    assert said in why
    assert len(why) < 700


def test_no_text_takes_longer_than_its_length():
    """Strings without an end, over and over: a search for their ends that starts anew each time would take hours."""
    start = time.process_time()
    for text in (b'"' + b'\\"' * (1 << 20), b'"a,' * (1 << 20), b'"' + b"\\" * ((1 << 21) + 1), b'{"a":' * (1 << 20)):
        with pytest.raises(BundleError):
            strict_json.parse(text + b"[" * 40, "here")
    assert time.process_time() - start < 10


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "HTML": ({"name": "<img src=x onerror=alert(1)>"}, "name: Value error, has < or >, the characters of HTML"),
    "escape": ({"name": "a\x1b[2Jb"}, "name: Value error, has the control or invisible character \\x1b"),
    "newline": ({"name": "a\nb"}, "has the control or invisible character \\n"),
    "bidi": ({"name": "evil\u202egnp.exe"}, "has the control or invisible character \\u202e"),
    "isolate": (
        {"contact": "a\u2066b@c.org"},
        "contact: Value error, has the control or invisible character \\u2066",
    ),
    "invisible": ({"name": "kon\u200btext"}, "has the control or invisible character \\u200b"),
    "surrogate": ({"note": "\ud800"}, "note: "),
    "look-alike": ({"name": "𝐤𝐨𝐧𝐭𝐞𝐱𝐭"}, "is spelled with look-alike characters"),
    "long": ({"name": "x" * 5000}, "name: String should have at most 80 characters"),
    "dots": ({"name": ".."}, "name: Value error, has no Latin letter or digit"),
    "javascript": ({"url": "javascript:alert(1)"}, "url: Value error, is no web address but javascript:..."),
    "JavaScript": ({"url": "JaVaScRiPt://example.org/%0aalert(1)"}, "is no web address but JaVaScRiPt:..."),
    "data": ({"url": "data:text/html,x"}, "is no web address but data:..."),
    "quote": ({"url": 'https://x.org/"onclick="'}, "url: Value error, has characters that an address has not"),
    "userinfo": (
        {"url": "https://example.org@evil.org/"},
        "url: Value error, has characters that an address has not",
    ),
    "no host": ({"url": "https:///x"}, "url: Value error, names no host"),
    "number": ({"name": 7}, "name: Input should be a valid string"),
    "format": ({"format": 2}, "format: Input should be 1"),
    "field": ({"rank": 1}, "rank: Extra inputs are not permitted"),
    "no files": ({"files": []}, "files: Input should be a valid dictionary"),
}


@pytest.mark.parametrize(("fields", "said"), SAID.values(), ids=SAID)
def test_words_that_are_not_shown(made: Made, tmp_path: Path, fields: dict[str, Any], said: str):
    forged = Forgery(made.bundle).fit().say(lambda whole: whole.update(fields))
    check, why = failure(made, forged.pack(tmp_path / "b.zip"))
    assert check == "form"
    assert said in why
    assert why.isprintable()


@pytest.mark.parametrize(
    ("fields", "check", "said"),
    [
        ({"task": "tinny"}, "cards", "unknown task 'tinny'; did you mean 'tiny'?"),
        ({"task": "../../tmp/evil/task.yaml"}, "cards", "unknown task '../../tmp/evil/task.yaml'"),
        (
            {"task_hash": "0" * 64},
            "cards",
            "the card of task 'tiny' is not the one that ships with micebench (00000000",
        ),
        ({"task_card": {"adapter": "evil:run"}}, "cards", "the card of task 'tiny' is not the one that ships"),
        ({"judge": "/tmp/evil/judge.yaml"}, "form", "file's name"),
        ({"judge": "lenient"}, "cards", "judged by 'lenient', results of 'tiny' are"),
        ({"judge_hash": "0" * 64}, "cards", "the card, or a prompt, of judge 'exact' is not the one that ships"),
        ({"judge_card": None}, "cards", "judge 'exact' is a Python object, which nobody else has"),
        ({"judge": None}, "form", "them or none"),
        ({"metrics": ["IF"]}, "cards", "judge 'exact' is asked other metrics than the manifest says"),
        ({"limit": 26}, "cards", "the run has the first 26 sessions only; run the whole task, without --limit"),
        ({"content_consistency": "mice"}, "cards", "content_consistency mice, the card of 'tiny' says edival"),
        ({"fingerprint": "0" * 64}, "cards", "fingerprint 000"),
        ({"task_version": 2}, "cards", "task_version 2"),
        ({"repeats": 10**9}, "form", "less than or equal to 1000000"),
        ({"repeats": 5000}, "units", "repeats is 5000; 1 to 1000 are possible"),
        ({"repeats": 0}, "form", "greater than or equal to 1"),
        ({"repeats": 2}, "units", "no edit of session"),
        ({"n_sessions": 25}, "units", "n_sessions is 25, there are 26 sessions"),
        ({"context": "last"}, "edit keys", "does not follow from its session, model and earlier images"),
        ({"editor_hash": "0" * 64}, "model", "is called 'fumbling', like a model that ships with micebench"),
        ({"model": "kontext"}, "model", "is called 'kontext', like a model that ships with micebench"),
        ({"model": "a\u202eb"}, "form", "has the control or invisible character \\u202e"),
        ({"model": ""}, "form", "manifest.model: names no model"),
        ({"seed": "0"}, "form", "manifest.seed: Input should be a valid integer"),
        ({"versions": {"numpy": "<b>"}}, "form", "has < or >"),
        ({"format": 2}, "form", "manifest.format: Input should be 1"),
    ],
)
def test_runs_that_are_not_what_ships(made: Made, tmp_path: Path, fields: dict[str, Any], check: str, said: str):
    forged = Forgery(made.bundle).say(lambda whole: whole["manifest"].update(fields))
    failed, why = failure(made, forged.fit().pack(tmp_path / "b.zip"))
    assert failed == check
    assert said in why


def test_cards_are_data(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Modules named in a bundle's cards are not imported, whichever card names them; cards at paths are not read."""
    marker = tmp_path / "imported"
    (tmp_path / "sly_module.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {
        "editor_card": ("editor", "passed"),
        "judge_card": ("judge", "failed"),
        "task_card": ("adapter", "failed"),
    }
    for card, (field, outcome) in names.items():
        forged = Forgery(made.bundle)
        forged.say(lambda said, card=card, field=field: said["manifest"][card].update({field: "sly_module:Thing"}))
        found = made.verify(forged.fit().pack(tmp_path / "b.zip"))
        assert ("passed" if found.passed else "failed") == outcome
    assert not marker.exists()
    assert "sly_module" not in sys.modules


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"", header: bytes = b"\x08\x02\x00\x00\x00") -> bytes:
    parts = [chunk(b"IHDR", struct.pack(">II", width, height) + header), chunk(b"IDAT", zlib.compress(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (48, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


PICTURES: dict[str, tuple[bytes, str]] = {
    "giant": (png(60_000, 60_000), "says that it has 60,000 x 60,000 pixels; at most 16,777,216 are decoded"),
    "long": (png(1 << 24, 1), "says that it has 16,777,216 x 1 pixels"),
    "empty": (png(0, 48), "says that it has 0 x 48 pixels"),
    "negative": (png(0xFFFFFFFF, 0xFFFFFFFF), "pixels; at most"),
    "cut off": (png(48, 48, b"\0" * 100), "cannot be decoded"),
    "16 bits": (png(48, 48, header=b"\x10\x02\x00\x00\x00"), "is not 8-bit RGB"),
    "palette": (saved("PNG", "P"), "is not 8-bit RGB"),
    "transparent": (saved("PNG", "RGBA"), "is not 8-bit RGB"),
    "JPEG": (saved("JPEG"), "is no PNG"),
    "GIF": (saved("GIF"), "is no PNG"),
    "TIFF": (saved("TIFF"), "is no PNG"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "is no PNG"),
    "nothing": (b"", "is no PNG"),
    "other size": (saved("PNG", size=(64, 48)), "another size than its source"),
}


@pytest.mark.parametrize(("data", "said"), PICTURES.values(), ids=PICTURES)
def test_images_that_are_not_decoded(made: Made, tmp_path: Path, data: bytes, said: str):
    forged = Forgery(made.bundle)
    digest = forged.put(data)
    edits = forged.lines("edits.jsonl")
    edits[-1]["image"] = digest
    forged.write("edits.jsonl", edits)
    check, why = failure(made, with_keys(forged).trim().fit().pack(tmp_path / "b.zip"))
    assert check == "images"
    assert said in why


def test_every_size_is_checked_before_anything_is_decoded(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from micebench.submission import image_checks

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(image_checks, "decoded", never)
    forged = Forgery(made.bundle)
    edits = forged.lines("edits.jsonl")
    edits[-1]["image"] = forged.put(saved("PNG", size=(64, 48)))
    path = with_keys(forged.write("edits.jsonl", edits)).trim().fit().pack(tmp_path / "b.zip")
    assert "another size than its source" in failure(made, path)[1]
    monkeypatch.setattr(image_checks, "MAX_TOTAL_PIXELS", 48 * 48 * 20)
    assert "they have more than 46,080 pixels together" in failure(made, made.bundle)[1]


def test_an_edited_image_with_a_colour_profile_is_refused(made: Made, tmp_path: Path):
    """A judge that knows colour profiles would see other colours than the exact one."""
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), "red").save(buffer, "PNG", transparency=(255, 0, 0))
    forged = Forgery(made.bundle)
    edits = forged.lines("edits.jsonl")
    edits[-1]["image"] = forged.put(buffer.getvalue())
    path = with_keys(forged.write("edits.jsonl", edits)).trim().fit().pack(tmp_path / "b.zip")
    check, why = failure(made, path)
    assert check == "images"
    assert "has a chunk tRNS; an edited image holds pixels only" in why


def test_a_sample_of_ones_own_choice(made: Made, tmp_path: Path):
    path = submit(made.run.path, **ABOUT, out=tmp_path / "b.zip", images="sample", sessions=15, cards=made.cards).path
    ids = [line["id"] for line in Forgery(path).lines("sessions.jsonl")]

    def chosen(said: Line) -> None:
        said["images"]["sessions"] = ids[:15]

    forged = Forgery(path).say(chosen)
    check, said = failure(made, forged.pack(tmp_path / "c.zip"))
    assert (check, said) == (
        "images",
        "the sessions whose images are kept are not those that the edits and verdicts draw",
    )
    forged = Forgery(path).say(lambda said: said["images"].update(seed="0" * 64))
    assert failure(made, forged.pack(tmp_path / "c.zip"))[0] == "images"
    few = submit(made.run.path, **ABOUT, out=tmp_path / "d.zip", images="sample", sessions=5, cards=made.cards).path
    assert failure(made, few) == ("images", "images of 5 sessions only; keep more with --sessions")


def test_a_judge_that_cannot_be_had_here(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Then nothing is failed, and nothing is called verified."""
    from micebench.errors import UnavailableError
    from micebench.judges.exact.judge import ExactJudge

    def absent(*_: object) -> None:
        raise UnavailableError("judge 'exact': no server at http://localhost:1; start it")

    monkeypatch.setattr(ExactJudge, "__init__", absent)
    found = made.verify(made.bundle)
    assert (found.passed, found.mark, found.verdicts_recomputed) == (True, "self-reported", 0)
    assert {c.check: (c.outcome, c.detail) for c in found.checks}["verdicts"] == (
        "skipped",
        "judge not available to the verifier: judge 'exact': no server at http://localhost:1; start it",
    )
