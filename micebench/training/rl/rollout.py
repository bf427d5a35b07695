"""Rollouts: several walks of the policy through each session, every turn on the walk's own output.

They are walked by the engine's session loop, so that training shows an editor exactly what evaluation shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from micebench.editors.base import Edited, EditRequest
from micebench.execution import session_loop
from micebench.execution.images import StoredImage, source_png
from micebench.registry.sources import Context
from micebench.errors import EditorError
from micebench.training.rl.samplers import SamplingPlan, draw_windows
from micebench.sessions import Session
from micebench.store.keys import derive_seed, sha256

if TYPE_CHECKING:
    from micebench.editors.base import EditResult

T = TypeVar("T")
"""What is kept of one edit to learn from, e.g. a `micebench.training.rl.policies.trajectories.Trace`."""
T_co = TypeVar("T_co", covariant=True)

Place = tuple[int, int, int]
"""(session, rollout, turn), all 0-based."""


class Sample(Protocol[T_co]):
    """The policy: results and traces of several edits, in order; the trace is None where the edit failed."""

    def __call__(
        self, requests: Sequence[EditRequest], starts: Sequence[int], /
    ) -> "Sequence[tuple[EditResult | Edited, T_co | None]]":
        """`starts`: the first stochastic step of each edit."""
        ...


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """What holds for all rollouts of a training run.

    Attributes:
        group: G, rollouts per session.
        context: last | history | composed, as the editor's card says.
        plan: which steps are stochastic.
        steps: denoising steps of one edit.
        seed: of the run.
        same_size: an edit must have its input's width and height.
    """

    group: int
    context: Context
    plan: SamplingPlan
    steps: int
    seed: int
    same_size: bool = True


@dataclass
class Rollouts(Generic[T]):
    """S sessions with G rollouts each; grows turn by turn while they are walked.

    Attributes:
        sessions: S.
        images: [s][g]: the source image, then the outputs of turns 1.. as far as the rollout came; lossless.
        traces: [s][g]: one per output (None: the policy gave none).
        composed: outputs are all made from the source image, not from one another (context ``composed``).
        failures: why the edit at a place has no image; the rollout ends there.
    """

    sessions: Sequence[Session]
    images: list[list[list[StoredImage]]]
    traces: list[list[list[T | None]]]
    composed: bool = False
    failures: dict[Place, str] = field(default_factory=dict)

    @property
    def group(self) -> int:
        """G."""
        return len(self.images[0]) if self.images else 0

    @property
    def turns(self) -> int:
        """T, of the longest session."""
        return max((len(session.turns) for session in self.sessions), default=0)

    @property
    def exists(self) -> NDArray[np.bool_]:
        """(S, G, T): the session has this turn."""
        lengths = np.array([len(session.turns) for session in self.sessions], dtype=np.int64)
        mask = np.arange(self.turns) < lengths[:, None, None]
        return np.broadcast_to(mask, (len(self.sessions), self.group, self.turns))

    @property
    def edited(self) -> NDArray[np.bool_]:
        """(S, G, T): this turn has an output."""
        outputs = np.array([[len(images) - 1 for images in row] for row in self.images], dtype=np.int64)
        return np.arange(self.turns) < outputs.reshape(len(self.sessions), self.group, 1)

    @property
    def failed_edits(self) -> NDArray[np.bool_]:
        """(S, G, T): there should be an output and is none: the edit failed, or an earlier one of its rollout."""
        return self.exists & ~self.edited


def roll_out(
    sample: Sample[T],
    sessions: Sequence[Session],
    spec: RolloutSpec,
    *,
    iteration: int,
    on_turn: Callable[[int, Rollouts[T]], None] | None = None,
) -> Rollouts[T]:
    """Walk every session G times; each turn is one call of the policy for all S x G edits still under way.

    Every edit has a seed of its own that follows from (run seed, iteration, session, rollout, turn), and nothing
    else: neither from the process nor from what else is in the batch. A stochastic window is drawn per (iteration,
    session, turn) and shared by the session's rollouts, so that a group differs by its noise alone.

    Args:
        sample: the policy.
        sessions: S, with different ids.
        iteration: of the run.
        on_turn: told (turn, 1-based, and the rollouts so far) as soon as a turn's images exist.

    Raises:
        DataError: a source image cannot be read.
        ValueError: a session comes twice.
        Exception: what `sample` raises. A single edit without an image only ends its rollout.
    """
    if len({session.id for session in sessions}) < len(sessions):
        raise ValueError("a session comes twice among those to roll out; draw them without replacement")
    sources = [_stored(source_png(session.image)) for session in sessions]
    rollouts: Rollouts[T] = Rollouts(
        sessions,
        images=[[[source] for _ in range(spec.group)] for source in sources],
        traces=[[[] for _ in range(spec.group)] for _ in sessions],
        composed=spec.context == "composed",
    )
    chains = [
        session_loop.Chain(
            row=number * spec.group + rollout,
            session=session.id,
            repeat=rollout,
            instructions=tuple(turn.instruction for turn in session.turns),
            source=source.png,
        )
        for number, (session, source) in enumerate(zip(sessions, sources, strict=True))
        for rollout in range(spec.group)
    ]
    editor = _Recorder(sample, spec, iteration)
    protocol = session_loop.Protocol(_named(iteration), spec.context, spec.seed, spec.same_size)
    for outcomes in session_loop.run_chains(editor, chains, protocol):
        editor.check()
        for outcome in outcomes:
            _note(rollouts, outcome, editor.traces[outcome.seed])
        if outcomes and on_turn is not None:
            on_turn(outcomes[0].turn, rollouts)
    return rollouts


class _Recorder(Generic[T]):
    """The policy as an editor. It is ours: what it raises is a bug.

    The engine asks again, one by one, when an editor breaks down; here that would only hide the cause.

    Attributes:
        traces: of the last call, by the edit's seed.
    """

    def __init__(self, sample: Sample[T], spec: RolloutSpec, iteration: int) -> None:
        self._sample = sample
        self._spec = spec
        self._iteration = iteration
        self.traces: dict[int, T | None] = {}
        self._fault: Exception | None = None

    def edit(self, requests: Sequence[EditRequest]) -> "list[EditResult | Edited]":
        self.check()
        try:
            sampled = self._sample(requests, self._starts(requests))
            if len(sampled) != len(requests):
                raise EditorError(f"the policy returned {len(sampled)} edits for {len(requests)} requests")
        except Exception as error:
            self._fault = error
            raise
        self.traces = {request.seed: trace for request, (_, trace) in zip(requests, sampled, strict=True)}
        return [result for result, _ in sampled]

    def check(self) -> None:
        """Raises what the policy raised."""
        if self._fault is not None:
            raise self._fault

    def _starts(self, requests: Sequence[EditRequest]) -> Sequence[int]:
        seed = derive_seed(_named(self._iteration), "window", requests[0].turn, 0, self._spec.seed)
        keys = [request.session_id for request in requests]
        return [int(start) for start in draw_windows(self._spec.plan, self._spec.steps, keys, seed)]


def _named(iteration: int) -> str:
    """In a seed's derivation, where evaluation has the task's name."""
    return f"rl iteration {iteration}"


def _note(rollouts: Rollouts[T], outcome: session_loop.Outcome, trace: T | None) -> None:
    session, rollout = divmod(outcome.row, rollouts.group)
    if outcome.png is None:
        rollouts.failures[session, rollout, outcome.turn - 1] = outcome.reason
        return
    rollouts.images[session][rollout].append(_stored(outcome.png))
    rollouts.traces[session][rollout].append(trace)


def _stored(png: bytes) -> StoredImage:
    return StoredImage(sha256(png), png)
