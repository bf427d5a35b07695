"""A rollout goes on from its own output, with a seed of its own; what fails ends it alone."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from micebench.cards import TaskCard
from micebench.editors.base import Edited, EditRequest
from micebench.errors import DataError, EndpointError
from micebench.training.rl.rollout import Rollouts, RolloutSpec, roll_out
from micebench.training.rl.samplers import SamplingPlan
from micebench.sessions import Session
from tests import toy
from tests.toy import Painter

TOY = TaskCard(id="toy", description="", domain="mini", loader="tests.toy:sessions", judge=None, turns=3)
WINDOW = SamplingPlan(kind="sde", window=2)


def some(count: int = 5, **options: object) -> list[Session]:
    """Toy sessions of 3 turns; the fifth has 2."""
    return list(toy.sessions(TOY, None, count=count, **options))


def spec(**changes: object) -> RolloutSpec:
    fields = {"group": 3, "context": "last", "plan": SamplingPlan(), "steps": 8, "seed": 0}
    return RolloutSpec(**{**fields, **changes})


class Policy:
    """The toy painter; a trace is the request it learnt from, and where its window began."""

    def __init__(self) -> None:
        self.calls: list[list[EditRequest]] = []
        self.seen: dict[tuple[str, int, int], list[np.ndarray]] = {}

    def __call__(self, requests: Sequence[EditRequest], starts: Sequence[int]) -> list[tuple[object, object]]:
        self.calls.append(list(requests))
        for request in requests:
            self.seen[request.session_id, request.turn, request.seed] = [np.array(shown) for shown in request.images]
        painted = Painter().edit(requests)
        return list(zip(painted, zip(requests, starts, strict=True), strict=True))


def walked(policy: object, sessions: Sequence[Session], iteration: int = 0, **changes: object) -> Rollouts:
    return roll_out(policy, sessions, spec(**changes), iteration=iteration)


def pixels(rollouts: Rollouts, session: int, rollout: int) -> list[np.ndarray]:
    return [np.asarray(image.load()) for image in rollouts.images[session][rollout]]


@pytest.mark.parametrize(
    ("context", "shown"),
    [("last", lambda turn: [turn]), ("history", lambda turn: range(turn + 1)), ("composed", lambda turn: [0])],
)
def test_every_turn_starts_from_what_the_rollout_itself_has_made(context, shown) -> None:
    policy, sessions = Policy(), some()
    rollouts = walked(policy, sessions, context=context)
    assert [len(call) for call in policy.calls] == [15, 15, 12]  # all edits of a turn in one call
    for number, session in enumerate(sessions):
        for rollout in range(3):
            images = pixels(rollouts, number, rollout)
            assert len(images) == len(session.turns) + 1
            for turn, (request, _) in enumerate(rollouts.traces[number][rollout]):
                assert (request.session_id, request.turn) == (session.id, turn + 1)
                seen = policy.seen[session.id, turn + 1, request.seed]
                assert len(seen) == len(list(shown(turn)))
                for image, at in zip(seen, shown(turn), strict=True):
                    assert np.array_equal(image, images[at])
        if context != "composed":
            assert len({images[-1].sha256 for images in rollouts.images[number]}) == 3


def test_what_comes_out_is_what_the_policy_painted() -> None:
    policy, sessions = Policy(), some(2)
    rollouts = walked(policy, sessions)
    for number in range(2):
        for rollout in range(3):
            images = pixels(rollouts, number, rollout)
            for turn, (request, _) in enumerate(rollouts.traces[number][rollout]):
                again = EditRequest(
                    request.session_id,
                    request.turn,
                    request.instructions,
                    (Image.fromarray(images[turn]),),
                    request.seed,
                )
                assert np.array_equal(Painter().edit([again])[0], images[turn + 1])


def test_seeds_are_of_the_edit_and_repeat_with_the_iteration() -> None:
    def seeds(**how: object) -> dict[tuple[str, int, int], int]:
        rollouts = walked(Policy(), how.pop("sessions", some()), **how)
        return {
            (session.id, rollout, turn): trace[0].seed
            for session, row in zip(rollouts.sessions, rollouts.traces, strict=True)
            for rollout, traces in enumerate(row)
            for turn, trace in enumerate(traces)
        }

    first = seeds()
    assert len(first) == len(set(first.values())) == 3 * (4 * 3 + 2)
    assert seeds() == first
    for other in (seeds(iteration=1), seeds(seed=1)):
        assert not set(other.values()) & set(first.values())
    # neither the batch, nor its order, nor the size of the group has a say
    alone = seeds(sessions=some()[3:2:-1], group=2)
    assert alone == {place: first[place] for place in alone}


def test_a_window_is_the_groups_and_moves() -> None:
    sessions = some(12)
    starts: dict[tuple[int, str, int], set[int]] = {}
    for iteration in range(4):
        rollouts = walked(Policy(), sessions, iteration, plan=WINDOW)
        for row in rollouts.traces:
            for traces in row:
                for request, start in traces:
                    starts.setdefault((iteration, request.session_id, request.turn), set()).add(start)
    assert all(len(drawn) == 1 for drawn in starts.values())
    assert {start for drawn in starts.values() for start in drawn} == set(WINDOW.starts(8))
    by_iteration = {next(iter(starts[iteration, "s000", 1])) for iteration in range(4)}
    by_turn = {next(iter(starts[0, "s000", turn])) for turn in (1, 2, 3)}
    assert len(by_iteration) > 1
    assert len(by_turn) > 1


def test_turns_are_told_when_their_images_exist() -> None:
    told: list[tuple[int, set[int]]] = []

    def note(turn: int, rollouts: Rollouts) -> None:
        told.append((turn, {len(images) for row in rollouts.images for images in row}))

    roll_out(Policy(), some(), spec(), iteration=0, on_turn=note)
    assert told == [(1, {2}), (2, {3}), (3, {3, 4})]


def test_a_failed_edit_ends_its_rollout_only() -> None:
    class Tired(Policy):
        def __call__(self, requests, starts):
            results = super().__call__(requests, starts)
            if requests[0].turn == 2:
                results[0] = (Edited(None, failed="out of memory"), None)
                results[4] = (np.full((8, 8, 3), np.nan), results[4][1])
                results[8] = (Edited(None, refused="not this one"), None)
            return results

    policy, sessions = Tired(), some()
    rollouts = walked(policy, sessions)
    assert [len(call) for call in policy.calls] == [15, 15, 9]
    assert {place: reason.split(" with")[0] for place, reason in rollouts.failures.items()} == {
        (0, 0, 1): "out of memory",
        (1, 1, 1): "the editor returned an image",
        (2, 2, 1): "not this one",
    }
    failed = np.zeros((5, 3, 3), bool)
    for session, rollout in ((0, 0), (1, 1), (2, 2)):
        failed[session, rollout, 1:] = True
        assert len(rollouts.images[session][rollout]) == 2
        assert len(rollouts.traces[session][rollout]) == 1
    assert np.array_equal(rollouts.failed_edits, failed)
    assert np.array_equal(rollouts.edited, rollouts.exists & ~failed)
    assert not rollouts.exists[4, :, 2].any()  # a shorter session has no third turn, and nothing fails there
    assert rollouts.exists.sum() == 3 * (4 * 3 + 2)


def test_a_policy_that_breaks_stops_the_training_at_once() -> None:
    calls = 0

    def broken(requests, starts):
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        walked(broken, some())
    assert calls == 1
    with pytest.raises(Exception, match="returned 14 edits for 15 requests"):
        walked(lambda requests, starts: Policy()(requests, starts)[1:], some())


def test_hopeless_edits_stop_the_training_with_their_reason() -> None:
    def locked(requests, starts):
        results = Policy()(requests, starts)
        return [(Edited(None, failed="no such model", hopeless=True), None), *results[1:]]

    with pytest.raises(EndpointError, match="no such model"):
        walked(locked, some())


def test_sessions_that_cannot_be_rolled_out_are_named() -> None:
    with pytest.raises(DataError, match="s001"):
        walked(Policy(), some(unreadable=(1,)))
    with pytest.raises(ValueError, match="twice"):
        walked(Policy(), [*some(2), *some(1)])
