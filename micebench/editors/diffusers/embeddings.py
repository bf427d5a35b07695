"""Text embeddings kept across sessions: a prompt that was encoded once is not encoded again.

Only for pipelines whose text encoder sees the prompt alone; the embeddings of the others belong to one image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from micebench.utils.lru_cache import Lru

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Embeddings = tuple[torch.Tensor, ...]


def remember_prompts(pipeline: Any, names: Sequence[str], mib: int) -> None:
    """Let a pipeline's ``encode_prompt`` look up what it has encoded before, the negative prompt included.

    The rest of the pipeline is left as it is, and asks as it always did. Its text encoder must not change from
    here on. With the weights in main memory (offload) it visits the GPU for new prompts only.

    Args:
        names: arguments through which ``encode_prompt`` takes finished embeddings, each (prompts, ...), in the
            order in which it returns them.
        mib: main memory for embeddings, in MiB; those not used for longest are dropped first.
    """
    pipeline.encode_prompt = _Remembered(pipeline.encode_prompt, tuple(names), mib * 2**20)


class _Remembered:
    def __init__(self, encode: "Callable[..., Any]", names: tuple[str, ...], most_bytes: int) -> None:
        self._encode, self._names = encode, names
        self._known: Lru[tuple[str, str], Embeddings] = Lru(most_bytes, _size)  # on the CPU

    def __call__(self, prompt: str | list[str] | None, **how: Any) -> Any:
        if prompt is None or any(how.get(name) is not None for name in self._names):
            return self._encode(prompt=prompt, **how)
        prompts = [prompt] if isinstance(prompt, str) else prompt
        parts = [self._embeddings(one, how) for one in prompts]
        return self._encode(prompt=None, **how | dict(zip(self._names, _joined(parts), strict=True)))

    def _embeddings(self, prompt: str, how: dict[str, Any]) -> "Embeddings":
        """Of one prompt, encoded by itself: in a batch float noise would make them depend on their neighbours."""
        key = (prompt, repr(sorted((name, value) for name, value in how.items() if name not in self._names)))
        if (known := self._known.get(key)) is not None:
            device = how.get("device")
            return tuple(part.to(device) for part in known)
        made: Embeddings = tuple(self._encode(prompt=[prompt], **how)[: len(self._names)])
        self._known.keep(key, tuple(part.to("cpu") for part in made))
        return made


def _joined(parts: "Sequence[Embeddings]") -> "Embeddings":
    import torch

    return tuple(torch.cat(same) for same in zip(*parts, strict=True))


def _size(embeddings: "Embeddings") -> int:
    return sum(part.nbytes for part in embeddings)
