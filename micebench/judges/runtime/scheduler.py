"""Runs many checks at once: equal requests are computed once, local models see batches, remote ones stay busy.

A check is a generator that answers one or several questions:

    def looks_red(question):
        found = yield Detect(question.images[-1], ("ball",))
        reply = yield Ask((question.images[-1],), "Is the ball red?")
        return [Verdict.ok(...)]

Requests that do not depend on each other are yielded as one tuple, and answered by one tuple: one round, not many.
A request that fails raises `Unanswered` at the ``yield``; a check that does not catch it answers all its questions
with that status. A check that breaks answers them with `error`. Nothing here can turn a failure into a value.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from micebench.errors import EndpointError, described
from micebench.judges.models.base import Ask, Components, Detect, Embed, Failure, Read, Reply, Request
from micebench.judges.runtime.error_streak import Streak
from micebench.utils.daemon_pool import Callers
from micebench.verdicts import Status, Verdict

Asked = Request | tuple[Request, ...]
Check = Generator[Asked, Any, list[Verdict]]
Checks = Sequence[tuple[Check, int]]
"""(check, number of questions it answers)."""
Key = tuple[object, ...]
_MOST_TOKENS = 1 << 53  # also keeps NaN and infinity out of a sum


class Unanswered(Exception):
    """Raised inside a check: the component it asked has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


@dataclass(slots=True)
class _Walk:
    """A check on its way; `count` questions of group `group` wait for it."""

    group: int
    check: Check
    count: int
    verdicts: list[Verdict] | None = None
    replies: list[Reply | Failure] = field(default_factory=list[Reply | Failure])

    @property
    def done(self) -> bool:
        return self.verdicts is not None


def answer(checks: Checks, components: Components) -> list[list[Verdict]]:
    """Run the checks to their end.

    Returns:
        one list of verdicts per check, in order. VLM replies, their usage and latency are added to the verdicts
        of the check that asked, unless it has set `raw` in any of them itself.
    """
    return next(answered for _, answered in answer_each([checks], components))


