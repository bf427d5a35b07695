"""A VLM server with opinions of its own: every answer follows from the request, and now and then it is unwell."""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from tests.judges.fake_vlm_server import Act, Vlm, completes, sends

BUSY, DECLINED, RAMBLED = 40, 40, 60
"""One of so many requests is turned away once, one declined, and one answered in no agreed form."""

MARK = re.compile(r"\b[0-9a-f]{16}\b")


class Opinions:
    """`server` answers GA in tags, yes/no questions in a word or two, and anything else with a text.

    Attributes:
        asked: how often each request came, by its mark; that mark stands in the reply, and so in the journal.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.server = Vlm(self._decide, sends(200, b'{"data": [{"id": "tiny", "max_model_len": 1000000}]}'))
        self._latency_s = latency_s

    @contextmanager
    def running(self) -> Iterator[Self]:
        with self.server.running():
            yield self

    @property
    def url(self) -> str:
        return self.server.url

    def _decide(self, number: int, body: dict[str, Any]) -> Act:
        self.server.bodies[number] = {}  # thousands of pictures
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        dice, mark = int.from_bytes(digest[:8], "big"), digest.hex()[:16]
        before = self.asked[mark]
        self.asked[mark] += 1
        time.sleep(self._latency_s)
        if not before and dice % BUSY == 0:
            return sends(503, b"busy")
        if dice % DECLINED == 1:
            return completes(*[""] * body["n"], refusal=f"I would rather not look at this ({mark})")
        return completes(*(_vote(body, dice >> (8 + vote), mark) for vote in range(body["n"])))


def marks(verdicts: Iterable[dict[str, Any]]) -> set[str]:
    """The marks of the requests whose replies these lines of a journal hold."""
    return {mark for verdict in verdicts for said in verdict.get("raw", ()) for mark in MARK.findall(said)}


def _vote(body: dict[str, Any], dice: int, mark: str) -> str:
    *pictures, words = body["messages"][0]["content"]
    if dice % RAMBLED == 2:
        return f"That is hard to tell from the pictures. {mark}"
    if "<final>" in words["text"]:
        return _walk(len(pictures) - 1, dice, mark)
    if "Answer yes or no" in words["text"]:
        return f"{'Yes' if dice % 4 else 'No'} {mark}"
    return f"EXIT {mark}"


def _walk(turns: int, dice: int, mark: str) -> str:
    """Through the turns up to the first that does not comply."""
    failed = next((turn for turn in range(1, turns + 1) if dice % (turn + 4) == 0), None)
    said = [
        f"<turn_{turn}>{'no' if turn == failed else 'yes'}</turn_{turn}>" for turn in range(1, (failed or turns) + 1)
    ]
    return "\n".join([*said, f"<final>{'no' if failed else 'yes'}</final>", mark])
