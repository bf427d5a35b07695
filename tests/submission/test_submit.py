"""`micebench submit` refuses what nobody could check or compare, in one line with the remedy."""

import json
import shutil
from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate, judge
from micebench.errors import RunError
from micebench.submission import submit
from tests.submission.conftest import ABOUT, Made, write_card, write_cards


def refused(run: Path, cards: list[Path], **about: object) -> str:
    out = run.parent / "refused.zip"
    with pytest.raises(RunError) as error:
        submit(run, **(ABOUT | about), out=out, cards=cards)
    assert "\n" not in str(error.value)
    assert not out.exists()
    return str(error.value)


def copied(made: Made, folder: Path) -> Path:
    return Path(shutil.copytree(made.run.path, folder / "run"))


def test_a_limited_run(made: Made, tmp_path: Path):
    evaluate("tiny", "fumbling", out=tmp_path / "run", cards=made.cards, limit=25)
    said = refused(tmp_path / "run", made.cards)
    assert "has the first 25 sessions only; run the whole task, without --limit" in said


def test_a_run_without_verdicts(made: Made, tmp_path: Path):
    evaluate("tiny", "fumbling", judge="none", out=tmp_path / "run", cards=made.cards)
    assert "has no verdicts; run `micebench judge" in refused(tmp_path / "run", made.cards)


def test_a_run_judged_by_another_judge(made: Made, tmp_path: Path):
    run = copied(made, tmp_path)
    judge(run, "noisy-exact", cards=made.cards)
    said = refused(run, made.cards)
    assert (
        "judged by 'noisy-exact', results of 'tiny' are judged by 'exact'; judge it again: micebench judge /" in said
    )


@pytest.mark.parametrize(("gone", "said"), [(1, "1 verdict missing, quality of"), (30, "30 of 468 verdicts are")])
def test_verdicts_of_an_exact_judge_may_not_be_missing(made: Made, tmp_path: Path, gone: int, said: str):
    run = copied(made, tmp_path)
    (path,) = (run / "verdicts").iterdir()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-gone]))
    assert said in refused(run, made.cards)
    if gone == 1:
        assert f"run `micebench judge {run}` to fill them in" in refused(run, made.cards)


@pytest.mark.parametrize("status", ["failed", "refused"])
def test_failed_and_refused_edits(made: Made, tmp_path: Path, status: str):
    """Also refusals, which would otherwise be a way around hard sessions."""
    run = copied(made, tmp_path)
    path = run / "edits/main.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["session"] == "cu-0003":
            line |= {"status": status, "image": None, "reason": "too hard"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "3 of 78 edits failed, were refused or were not reached" in refused(run, made.cards)


@pytest.mark.parametrize(
    ("room", "name", "said"),
    [
        ("tasks", "tiny", "the card of task 'tiny' is not the one that ships with micebench"),
        ("baselines", "fumbling", "'fumbling', like a model that ships with micebench, but was made by another"),
    ],
)
def test_cards_that_were_changed(made: Made, tmp_path: Path, room: str, name: str, said: str):
    cards = write_cards(tmp_path / "cards")
    (path,) = (cards / room / name).iterdir()
    path.write_text(path.read_text() + "\nversion: 9\n")
    assert said in refused(copied(made, tmp_path), [cards])


def test_a_judge_that_was_changed(made: Made, tmp_path: Path):
    """The run's judge is called as the one that ships, and is kinder."""
    fields = {"judge": "exact", "metrics": ["IF", "GA"], "concurrent": True}
    kinder = tmp_path / "kinder"
    write_card(kinder, "judges", "exact", **fields)
    run = copied(made, tmp_path)
    judge(run, "exact", cards=[kinder, *made.cards])
    said = refused(run, made.cards)
    assert "the card, or a prompt, of judge 'exact' is not the one that ships with micebench" in said
    assert f"micebench judge {run} --judge exact" in said


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"name": "<script>alert(1)</script>"}, "--name: has < or >, the characters of HTML"),
        ({"name": "mod\u202eel"}, r"--name: has the control or invisible character \u202e"),
        ({"name": "ｆｕｌｌ"}, "--name: is spelled with look-alike characters"),
        ({"name": "模型"}, "--name: has no Latin letter or digit"),
        ({"name": "x" * 81}, "--name: String should have at most 80 characters"),
        ({"name": "kontext"}, "is called 'kontext', like a model that ships with micebench, but was made by another"),
        ({"contact": ""}, "--contact: String should have at least 3 characters"),
        (
            {"url": "javascript:alert(1)"},
            "--url: is no web address but javascript:...; give one that begins with http",
        ),
        ({"url": "https://a b"}, "--url: has characters that an address has not"),
        ({"note": "\x1b[2J"}, r"--note: has the control or invisible character \x1b"),
        ({"images": "some"}, "--images some: give all or sample"),
    ],
)
def test_words_that_cannot_be_shown(made: Made, about: dict[str, object], said: str):
    assert said in refused(made.run.path, made.cards, **about)


def test_no_run(made: Made, tmp_path: Path):
    assert "is not a run" in refused(tmp_path / "nowhere", made.cards)
