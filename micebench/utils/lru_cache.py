"""What was computed once, kept in bounded memory for whoever asks for it again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Part = TypeVar("Part")


class Lru(Generic[Key, Part]):
    """Key -> what is kept under it; over the limit, what was used longest ago is dropped. Not thread-safe."""

    def __init__(self, most_bytes: int, size: Callable[[Part], int]) -> None:
        """
        Args:
            most_bytes: of all that is kept together; 0 keeps nothing.
            size: bytes of one part.
        """
        self._most, self._size = most_bytes, size
        self._held = 0
        self._parts: OrderedDict[Key, Part] = OrderedDict()

    def get(self, key: Key) -> Part | None:
        """What is kept under `key`, which counts as used; None: nothing."""
        if key in self._parts:
            self._parts.move_to_end(key)
        return self._parts.get(key)

    def keep(self, key: Key, part: Part) -> None:
        """Keep it, as far as there is room, in the place of what was there."""
        if key in self._parts:
            self._held -= self._size(self._parts.pop(key))
        self._parts[key] = part
        self._held += self._size(part)
        while self._held > self._most:
            self._held -= self._size(self._parts.popitem(last=False)[1])

    def computed(
        self, items: Mapping[Key, Item], compute: Callable[[Sequence[Item]], Sequence[Part]]
    ) -> dict[Key, Part]:
        """One part per item: those that are kept, and the others computed in one call."""
        found = {key: part for key in items if (part := self.get(key)) is not None}
        fresh = [key for key in items if key not in found]
        if fresh:
            made = dict(zip(fresh, compute([items[key] for key in fresh]), strict=True))
            for key, part in made.items():
                self.keep(key, part)
            found |= made
        return found

    def clear(self) -> bool:
        """Drop everything; whether there was anything."""
        held, self._held = self._held, 0
        self._parts.clear()
        return held > 0
