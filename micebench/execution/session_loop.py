"""The session loop: turn k edits the output of turn k-1. Knows no store, so that it runs anywhere."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from micebench.editors.base import Edited, Editor, EditRequest, one_prompt
from micebench.errors import EditorError, EndpointError, described, one_line
from micebench.execution.images import decode_png, png_size, to_png
from micebench.store.keys import derive_seed, sha256

if TYPE_CHECKING:
    from PIL.Image import Image

_REASON = 500  # characters of a reason that are kept


@dataclass(frozen=True, slots=True)
class Protocol:
    """What holds for every edit of a run.

    Attributes:
        task: task id; with the base seed it seeds every edit.
        context: last | history | composed (see `EditRequest`).
        same_size: an edit must have its input's width and height.
    """

    task: str
    context: str
    seed: int
    same_size: bool


@dataclass(slots=True)
class Chain:
    """One session (and repeat) to be edited.

    Attributes:
        row: position in the run.
        session: id.
        instructions: as the user wrote them, all turns.
        source: PNG of the source image, or None if it cannot be read.
        fault: why there is no source.
        kept: turn -> (PNG, sha256 of the outputs it was made from) of the edits that need not be made again;
            no PNG: the editor has refused it, so that the chain ends there.
    """

    row: int
    session: str
    repeat: int
    instructions: tuple[str, ...]
    source: bytes | None
    fault: str = ""
    kept: dict[int, tuple[bytes | None, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One edit that was asked for: PNG bytes, or why there are none.

    Attributes:
        refused: there are none because the editor declined; else it failed.
        usage: as in `EditRecord`.
        hopeless: any other edit would fail like this one.
    """

    row: int
    turn: int
    seed: int
    png: bytes | None
    reason: str = ""
    refused: bool = False
    usage: Mapping[str, Any] | None = None
    hopeless: bool = False


