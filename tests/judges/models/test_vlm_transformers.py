"""The real classes of transformers with random weights: replies, votes, choices, limits."""

import math
import shutil
from pathlib import Path

import pytest

from micebench.errors import CardError
from micebench.judges.models.base import Ask, Components, Failure, Reply
from micebench.judges.runtime.scheduler import Check, answer
from micebench.judges.vlm.parsing import contains_yes
from micebench.judges.vlm.prompts import Prompts
from micebench.judges.vlm.questions import Asker, AskingRules
from micebench.judges.vlm.reasoning import Unreadable
from micebench.verdicts import Status, Verdict
from tests.judges.photo_cards import Picture, judge_card

pytest.importorskip("transformers")

from micebench.judges.models.vlm_transformers import TransformersOptions, TransformersVlm
from tests.judges.tiny_vlm import save_tiny_vlm

IMAGES = (Picture(1), Picture(2))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_vlm(tmp_path_factory.mktemp("vlm"))


def made(saved: Path, **options: object) -> TransformersVlm:
    fields = {"repo": str(saved), "device": "cpu", "max_tokens": 12} | options
    return TransformersVlm(TransformersOptions.model_validate(fields), where="judge 'test'")


def test_choices_have_the_probabilities_of_their_words(saved: Path) -> None:
    vlm = made(saved)
    reply = vlm.ask(Ask(IMAGES, "is there a cat ?", choices=("Yes", "No")))
    assert isinstance(reply, Reply)
    assert reply.choice_logprobs is not None
    assert set(reply.choice_logprobs) == {"Yes", "No"}
    assert 0.0 < sum(map(math.exp, reply.choice_logprobs.values())) <= 1.0
    again = vlm.ask(Ask(IMAGES, "is there a cat ?", seed=9, choices=("Yes", "No")))
    assert isinstance(again, Reply)
    assert again.choice_logprobs == reply.choice_logprobs
    other = vlm.ask(Ask(IMAGES[::-1], "is there a cat ?", choices=("Yes", "No")))
    assert isinstance(other, Reply)
    assert other.choice_logprobs != reply.choice_logprobs
    # 2 images of 4 patches, 5 words
    assert reply.usage == {"prompt_tokens": 13, "completion_tokens": 1}


def test_votes_differ_but_repeat_with_their_seed(saved: Path) -> None:
    import torch

    vlm = made(saved, temperature=2.0, max_tokens=30)
    state = torch.random.get_rng_state()
    asked = [vlm.ask(Ask(IMAGES, "is there a cat ?", votes=4, seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(state, torch.random.get_rng_state())
    said = [reply.texts if isinstance(reply, Reply) else reply.raw for reply in asked]
    assert len(said[0]) == 4
    assert len(set(said[0])) > 1
    assert said[0] == said[1] != said[2]


def test_a_reply_without_an_end_is_no_reply(saved: Path) -> None:
    reply = made(saved, max_tokens=1, temperature=2.0).ask(Ask(IMAGES, "is there a cat ?", votes=8, seed=1))
    assert isinstance(reply, Failure)
    assert reply.status == Status.UNPARSED
    assert len(reply.raw) == 8


def test_a_question_that_cannot_fit_is_not_asked(saved: Path) -> None:
    reply = made(saved, max_tokens=60).ask(Ask(IMAGES, "is there a cat ?"))
    assert reply == Failure(Status.ERROR, "73 tokens, reply included, but the model takes 64")


def test_an_expected_score_is_continuous_and_deterministic(saved: Path, tmp_path: Path) -> None:
    card = judge_card(tmp_path, "http://unused")
    (card.folder / "prompt_cat.md.j2").write_text("is there a {{ name }} ?")  # type: ignore[operator]
    (card.folder / "prompt_reply_expected.md.j2").write_text("one word")  # type: ignore[operator]
    asker = Asker(Prompts(card), AskingRules(mode="expected", least_mass=1e-6))
    components = Components(vlm=made(saved))

    def check() -> Check:
        return [Verdict.ok((yield from asker.yes("cat", IMAGES, name="cat")))]

    first, second = (answer([(check(), 1)], components)[0][0] for _ in range(2))
    assert first.status == Status.OK
    assert 0.0 < first.value < 1.0  # type: ignore[operator]
    assert first.value == second.value
    assert '"Yes"' in first.raw[-1]


def test_a_model_without_a_template_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_vlm(tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(CardError, match="has no chat template"):
        made(folder)


def test_a_template_that_opens_the_reasoning_is_heeded(saved: Path, tmp_path: Path) -> None:
    """The reply begins inside reasoning then: without its end there is no answer, and a first token is none."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    template = tmp_path / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if add_generation_prompt %}<think>{% endif %}")
    vlm = made(tmp_path, max_tokens=48, temperature=2.0)
    replies = [vlm.ask(Ask(IMAGES, "is there a cat ?", seed=seed)) for seed in range(8)]
    whole = [reply for reply in replies if isinstance(reply, Reply)]
    assert whole
    for reply in whole:
        with pytest.raises(Unreadable, match="no end"):
            contains_yes(reply.spoken[0])
    first = vlm.ask(Ask(IMAGES, "is there a cat ?", choices=("Yes", "No")))
    assert isinstance(first, Failure)
    assert (first.status, "vlm.thinking" in first.reason) == (Status.UNPARSED, True)


def test_special_tokens_that_delimit_reasoning_stay_in_the_text(saved: Path) -> None:
    vlm = made(saved)
    tokenizer = vlm._processor.tokenizer  # type: ignore[attr-defined]
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    row = tokenizer.convert_tokens_to_ids(["<s>", "[THINK]", "yes", "[/THINK]", "no", "</s>"])
    text = vlm._decoded(row)  # type: ignore[attr-defined]
    assert "</s>" not in text
    assert contains_yes(text) is False
