"""A question whose reply could not be read is not put the same way twice: the same answer would come back."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from micebench.judges.models.base import Ask, Request
from micebench.judges.runtime.scheduler import Asked, Check, Unanswered

_STRIDE = 1_000_003  # more than the votes of one request, each of which counts on from the seed
_SEEDS = 1 << 30  # room for seed + vote in 31 bits


def again(check: Check, attempt: int) -> Check:
    """The check, with all that it asks a vision-language model put anew, the `attempt`-th time after the first."""
    step: Callable[[], Any] = partial(next, check)
    while True:
        try:
            asked = step()
        except StopIteration as end:
            return end.value
        try:
            answered = yield _otherwise(asked, attempt)
        except Unanswered as error:
            step = partial(check.throw, error)
        else:
            step = partial(check.send, answered)


def _otherwise(asked: Asked, attempt: int) -> Asked:
    return tuple(_one(request, attempt) for request in asked) if isinstance(asked, tuple) else _one(asked, attempt)


def _one(request: Request, attempt: int) -> Request:
    if not isinstance(request, Ask):
        return request
    return replace(request, seed=(request.seed + attempt * _STRIDE) % _SEEDS, attempt=attempt)