def answer_each(
    groups: Iterable[Checks], components: Components, *, ahead: int = 1
) -> Iterator[tuple[int, list[list[Verdict]]]]:
    """Run groups of checks (a group: one session's, say), up to `ahead` of them at a time.

    There is no end of a batch at which a slow server would idle: a finished group makes room for the next. What
    was computed for a group is forgotten with the last group that used it, so that memory does not grow.

    Yields:
        (position of the group, what `answer` returns for it), each as soon as it is done.

    Raises:
        EndpointError: a server turns away every call, or gives one error to all of the first questions
            (`Streak`), so that going on would make nothing but failures. Those errors are not yielded.
    """
    coming = enumerate(groups)
    walks: dict[int, list[_Walk]] = {}
    finished: list[tuple[int, list[list[Verdict]]]] = []  # held back while all of it is one error
    # Room is filled by the quarter, so that local models still see batches once the first groups are through.
    quarter = max(1, ahead // 4)
    with _Desk(components) as desk:
        while True:
            if len(walks) <= ahead - quarter:
                for number, checks in islice(coming, ahead - len(walks)):
                    walks[number] = [_Walk(number, check, count) for check, count in checks]
                    for walk in walks[number]:
                        _advance(walk, desk, None)
            if not walks:
                yield from finished
                return
            for number in [number for number, group in walks.items() if all(walk.done for walk in group)]:
                desk.forget(number)
                finished.append((number, [_told(walk) for walk in walks.pop(number)]))
            if not desk.streak.open:
                yield from finished
                finished.clear()
            for waiting, result in desk.collect():
                for walk in waiting:
                    _advance(walk, desk, result)


def _advance(walk: _Walk, desk: "_Desk", result: Any) -> None:
    """Hand the check its answer and place its next request."""
    try:
        if isinstance(result, Reply | Failure):
            walk.replies.append(result)
        if isinstance(result, Failure):
            request = walk.check.throw(Unanswered(result))
        else:
            request = walk.check.send(result)
    except StopIteration as end:
        walk.verdicts = end.value
        if len(end.value) != walk.count:
            raise AssertionError(f"a check answered {len(end.value)} of {walk.count} questions") from end
    except Unanswered as error:
        failure = error.failure
        walk.verdicts = [Verdict.missing(failure.status, failure.reason)] * walk.count
    except AssertionError:
        raise  # ours to mend
    except Exception as error:  # noqa: BLE001 (an image that cannot be decoded, say: it costs its own check)
        walk.verdicts = [Verdict.missing(Status.ERROR, described(error))] * walk.count
    else:
        if isinstance(request, tuple):
            _gather(walk, desk, request)
        else:
            desk.place(walk, request)


def _gather(walk: _Walk, desk: "_Desk", requests: tuple[Request, ...]) -> None:
    """Place all requests; the check goes on when the last is answered, with the first failure if there is one."""
    answers: dict[int, Any] = {}

    def go_on() -> None:
        failures = [answers[slot] for slot in range(len(requests)) if isinstance(answers[slot], Failure)]
        _advance(walk, desk, failures[0] if failures else tuple(answers[slot] for slot in range(len(requests))))

    def one(slot: int, request: Request) -> Check:
        try:
            answers[slot] = yield request
        except Unanswered as error:
            answers[slot] = error.failure
        if isinstance(answers[slot], Reply):
            walk.replies.append(answers[slot])
        if len(answers) == len(requests):
            go_on()
        return []

    if not requests:
        go_on()
    for slot, request in enumerate(requests):
        _advance(_Walk(walk.group, one(slot, request), 0), desk, None)


def _told(walk: _Walk) -> list[Verdict]:
    verdicts = walk.verdicts or []
    if not walk.replies or any(verdict.raw for verdict in verdicts):
        return verdicts  # nothing was said, or the check has told what belongs to which verdict
    replies = [reply for reply in walk.replies if isinstance(reply, Reply)]
    raw = tuple(text for reply in walk.replies for text in said_verbatim(reply))
    latency = sum(reply.latency_s or 0.0 for reply in replies) if replies else None
    return [replace(verdict, raw=raw, usage=total_usage(replies), latency_s=latency) for verdict in verdicts]


def said_verbatim(reply: Reply | Failure) -> tuple[str, ...]:
    """What is kept as `raw`: the texts, and the log-probabilities where they are the answer."""
    if isinstance(reply, Failure):
        return reply.raw
    if reply.choice_logprobs is None:
        return reply.texts
    return (*reply.texts, json.dumps({name: round(value, 6) for name, value in reply.choice_logprobs.items()}))


def total_usage(replies: Iterable[Reply]) -> dict[str, Any] | None:
    """Token counts of several replies, added up; None if none were reported."""
    usage: dict[str, Any] = defaultdict(int)
    for reply in replies:
        for name, value in (reply.usage or {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST_TOKENS:
                usage[name] += value
    return dict(usage) or None


class _Desk:
    """Takes requests, computes each once, hands out answers as they come."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._known: dict[Key, Any] = {}
        self._keys: dict[int, set[Key]] = defaultdict(set)  # group -> what it has asked for
        self._askers: dict[Key, int] = defaultdict(int)  # how many groups have asked for it
        self._waiting: dict[Key, list[_Walk]] = defaultdict(list)
        self._local: dict[type[Request], dict[Key, Request]] = defaultdict(dict)
        self._ready: list[tuple[list[_Walk], Any]] = []
        self.streak = Streak()
        self._remote: Callers[Key, Ask, Any] | None = None
        if components.vlm is not None:
            self._remote = Callers(partial(_guarded, components.vlm.ask), components.vlm.concurrency)

    def __enter__(self) -> "_Desk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._remote is not None:
            self._remote.close()

    def place(self, walk: _Walk, request: Request) -> None:
        key = request.key
        if key not in self._keys[walk.group]:
            self._keys[walk.group].add(key)
            self._askers[key] += 1
        if key in self._known:
            self._ready.append(([walk], self._known[key]))
            return
        self._waiting[key].append(walk)
        if len(self._waiting[key]) > 1:
            return
        if not isinstance(request, Ask):
            self._local[type(request)][key] = request
        elif self._remote is None:
            raise AssertionError("this judge has no vision-language model")
        else:
            self._remote.submit(key, request)

    def forget(self, group: int) -> None:
        """The group is finished: drop what no other group has asked for."""
        for key in self._keys.pop(group, ()):
            self._askers[key] -= 1
            if not self._askers[key]:
                del self._askers[key]
                self._known.pop(key, None)

    def collect(self) -> list[tuple[list[_Walk], Any]]:
        """(who waited, answer) of everything that is there; waits if nothing is; [] when nothing is open."""
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        local = any(self._local.values())
        done = self._remote.collect(wait=not local) if self._remote is not None else []
        if done or not local:
            for key, result in done:
                self.streak.take(result, {walk.group for walk in self._waiting[key]})
            return [self._settle(key, result) for key, result in done]
        kind = max(self._local, key=lambda name: len(self._local[name]))
        requests = self._local.pop(kind)
        answers = self._compute(kind, list(requests.values()))
        return [self._settle(key, result) for key, result in zip(requests, answers, strict=True)]

    def _compute(self, kind: type[Request], requests: list[Any]) -> list[Any]:
        has = self._components
        component, method = {
            Detect: (has.detector, "detect"),
            Embed: (has.features, "embed"),
            Read: (has.reader, "read"),
        }[kind]  # type: ignore[index]
        if component is None:
            raise AssertionError(f"this judge has nothing that can {method}")
        answers = _guarded(getattr(component, method), requests)
        return [answers] * len(requests) if isinstance(answers, Failure) else answers

    def _settle(self, key: Key, result: Any) -> tuple[list[_Walk], Any]:
        if isinstance(result, EndpointError):
            raise result
        self._known[key] = result
        return self._waiting.pop(key), result


def _guarded(call: Callable[[Any], Any], asked: Any) -> Any:
    """A model that fails is a status, never a value. An EndpointError is handed to who waits for the answer."""
    try:
        return call(asked)
    except EndpointError as error:
        return error
    except Exception as error:  # noqa: BLE001
        return Failure(Status.ERROR, described(error))
