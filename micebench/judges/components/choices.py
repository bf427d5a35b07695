"""Log-probabilities of one-token answers."""

from collections.abc import Iterable, Sequence
from math import exp, log


def choice_logprobs(tokens: Iterable[tuple[str, float]], choices: Sequence[str]) -> dict[str, float]:
    """Choice -> log-probability, from the most probable first tokens.

    "Yes", " yes" and "YES" are one answer: their probabilities are added. A choice that no token spells is left
    out. Probabilities a server rounds or floors (-9999) stay harmless: they add nothing.
    """
    chances = dict.fromkeys(choices, 0.0)
    names = {choice.strip().casefold(): choice for choice in choices}
    for token, logprob in tokens:
        choice = names.get(token.replace("▁", " ").replace("Ġ", " ").strip().casefold())
        if choice is not None and logprob <= 1e-6:
            chances[choice] += exp(logprob)
    return {choice: min(0.0, log(chance)) for choice, chance in chances.items() if chance > 0.0}
