"""Log-probabilities of one-token answers."""

from collections.abc import Iterable, Sequence
from math import exp, log

from micebench.judges.vlm.reasoning import Unreadable, after_reasoning

_BLANKS = str.maketrans("▁ĠĊ", "  \n")  # how tokenizers spell white space
_ROUNDING = 1e-6
_FRAME = 64  # characters of tokens that end a reply


def choice_logprobs(tokens: Iterable[tuple[str, float]], choices: Sequence[str]) -> dict[str, float]:
    """Choice -> log-probability, from the most probable first tokens.

    "Yes", " yes" and "YES" are one answer: their probabilities are added. A choice that no token spells is left
    out. Probabilities a server rounds or floors (-9999) stay harmless: they add nothing.
    """
    chances = dict.fromkeys(choices, 0.0)
    names = {choice.strip().casefold(): choice for choice in choices}
    for token, logprob in tokens:
        choice = names.get(token.translate(_BLANKS).strip().casefold())
        if choice is not None and logprob <= _ROUNDING:
            chances[choice] += exp(logprob)
    return {choice: min(0.0, log(chance)) for choice, chance in chances.items() if chance > 0.0}


def answer_position(tokens: Sequence[str], answer: str, *, reasoned: bool) -> int:
    """Which of a reply's tokens begins the answer.

    Args:
        answer: the reply without its reasoning.
        reasoned: the server has split reasoning off; its tokens may be among `tokens`.

    Raises:
        Unreadable: the reply ends before its answer, or its tokens do not spell the answer.
    """
    spelt = [token.translate(_BLANKS) for token in tokens]
    whole, wanted = "".join(spelt).strip(), answer.translate(_BLANKS).strip()
    if not reasoned and (len(tokens) == 1 or whole in ("", wanted)):
        return next((place for place, token in enumerate(spelt) if token.strip()), 0)
    if not wanted:
        raise Unreadable("reasoning, and no answer after it")
    rest = ""
    for place in range(len(spelt) - 1, -1, -1):
        rest = spelt[place] + rest
        if len(rest.strip()) > len(wanted) + _FRAME:
            break
        if spelt[place].strip() and rest.strip().startswith(wanted) and after_reasoning(rest) == wanted:
            return place
    raise Unreadable("the tokens do not spell the answer")
