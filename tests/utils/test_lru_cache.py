"""The cache under embeddings, detectors' image features and data URIs: bounded in bytes, each key computed once."""

from collections.abc import Sequence

from micebench.utils.lru_cache import Lru


def sized(most: int) -> Lru[str, int]:
    """Parts that are as many bytes as they say."""
    return Lru(most, int)


def test_over_the_limit_the_longest_unused_goes_first() -> None:
    kept, asked = sized(5), list[int]()

    def compute(items: Sequence[int]) -> list[int]:
        asked.extend(items)
        return list(items)

    assert kept.computed({"a": 2, "b": 2}, compute) == {"a": 2, "b": 2}
    assert kept.get("a") == 2
    assert kept.computed({"c": 1, "d": 2, "a": 2}, compute) == {"c": 1, "d": 2, "a": 2}
    assert asked == [2, 2, 1, 2]
    assert kept.get("b") is None
    assert kept.computed({"e": 6}, compute) == {"e": 6}
    assert all(kept.get(name) is None for name in "abcde")
    assert not kept.clear()
    kept.keep("a", 2)
    assert kept.clear()
    assert kept.get("a") is None


def test_what_is_kept_again_counts_once() -> None:
    kept = sized(5)
    for size in (3, 2, 3):
        kept.keep("a", size)
    kept.keep("b", 2)
    assert (kept.get("a"), kept.get("b")) == (3, 2)


def test_no_room_keeps_nothing() -> None:
    kept = sized(0)
    kept.keep("a", 1)
    assert kept.get("a") is None
