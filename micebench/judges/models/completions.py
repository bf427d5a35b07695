"""A chat completion as servers really send it: only what a verdict is read from can fail it.

That is the content of each choice, how it ended, and, where choices were asked for, the log-probabilities. Everything
else (token counts, indices, unknown fields) may be missing, null or odd.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from micebench.errors import one_line
from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.vlm.choice_logprobs import answer_position, choice_logprobs
from micebench.judges.vlm.reasoning import Unreadable, after_reasoning, with_think_tags
from micebench.utils.finish_reasons import declined, ending, flagged
from micebench.verdicts import Status

_DIGITS = 15
_MOST_TOKENS = 1 << 53
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_THINKING_PARTS = re.compile("think|thought|reason|analysis")
_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vote:
    """One choice. `content` is None where there is none that could be read."""

    content: str | None
    thought: str
    refusal: str
    endings: tuple[object, ...]
    fault: object
    choice: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The reply as it is kept; reasoning that the server has split off is put back."""
        content = self.content or ""
        return f"<think>\n{self.thought}\n</think>\n{content}" if self.thought else content

    def ends(self, kind: str) -> bool:
        return any(ending(reason) == kind for reason in self.endings)


def load(body: bytes) -> Any:
    """The body as JSON; None if it is none. A byte order mark and damaged characters in strings do not matter."""
    try:
        return json.loads(body.decode(json.detect_encoding(body), "replace"), parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def read_completion(
    body: bytes, request: Ask, *, latency_s: float, delimiters: Sequence[tuple[str, str]] = ()
) -> Reply | Failure:
    """A success of the server: all votes complete, or a failure that keeps what was said.

    Args:
        delimiters: what the model writes around its reasoning, beyond what is known (opening, closing).
    """
    result = _read(load(body), request, latency_s, delimiters)
    if isinstance(result, Failure):
        return replace(result, reason=_storable(result.reason), raw=tuple(map(_storable, result.raw)))
    return replace(result, texts=tuple(map(_storable, result.texts)), answers=tuple(map(_storable, result.answers)))


def _read(said: Any, request: Ask, latency_s: float, delimiters: Sequence[tuple[str, str]]) -> Reply | Failure:
    listed = _mapping(said).get("choices")
    if not isinstance(listed, list):
        if reason := declined(said):
            return Failure(Status.REFUSED, reason)
        return Failure(Status.ERROR, f"no chat completion: {_complaint(said)}")
    votes = [_vote(choice) for choice in _in_order(_items(listed))][: request.votes]
    texts = tuple(vote.text for vote in votes)
    if reason := _refusal(votes, said):
        return Failure(Status.REFUSED, reason, raw=texts + tuple(vote.refusal for vote in votes if vote.refusal))
    if any(vote.fault or vote.ends("broken") for vote in votes):
        return Failure(Status.ERROR, f"a reply was broken off: {_complaint_of(votes)}", raw=texts)
    if len(votes) != request.votes:
        return Failure(Status.ERROR, f"the server gave {len(votes)} of {request.votes} votes", raw=texts)
    if any(vote.ends("cut") for vote in votes) and not request.choices:
        return Failure(Status.UNPARSED, "a reply was cut off at max_tokens", raw=texts)
    if any(vote.content is None for vote in votes):
        return Failure(Status.ERROR, "no chat completion: a choice whose content is no text", raw=texts)
    usage = _usage(_mapping(said).get("usage"))
    answers = tuple(with_think_tags(vote.content or "", delimiters) for vote in votes)
    if request.choices:
        read = _chosen(votes[0], answers[0], request.choices)
        if isinstance(read, Failure):
            return Failure(read.status, read.reason, raw=texts)
        return Reply(texts, read, usage, latency_s, answers)
    if not all(answer.strip() for answer in answers):
        return Failure(Status.UNPARSED, "an empty reply", raw=texts)
    return Reply(texts, None, usage, latency_s, answers)


def _in_order(choices: list[Any]) -> Sequence[Mapping[str, Any]]:
    """By their index where all have one of their own, else as they come."""
    there = [_mapping(choice) for choice in choices if isinstance(choice, dict)]
    indices = [choice.get("index") for choice in there]
    if all(type(index) is int for index in indices) and len(set(indices)) == len(indices):
        return sorted(there, key=lambda choice: choice["index"])
    return there


def _vote(choice: Mapping[str, Any]) -> _Vote:
    message = _mapping(choice.get("message"))
    parts = message.get("content")
    content, thoughts, refusals = _parts(parts) if isinstance(parts, list | dict) else (parts, [], [])
    if parts is None and message:
        content = ""
    thoughts += [words for name in ("reasoning_content", "reasoning") if (words := _words(message.get(name)))][:1]
    refused = message.get("refusal")
    refusals += ["refused" if refused is True else _words(refused).strip()] if refused else []
    return _Vote(
        content=content if isinstance(content, str) else None,
        thought="\n".join(thoughts),
        refusal=" ".join(filter(None, refusals)),
        endings=(choice.get("finish_reason"), choice.get("native_finish_reason")),
        fault=choice.get("error"),
        choice=choice,
    )


def _parts(content: Any) -> tuple[str, list[str], list[str]]:
    """(answer, reasoning, refusals) of a content in parts. A part of an unknown type is no answer."""
    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    for part in _items(content) or [content]:
        kind = _mapping(part).get("type")
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(kind, str) and _THINKING_PARTS.search(kind.casefold()):
            thoughts.append(_words({name: value for name, value in _mapping(part).items() if name != "type"}))
        elif kind == "refusal":
            refusals.append(_words(_mapping(part).get("refusal")) or "refused")
        elif kind in (None, "text", "output_text") and isinstance(text := _mapping(part).get("text"), str):
            texts.append(text)
    return "".join(texts), thoughts, refusals


def _refusal(votes: Sequence[_Vote], said: Any) -> str:
    """Why the model, or a filter behind it, would not answer; "" if it did."""
    for vote in votes:
        if vote.refusal:
            return one_line(vote.refusal, _REASON)
        if vote.ends("refused"):
            named = next(reason for reason in vote.endings if ending(reason) == "refused")
            return one_line(f"stopped by the server's content filter: {named}", _REASON)
        if flagged(vote.choice):
            return "stopped by the server's content filter"
        if vote.fault and (reason := declined({"error": vote.fault})):
            return reason
    if flagged(said):
        return "stopped by the server's content filter"
    return "" if votes and all(vote.content for vote in votes) else declined(said)


def _chosen(vote: _Vote, answer: str, choices: tuple[str, ...]) -> Mapping[str, float] | Failure:
    """The choices' log-probabilities where the answer begins."""
    listed = _mapping(vote.choice.get("logprobs")).get("content")
    positions = [_mapping(entry) for entry in _items(listed)]
    tokens = [token if isinstance(token := entry.get("token"), str) else "" for entry in positions]
    if not positions:
        return Failure(Status.ERROR, "the server gave no log-probabilities")
    try:
        spoken = after_reasoning(answer)
        reasoned = bool(vote.thought) or spoken != answer.strip()
        place = answer_position(tokens, spoken, reasoned=reasoned)
    except Unreadable as error:
        return Failure(Status.UNPARSED, str(error))
    known: list[tuple[str, float]] = []
    for entry in map(_mapping, _items(positions[place].get("top_logprobs"))):
        token, number = entry.get("token"), entry.get("logprob")
        if isinstance(token, str) and isinstance(number, int | float) and not isinstance(number, bool):
            known.append((token, float(number)))
    if not known:
        return Failure(Status.ERROR, "the server gave no log-probabilities")
    return choice_logprobs(known, choices)


def _usage(usage: Any) -> dict[str, int] | None:
    """Those token counts that are counts."""
    fields = _mapping(usage)
    counts: dict[str, int] = {}
    for name in ("prompt_tokens", "completion_tokens"):
        count: Any = fields.get(name)
        if type(count) in (int, float) and 0 <= count < _MOST_TOKENS and count == int(count):
            counts[name] = int(count)
    return counts or None


def _complaint(said: Any) -> str:
    """What an answer without choices says instead, in one line."""
    fault = _mapping(said).get("error") or _mapping(said).get("message") or _mapping(said).get("detail")
    return one_line(_words(fault), _REASON) or "no list of choices"


def _complaint_of(votes: Sequence[_Vote]) -> str:
    for vote in votes:
        if vote.fault:
            return one_line(_words(vote.fault), _REASON)
    named = [reason for vote in votes for reason in vote.endings if ending(reason) == "broken"]
    return one_line(named[0], _REASON)


def _words(value: Any) -> str:
    """Text as it is; of an object its message or text, or all of it as JSON; "" of nothing."""
    if isinstance(value, str):
        return value
    if not value:
        return ""
    fields = _mapping(value)
    for name in ("message", "text", "content"):
        if isinstance(text := fields.get(name), str) and text:
            return text
    return json.dumps(value, ensure_ascii=False)


def _items(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _storable(text: str) -> str:
    """The text with each half of a surrogate pair, which no UTF-8 can hold, replaced by U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)
