"""How a protocol asks its vision-language model: prompt, form of the answer, votes and seeds, all from the card."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from micebench.judges.models.base import Ask, Failure, Reply, Request
from micebench.judges.runtime.scheduler import Unanswered
from micebench.judges.vlm import parsing
from micebench.judges.vlm.prompts import Prompts
from micebench.judges.vlm.reasoning import Unreadable
from micebench.verdicts import LazyImage, Status

Mode = Literal["yes_no", "contains", "reasoned", "score", "expected"]
_READERS: Mapping[Mode, Callable[[str], float]] = {
    "yes_no": parsing.yes_no,
    "contains": parsing.contains_yes,
    "reasoned": parsing.reasoned,
    "score": parsing.score,
}


class AskingRules(BaseModel):
    """How yes/no questions are put (a card's ``options.asking``).

    Modes: `yes_no` strict; `contains` the published substring test; `reasoned` reasoning, then a verdict line;
    `score` 0-10, given as a share of 10; `expected` the value expected under the model's own probabilities of the
    choices: one token, deterministic, continuous.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "yes_no"
    votes: int = Field(default=1, ge=1, le=64, description="replies averaged; all of them must be readable")
    seed: int = Field(default=0, ge=0, description="every question's seed is derived from it")
    choices: dict[str, float] = Field(
        default={"Yes": 1.0, "No": 0.0}, description="expected: one-token answers and their values in [0, 1]"
    )
    least_mass: float = Field(
        default=0.5, gt=0, le=1, description="expected: probability the choices must have together"
    )

    @model_validator(mode="after")
    def _sound(self) -> "AskingRules":
        if self.mode == "expected" and self.votes > 1:
            raise ValueError("mode expected is deterministic; votes must be 1")
        if any(not 0.0 <= value <= 1.0 for value in self.choices.values()):
            raise ValueError("values of choices lie in [0, 1]")
        names = [name.strip().casefold() for name in self.choices]
        if len(names) < 2 or any(a.startswith(b) for a in names for b in names if a is not b) or "" in names:
            raise ValueError("choices are two or more, and none is the beginning of another")
        return self


class Asker:
    """Questions to the VLM, for use in checks: ``value = yield from asker.yes("newly_added", images, name="cat")``.

    The prompt is the card's ``prompt_<name>.md.j2``; how to answer is said by ``prompt_reply_<mode>.md.j2``, which
    is put after it (a card of mode `contains` may do without).
    """

    def __init__(self, prompts: Prompts, rules: AskingRules) -> None:
        self.prompts = prompts
        self.rules = rules

    def yes(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, float]:
        """How far the answer is yes, in [0, 1]; votes averaged. Raises Unanswered for an unreadable reply."""
        rules = self.rules
        text = self.prompts.render(prompt, **words)
        reply = f"reply_{rules.mode}"
        if rules.mode != "contains" or self.prompts.has(reply):
            text = f"{text}\n\n{self.prompts.render(reply, choices=list(rules.choices))}"
        choices = tuple(rules.choices) if rules.mode == "expected" else ()
        answer: Reply = yield self.ask(text, images, votes=rules.votes, choices=choices)
        if rules.mode == "expected":
            return read(lambda: parsing.expected(answer.choice_logprobs or {}, rules.choices, rules.least_mass))
        reader = _READERS[rules.mode]
        values = [read(lambda said=said: float(reader(said))) for said in answer.spoken]
        return sum(values) / len(values)

    def text(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, str]:
        """What the model writes, one reply. Raises Unanswered."""
        answer: Reply = yield self.ask(self.prompts.render(prompt, **words), images)
        return read(lambda: parsing.written(answer.spoken[0]))

    def texts(self, prompt: str, images: Sequence[LazyImage], /, **words: str) -> Generator[Request, Any, list[str]]:
        """What the model writes, one reply per vote; all of them must be readable. Raises Unanswered."""
        answer: Reply = yield self.ask(self.prompts.render(prompt, **words), images, votes=self.rules.votes)
        return [read(lambda said=said: parsing.written(said)) for said in answer.spoken]

    def ask(self, text: str, images: Sequence[LazyImage], *, votes: int = 1, choices: tuple[str, ...] = ()) -> Ask:
        """The request, with a seed that follows from the card's seed, the prompt and the images."""
        digest = hashlib.sha256(f"{self.rules.seed}\n{text}".encode("utf-8", "surrogatepass"))
        for image in images:
            digest.update(image.sha256.encode())
        seed = int.from_bytes(digest.digest()[:4], "big") >> 2  # room for seed + vote in 31 bits
        return Ask(tuple(images), text, votes=votes, seed=seed, choices=choices)


def read(reader: Callable[[], Any]) -> Any:
    """What the reader makes of a reply; an unreadable one is `unparsed`, for the whole check."""
    try:
        return reader()
    except Unreadable as error:
        raise Unanswered(Failure(Status.UNPARSED, str(error))) from error
