"""A name on the board is one that everybody reads the same way, and no other model's."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from micebench.cards import EditorCard, TaskCard, find_cards, load_card
from micebench.errors import CardError, hidden
from micebench.leaderboard.ranking import Entry
from micebench.leaderboard.results import Accepted
from micebench.leaderboard.results import Verification as Accept
from micebench.registry.sources import editor_source
from micebench.report.formatting import visible
from micebench.store.manifest import Manifest
from micebench.submission import BundleError, accept, read_bundle, submit
from micebench.submission.card_checks import known_model
from micebench.submission.names import check_unlike_accepted, skeleton
from micebench.submission.schema import About, slug
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import Forgery

RESULTS = Path(__file__).parents[2] / "results"
_ABOUT = TypeAdapter(About)


def said(**fields: Any) -> About:
    return _ABOUT.validate_python({"name": "Mine", "contact": "me@example.org"} | fields)


REFUSED: dict[str, tuple[str, str]] = {
    "Cyrillic o": ("k\u043entext", "mixes Latin and Cyrillic letters"),
    "Greek nu": ("ko\u03bdtext", "mixes Latin and Greek letters"),
    "Han": ("kontext \u4e00", "mixes Latin and Han letters"),
    "Cherokee": ("\u13aa\u13a0 7", "that can be taken for another one"),
    "Lisu": ("\ua4d3\ua4f3 7", "that can be taken for another one"),
    "Latin alpha": ("m\u0251x", "that can be taken for another one"),
    "click": ("kontext-r\u01c0", "that can be taken for another one"),
    "small capital": ("\u1d0bontext", "that can be taken for another one"),
    "Hangul filler": ("kon\u1160text", "invisible character \\\\u1160"),
    "Hangul filler alone": ("\u3164a", "invisible character \\\\u3164"),
    "halfwidth filler": ("a\uffa0b", "invisible character \\\\uffa0"),
    "grapheme joiner": ("a\u034fb", "invisible character \\\\u034f"),
    "variation selector": ("a\ufe00b", "invisible character \\\\ufe00"),
    "far variation selector": ("a\U000e0100b", "invisible character"),
    "tag": ("a\U000e0041b", "invisible character"),
    "Braille blank": ("a\u2800b", "invisible character \\\\u2800"),
    "soft hyphen": ("a\u00adb", "invisible character"),
    "joiner": ("a\u200db", "invisible character"),
    "private": ("a\ue000b", "invisible character"),
    "unassigned": ("a\u0378b", "invisible character"),
    "stacked marks": ("a" + "\u0335\u0336\u0337\u0338", "stacked"),
    "one mark": ("kontext\u0335", "write it with letters"),
    "enclosing": ("a\u20dd", "write it with letters"),
    "no-break space": ("a\u00a0b", "look-alike characters"),
    "full width": ("\uff4bontext", "look-alike characters"),
    "ligature": ("\ufb01x", "look-alike characters"),
    "decomposed": ("o\u0308x", "look-alike characters"),
    "two blanks": ("a  b", "several blanks"),
    "blank at the end": ("a ", "begins or ends with a blank"),
    "Arabic digit": ("model \u0665", "write it with letters"),
    "emoji": ("mouse \U0001f42d", "write it with letters"),
    "dash": ("a\u2013b", "write it with letters"),
    "reported": ("reported", "is reserved"),
    "Reported.yaml": ("Reported.yaml", "is reserved"),
    "index": ("Index", "is reserved"),
    "device": ("CON", "is reserved"),
    "device with an ending": ("nul.tar", "is reserved"),
    "port": ("COM1", "is reserved"),
    "dots around": ("..reported..", "is reserved"),
    "long": ("x" * 81, "at most 80"),
    "only dots": ("...", "has no Latin letter or digit"),
}


@pytest.mark.parametrize(("name", "why"), REFUSED.values(), ids=REFUSED)
def test_a_name_that_can_be_misread_is_refused(name: str, why: str):
    with pytest.raises(ValidationError, match=why):
        said(name=name)


@pytest.mark.parametrize(
    "name",
    [
        "Fumbling 2", "FLUX.1 Kontext [dev] + LoRA (r=16)", "Größe-7B", "Đồng v2", "Модель 7", "模型ひらカナ 2",
        "모델 3", "index-tuned",
    ],
)  # fmt: skip
def test_an_ordinary_name_is_accepted(name: str):
    assert said(name=name).name == name


@pytest.mark.parametrize("text", ["a\u3164b", "a\u0300\u0301\u0302b", "a\u202eb", "a\ufe01b"])
def test_contact_and_note_hide_nothing(text: str):
    for field in ("contact", "note"):
        with pytest.raises(ValidationError):
            said(**{field: text})


def test_names_that_were_accepted_before_still_are():
    for path in RESULTS.glob("*/*/verification.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        said(name=found["name"], contact=found["contact"], url=found["url"])
        check_unlike_accepted(found["name"], found["slug"], RESULTS)


LOOK_ALIKE = {
    "kontext": ["KONTEXT", "K0ntext", "k\u03bfntext", "\u043a\u043e\u043ftext", "\uff4bontext"],
    "flux.1-kontext-dev": ["flux.l-kontext-dev", "FLUX.I Kontext [dev]", "flux-1-kontext-dev", "flux.1_kontext_dev"],
    "drifting": ["drlftlng", "Dr1ft!ng"],
    "clumsy": ["CLUMSY", "clurnsy"],
    "gpt-image-1": ["gpt-image-l", "GPT Image I"],
    "oracle": ["0racle", "\u043eracle", "oraclé"],
    "qwen-image-edit": ["qvven-image-edit"],
}


def test_look_alikes_have_one_skeleton():
    for name, others in LOOK_ALIKE.items():
        assert {skeleton(other) for other in others} == {skeleton(name)}
    shipped = list(find_cards(EditorCard))
    assert len({skeleton(name) for name in shipped}) == len(shipped)
    assert skeleton("\u0441\u0430\u0440\u0435") == skeleton("cape")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_shown_name_or_a_value_error(text: str):
    skeleton(text)
    try:
        said(name=text)
    except ValueError:
        return
    assert visible(text) == text
    assert not any(hidden(character) for character in text)
    assert re.fullmatch(r"[a-z0-9.-]+", slug(text))


def test_fillers_are_spelled_wherever_text_is_shown():
    assert visible("a\u1160b\u3164c\ufe01") == "a\\u1160b\\u3164c\\ufe01"
    assert visible("♥\ufe0f") == "♥\ufe0f"


def claimed(shipped: str, name: str, task: TaskCard, **fields: Any) -> str:
    """What `known_model` says of a run made with the card of a shipped model, but for `fields`."""
    card = load_card(EditorCard, shipped)
    said = {"task": task.id, "task_version": 1, "task_hash": "0" * 64, "task_card": {}, "model": shipped,
            "editor_hash": "a" * 64, "editor_card": card.model_dump(mode="json"), "context": "last", "seed": 0,
            "repeats": 1, "n_sessions": 1, "turns": 1, "content_consistency": "mice"}  # fmt: skip
    return known_model(Manifest.model_validate(said | fields), name, task)


def test_a_photo_models_name_that_cannot_be_proved_says_so():
    mice = load_card(TaskCard, "mice")
    assert claimed("flux.1-kontext-dev", "FLUX.1 Kontext [dev]", mice) == "unproved"
    placed = load_card(EditorCard, "flux.1-kontext-dev").model_dump(mode="json") | {"weights": "/models/flux"}
    assert claimed("flux.1-kontext-dev", "flux.1-kontext-dev", mice, editor_card=placed) == "unproved"
    assert claimed("flux.1-kontext-dev", "Mine", mice, model="my-editor") == "other"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"editor_card": None}, "was made with another card than the one that ships"),
        ({"editor_card": {"id": "flux.1-kontext-dev"}}, "was made with another card than the one that ships"),
        ({"model": "my-editor", "editor_card": None}, "was made with another card than the one that ships"),
    ],
)
def test_a_photo_models_name_needs_its_card(fields: dict[str, Any], why: str):
    with pytest.raises(CardError, match=why):
        claimed("flux.1-kontext-dev", "flux.1-kontext-dev", load_card(TaskCard, "mice"), **fields)
    card = load_card(EditorCard, "flux.1-kontext-dev").model_dump(mode="json")
    for change in ({"options": card["options"] | {"steps": 50}}, {"adapter": {"weights": "/tmp/lora"}}):
        with pytest.raises(CardError, match=why):
            claimed("flux.1-kontext-dev", "Mine", load_card(TaskCard, "mice"), editor_card=card | change)


def test_a_photo_models_name_is_refused_for_rendered_scenes():
    with pytest.raises(CardError, match="edits photo images, not the mini ones of 'mice-mini'"):
        claimed("flux.1-kontext-dev", "flux.1-kontext-dev", load_card(TaskCard, "mice-mini"))


def test_a_remote_models_name_needs_its_card():
    mice = load_card(TaskCard, "mice")
    right = editor_source("gpt-image-1", mice).identity
    assert claimed("gpt-image-1", "gpt-image-l", mice, editor_hash=right) == "ships"
    with pytest.raises(CardError, match="looks like 'gpt-image-1', a model that ships with micebench, but was made"):
        claimed("gpt-image-1", "gpt-image-l", mice, model="mine")


def test_a_look_alike_of_a_shipped_model_fails_the_model_check(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle).say(lambda said: said.update(name="faiIing"))
    found = made.verify(forged.pack(tmp_path / "b.zip"))
    check = next(check for check in found.checks if check.outcome == "failed")
    assert check.check == "model"
    assert "'faiIing', which looks like 'failing', a model that ships" in check.detail


def test_a_look_alike_of_an_accepted_name_is_refused(made: Made, tmp_path: Path):
    results = tmp_path / "results"
    accept(made.verify(made.bundle), results)
    other = submit(made.run.path, **ABOUT | {"name": "FumbIing_2"}, out=tmp_path / "b.zip", cards=made.cards).path
    found = made.verify(other, results=results)
    check = next(check for check in found.checks if check.outcome == "failed")
    assert check.check == "model"
    assert "looks like 'Fumbling 2', which was accepted before (tiny/fumbling-2)" in check.detail
    with pytest.raises(BundleError, match="looks like 'Fumbling 2'"):
        accept(made.verify(other), results)
    accept(made.verify(made.bundle, results=results), results)


def test_the_board_says_which_name_is_not_proved():
    checks = [
        {"check": "model", "outcome": "skipped", "detail": "'x' has no weights here: the name cannot be proved"}
    ]
    fields = {"format": 1, "name": "X", "slug": "x", "model": "x", "task": "mice", "bundle_sha256": "0" * 64,
              "mark": "self-reported"}  # fmt: skip
    shown = [
        Entry(Accepted(Path(), Accept.model_validate(fields | {"checks": listed}), {}), None, None).name
        for listed in (checks, [])
    ]
    assert shown == ["X (name not proved)", "X"]


def test_an_unproved_name_skips_the_check_with_its_reason(made: Made, monkeypatch: pytest.MonkeyPatch):
    from micebench.submission import card_checks

    monkeypatch.setattr(card_checks, "known_model", lambda *_: "unproved")
    check = next(check for check in made.verify(made.bundle).checks if check.check == "model")
    assert (check.outcome, check.detail) == ("skipped", "'fumbling' has no weights here: the name cannot be proved")


def test_a_model_id_has_no_odd_characters(made: Made, tmp_path: Path):
    forged = Forgery(made.bundle).say(lambda said: said["manifest"].update(model="k\u043entext"))
    path = forged.pack(tmp_path / "b.zip")
    with pytest.raises(BundleError, match="has characters that no model id has"):
        read_bundle(path)