class _Walk:
    """A chain on its way through the turns: the PNGs of source and outputs, decoded when first needed."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.stopped = chain.source is None
        self.pngs: list[bytes] = [] if chain.source is None else [chain.source]
        self.hashes: list[str] = []
        self._decoded: dict[int, Image] = {}

    def advance(self, png: bytes | None) -> None:
        """On to the next turn; without an image the walk ends."""
        if png is None:
            self.stopped = True
            return
        self.pngs.append(png)
        self.hashes.append(sha256(png))

    def image(self, number: int) -> "Image":
        """A copy of image `number` (0: the source), so that an editor may draw on it."""
        if number not in self._decoded:
            self._decoded[number] = decode_png(self.pngs[number])
        return self._decoded[number].copy()


def run_chains(editor: Editor, chains: Sequence[Chain], protocol: Protocol) -> Iterator[list[Outcome]]:
    """Edit the chains together, one editor call per turn; yields the new edits of each call.

    An edit that fails or is refused stops its chain; the others go on. What is yielded is never taken back.

    Raises:
        EndpointError: the editor says that asking on is hopeless; what it has made in that call is yielded before.
    """
    walks = [_Walk(chain) for chain in chains]
    unreadable = [walk for walk in walks if walk.stopped]
    if unreadable:
        yield [
            Outcome(walk.chain.row, 1, _seed(walk.chain, 1, protocol), None, walk.chain.fault) for walk in unreadable
        ]
    for turn in range(1, max((len(chain.instructions) for chain in chains), default=0) + 1):
        asked: list[_Walk] = []
        for walk in walks:
            if walk.stopped or turn > len(walk.chain.instructions):
                continue
            kept = walk.chain.kept.get(turn)
            if kept is not None and kept[1] == inputs(walk.hashes, turn, protocol.context):
                walk.advance(kept[0])
            else:
                asked.append(walk)
        if not asked:
            continue
        outcomes = _edit(editor, asked, turn, protocol)
        for walk, outcome in zip(asked, outcomes, strict=True):
            walk.advance(outcome.png)
        hopeless = [outcome for outcome in outcomes if outcome.hopeless]
        if hopeless:
            yield [outcome for outcome in outcomes if not outcome.hopeless]
            raise EndpointError(hopeless[0].reason)
        yield outcomes


def inputs(hashes: Sequence[str], turn: int, context: str) -> tuple[str, ...]:
    """sha256 of the earlier outputs an edit of this turn is made from."""
    if context == "composed":
        return ()
    return tuple(hashes[: turn - 1] if context == "history" else hashes[max(0, turn - 2) : turn - 1])


def request(walk: _Walk, turn: int, protocol: Protocol) -> EditRequest:
    """All that the editor is told about this turn."""
    chain = walk.chain
    if protocol.context == "history":
        instructions, shown = chain.instructions[:turn], range(turn)
    elif protocol.context == "composed":
        instructions, shown = (one_prompt(chain.instructions[:turn]),), range(1)
    else:
        instructions, shown = (chain.instructions[turn - 1],), range(turn - 1, turn)
    return EditRequest(
        session_id=chain.session,
        turn=turn,
        instructions=instructions,
        images=tuple(walk.image(number) for number in shown),
        seed=_seed(chain, turn, protocol),
    )


def _seed(chain: Chain, turn: int, protocol: Protocol) -> int:
    return derive_seed(protocol.task, chain.session, turn, chain.repeat, protocol.seed)


def _edit(editor: Editor, walks: Sequence[_Walk], turn: int, protocol: Protocol) -> list[Outcome]:
    """One call; if it fails as a whole, one call each, so that only the guilty session pays."""
    try:
        results = _call(editor, walks, turn, protocol)
    except Exception as error:  # noqa: BLE001 (an editor is foreign code; its failure is a record, not ours)
        if len(walks) == 1:
            return [_failed(walks[0], turn, protocol, error)]
        return [outcome for walk in walks for outcome in _edit(editor, [walk], turn, protocol)]
    return [_outcome(walk, turn, protocol, result) for walk, result in zip(walks, results, strict=True)]


def _call(editor: Editor, walks: Sequence[_Walk], turn: int, protocol: Protocol) -> list[object]:
    results: list[object] = list(editor.edit([request(walk, turn, protocol) for walk in walks]))
    if len(results) != len(walks):
        raise EditorError(f"the editor returned {len(results)} images for {len(walks)} requests")
    return results


def _outcome(walk: _Walk, turn: int, protocol: Protocol, result: object) -> Outcome:
    usage = None
    try:
        if isinstance(result, Edited):
            usage = _as_json(result.usage)
            if result.image is None or result.refused or result.failed:
                return _without_image(walk, turn, protocol, result, usage)
            result = result.image
        size = png_size(walk.pngs[0 if protocol.context == "composed" else turn - 1])
        png = to_png(result, size if protocol.same_size else None)
    except Exception as error:  # noqa: BLE001 (a lazy or broken image fails while it is encoded)
        return _failed(walk, turn, protocol, error, usage)
    return Outcome(walk.chain.row, turn, _seed(walk.chain, turn, protocol), png, usage=usage)


def _without_image(
    walk: _Walk, turn: int, protocol: Protocol, result: Edited, usage: Mapping[str, Any] | None
) -> Outcome:
    if sum(map(bool, (result.image is not None, result.refused, result.failed))) != 1:
        raise EditorError("the editor returned an Edited that is not exactly one of image, refused and failed")
    reason = one_line(result.refused or result.failed, _REASON)
    seed, refused = _seed(walk.chain, turn, protocol), bool(result.refused)
    return Outcome(walk.chain.row, turn, seed, None, reason, refused, usage, hopeless=result.hopeless and not refused)


def _as_json(usage: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A copy that the journal can hold."""
    if usage is None:
        return None
    try:
        return json.loads(json.dumps(dict(usage), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise EditorError(f"the editor returned a usage that is no JSON ({error})") from error


def _failed(
    walk: _Walk, turn: int, protocol: Protocol, error: Exception, usage: Mapping[str, Any] | None = None
) -> Outcome:
    reason = one_line(error, _REASON) if isinstance(error, EditorError) else described(error, _REASON)
    return Outcome(walk.chain.row, turn, _seed(walk.chain, turn, protocol), None, reason, usage=usage)
