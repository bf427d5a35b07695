"""A changed prompt or weight file is another judge; what moves no score (a README, golden items) makes none."""

from pathlib import Path

import pytest

from micebench.cards import JudgeCard, TaskCard, load_card
from micebench.engine.evaluate import evaluate, judge
from micebench.errors import CardError, RunError
from micebench.registry.sources import judge_source
from tests.faults.test_broken_vlm_server import GOOD
from tests.judges.fake_vlm_server import Vlm, completes
from tests.judges.photo_cards import judge_folder
from tests.toy import Painter, toy_cards

TASK = TaskCard(id="t", description="", domain="photo", loader="a:b", judge=None, turns=3)


def identity(cards: Path) -> str:
    source = judge_source("asking", TASK, [cards])
    assert source is not None
    return source.identity


def test_prompts_count_and_golden_items_do_not(tmp_path: Path) -> None:
    cards = judge_folder(tmp_path, "http://x")
    place = cards / "judges/asking"
    first = identity(cards)
    assert identity(cards) == first
    (place / "README.md").write_text("about it")
    (place / "golden.jsonl").write_text("{}")
    assert identity(cards) == first
    seen = {first}
    prompt = place / "prompt_ga_cm.md.j2"
    prompt.write_text(prompt.read_text() + "\nBe strict.")
    seen.add(identity(cards))
    prompt.rename(place / "prompt_other.md.j2")
    seen.add(identity(cards))
    card = place / "judge.yaml"
    card.write_text(card.read_text().replace("model: tiny", "model: large"))
    seen.add(identity(cards))
    assert len(seen) == 4


def test_local_weights_count_and_must_be_there(tmp_path: Path) -> None:
    cards = judge_folder(tmp_path, "http://x", detector={"kind": "grounding-dino", "repo": "./weights"})
    with pytest.raises(CardError, match=r"judge 'asking': no weights at .*weights"):
        identity(cards)
    weights = cards / "judges/asking/weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"one")
    first = identity(cards)
    (weights / "model.safetensors").write_bytes(b"two")
    assert identity(cards) != first


def test_shipped_judges_are_pinned() -> None:
    for name in ("edival", "mice", "micebench"):
        card = load_card(JudgeCard, name)
        assert len(card.files()) >= 5
        for part in ("detector", "features"):
            assert len(card.options[part]["revision"]) == 40


def test_a_folder_that_has_a_judges_name_is_not_that_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mice").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_card(JudgeCard, "mice").id == "mice"


def test_a_run_is_judged_on_only_by_the_judge_it_had(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards", task={"track": "cu"})
    with Vlm(lambda *_: completes(GOOD)).running() as server:
        judge_folder(cards, server.url, domain="mini")
        run = evaluate("toy", Painter(), out=tmp_path / "run", judge="asking", cards=[cards], limit=1)
        asked = len(server.bodies)
        assert asked
        judge(run.path, cards=[cards])
        assert len(server.bodies) == asked
        with pytest.raises(RunError, match="judge 'asking', or a prompt of it, has changed since, or is not among"):
            judge(run.path)
        prompt = cards / "judges/asking/prompt_ga_cu.md.j2"
        prompt.write_text(prompt.read_text() + "\nBe strict.")
        with pytest.raises(RunError, match="has changed since"):
            judge(run.path, cards=[cards])
        judge(run.path, "asking", cards=[cards])
        assert len(server.bodies) == 2 * asked
