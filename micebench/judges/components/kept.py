"""What a model has computed of an image, kept for the next request about the same image."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Item = TypeVar("Item")
Part = TypeVar("Part", bound=_Sized)


class Kept(Generic[Part]):
    """Image digest -> what depends on the image alone; over the limit, what was used longest ago is dropped."""

    def __init__(self, mib: int) -> None:
        """Args: mib: of all that is kept together; 0 keeps nothing."""
        self._limit = mib * 2**20
        self._held = 0
        self._parts: OrderedDict[str, Part] = OrderedDict()

    def get(self, sha256: str) -> Part | None:
        if sha256 in self._parts:
            self._parts.move_to_end(sha256)
        return self._parts.get(sha256)

    def computed(
        self, items: Mapping[str, Item], compute: Callable[[Sequence[Item]], Sequence[Part]]
    ) -> dict[str, Part]:
        """One part per item: those that are kept, and the others computed in one call."""
        found = {sha256: part for sha256 in items if (part := self.get(sha256)) is not None}
        fresh = [sha256 for sha256 in items if sha256 not in found]
        if fresh:
            made = dict(zip(fresh, compute([items[sha256] for sha256 in fresh]), strict=True))
            for sha256, part in made.items():
                self._keep(sha256, part)
            found |= made
        return found

    def clear(self) -> bool:
        """Drop everything; whether there was anything."""
        held, self._held = self._held, 0
        self._parts.clear()
        return held > 0

    def _keep(self, sha256: str, part: Part) -> None:
        self._parts[sha256] = part
        self._held += part.nbytes
        while self._held > self._limit:
            self._held -= self._parts.popitem(last=False)[1].nbytes
