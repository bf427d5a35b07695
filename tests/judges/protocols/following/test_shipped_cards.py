"""The shipped judges have the published constants, and prompts that take exactly the words the rules give them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, meta

from micebench.cards import JudgeCard, load_card
from micebench.errors import CardError
from micebench.judges.models.base import Ask, Components, Reply
from micebench.judges.protocols.protocol_judge import PhotoJudge
from micebench.sessions import ImageFile, Session, Turn
from micebench.verdicts import Question
from tests.judges.protocols.following import test_dispatch_failures as cases
from tests.judges.protocols.following.world import CONSTANTS, Plain, World, judged, rules

JUDGES = Path(__file__).parents[4] / "judges"


@pytest.mark.parametrize("protocol", CONSTANTS)
def test_prompts_are_filled(protocol: str) -> None:
    asked: dict[str, set[str]] = {}
    constants = rules(protocol, **({"text": "vlm"} if protocol == "micebench" else {}))
    for case, (edit_type, order, _, _) in cases.DONE.items():
        world = cases.world(case)
        judged(protocol, edit_type, order, world, instruction=cases.KEEP, rules_=constants)
        for prompt in world.prompts():
            name, *words = prompt.split("|")
            asked.setdefault(name, set()).update(word.split("=")[0] for word in words)
    assert len(asked) >= 5
    for name, words in asked.items():
        template = (JUDGES / protocol / f"prompt_{name}.md.j2").read_text()
        assert meta.find_undeclared_variables(Environment().parse(template)) == words, name


@pytest.mark.parametrize("protocol", CONSTANTS)
def test_cards_state_every_constant(protocol: str) -> None:
    options = yaml.safe_load((JUDGES / protocol / "judge.yaml").read_text())["options"]
    assert {"protocol": options["protocol"], **options["following"]} == CONSTANTS[protocol]


def test_a_judge_that_cannot_read_is_refused_at_once() -> None:
    card = load_card(JudgeCard, "micebench")
    blind = card.model_copy(update={"options": {**card.options, "reader": None}})
    with pytest.raises(CardError, match="IF needs a reader"):
        PhotoJudge(blind, Components())


@dataclass
class Agreeing(World):
    """Its VLM says yes, whatever it is asked, and reads GO."""

    said: list[str] = field(default_factory=list)

    def ask(self, request: Ask) -> Reply:
        self.said.append(request.prompt)
        if "text is written" in request.prompt:
            return Reply(("GO",) * request.votes)
        return Reply(("cup" if "Shorten" in request.prompt else "yes",) * request.votes)


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("case", cases.DONE)
def test_the_shipped_judge_passes_what_was_done(name: str, case: str) -> None:
    edit_type, order, before, after = cases.DONE[case]
    world = Agreeing(before=before, after=after, lines=cases.LINES)
    judge = PhotoJudge(load_card(JudgeCard, name), Components(detector=world, reader=world, vlm=world))
    session = Session("s", "photo", "plain", ImageFile("s.jpg"), (Turn(1, cases.KEEP, edit_type, order),))
    (verdict,) = judge.judge([Question("IF", session, 1, [Plain("before"), Plain("after")])])
    assert verdict.value == 1, verdict
    assert not any("{" in prompt for prompt in world.said)
