"""Where a reply's reasoning ends and its answer begins.

Models write reasoning between delimiters of many families: ``<think>``, ``[THINK]``, ``<|begin_of_thought|>``,
channels, and more. The answer is what follows the last end of reasoning. Reasoning without an end leaves no answer,
and markup that nobody knows may be reasoning: a reader that meets it has no value.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LONGEST = 1_000_000  # characters of a reply, reasoning included
_LONGEST_ANSWER = 30_000
_DEEPEST = 100  # reasoning within reasoning
_PROMPT_END = 200  # characters
_FRAMES = 4  # tokens and tags around an answer that are taken off, one after another

_REASONING = re.compile(
    "think|thought|reason|reflect|scratch_?pad|analy[sz]|monolog|rationale|deliberat|chain_of_|^cot$|思考|推理|分析|反思"
)
_FORMATTING = re.compile(
    "b|strong|i|em|u|ins|br|hr|p|div|span|center|font|mark|small|big|sub|sup|code|pre|kbd|q|blockquote|h[1-6]|[uod]l|li"
    "|d[td]|box"
)
"""HTML that changes how an answer looks and not what it says; ``<|begin_of_box|>`` frames an answer (GLM)."""
_ANSWER = {"answer", "final_answer", "response", "output", "solution"}
_END = re.compile(
    r"</s>|<(?:eos|pad|end_of_turn|turn\|)>|<\|?/?(?:im_end|eot|eot_id|eom_id|end|endoftext|end_of_text|end_of_turn"
    r"|end_of_turn_token|end_of_sentence|endofturn|return|user|observation)\|>",
    re.IGNORECASE,
)
_START = re.compile(
    r"(?:<s>|<bos>|<\|begin_of_text\|>|<\|im_start\|>\s?assistant\b|<\|start\|>\s?assistant\b|<\|assistant\|>"
    r"|<\|start_header_id\|>\s?assistant\s?<\|end_header_id\|>)",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"<[^<>\[\]]*>"
    r"|<\|?\s{0,3}/?\s{0,3}[^\W\d][\w:.\-]*"  # the angle bracket is never closed
    r"|\[[^\[\]<>{}\n]{1,60}\]"
    r"|\{\s{0,3}/?\s{0,3}[^\W\d][\w:.\-]{0,60}\s{0,3}\}"
)
_BOUNDARY = re.compile(r"(?:(begin|start|open)|(end|close|stop))_(?:of_)?(?=.)")
_NAME = re.compile(r"[^\W\d][\w:.\-]*")

_INVISIBLE = dict.fromkeys([0xAD, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
_LOOKALIKES = str.maketrans("＜＞⟨⟩〈〉◁▷［］【】｛｝｜▁／", "<><><><>[][]{}|_/")
_ESCAPED = re.compile(r"(?<!\\)\\([<>_*#\[\]])")
_FENCE = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*(\w*)[ \t]*$", re.MULTILINE)
_CHANNEL = re.compile(r"<\|channel\|>\s?(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>", re.IGNORECASE)
_DIALECTS = (
    (re.compile(r"<\|channel>\s?(?!final)\w*", re.IGNORECASE), "<think>"),  # Gemma
    (re.compile(r"<channel\|>", re.IGNORECASE), "</think>"),
    (re.compile(r"\bhere(?: i|['’])s my thought process:", re.IGNORECASE), "<think>"),  # Granite
    (re.compile(r"\bhere(?: i|['’])s my response:", re.IGNORECASE), "</think>"),
    (re.compile(r"<details\b[^<>]*>", re.IGNORECASE), "<think>"),  # how chat programs fold reasoning
    (re.compile(r"</details\s?>", re.IGNORECASE), "</think>"),
)


class Unreadable(ValueError):
    """The reply is not in the agreed form; the message says how."""


class _Mark(NamedTuple):
    """A piece of markup: `name` in lower case, without what says that it opens or closes."""

    start: int
    end: int
    name: str
    closing: bool
    special: bool
    shape: str


def after_reasoning(reply: str) -> str:
    """The answer alone, stripped, without the tokens that frame a whole reply. Raises Unreadable."""
    if len(reply) > _LONGEST:
        raise Unreadable(f"a reply of {len(reply):,} characters")
    text = _final_channel(_as_think(_cleaned(reply)))
    answer = text[_reasoning_end(text) :].strip()
    if len(answer) > _LONGEST_ANSWER:
        raise Unreadable(f"an answer of {len(answer):,} characters")
    return _unframed(answer)


def with_think_tags(reply: str, delimiters: Sequence[tuple[str, str]]) -> str:
    """The reply with further delimiters of reasoning (opening, closing; any case) written as those of ``<think>``."""
    for opening, closing in delimiters:
        reply = re.sub(re.escape(opening), "<think>", reply, flags=re.IGNORECASE)
        reply = re.sub(re.escape(closing), "</think>", reply, flags=re.IGNORECASE)
    return reply


def left_open(prompt: str) -> bool:
    """Whether a prompt ends inside reasoning, so that the reply begins with it."""
    end = _as_think(prompt.rstrip()[-_PROMPT_END:])
    marks = list(_marks(_folded(end), reasoning=True))
    return bool(marks) and not marks[-1].closing and not end[marks[-1].end :].strip()


def refuse_markup(text: str, own: re.Pattern[str] | None = None, *, quoted: bool = False) -> None:
    """Raises Unreadable where an answer holds markup that is neither formatting nor the protocol's `own` (names).

    Such markup is a tag, a special token, or a word in capitals and square brackets at the very beginning. In an
    answer that quotes what is written in an image (`quoted`), an opening tag counts at the beginning of a line only.
    """
    folded = _folded(text)
    if "<!--" in folded:
        raise Unreadable("a comment in the markup")
    for mark in _marks(folded):
        ours = own is not None and mark.shape == "<" and own.fullmatch(mark.name)
        if ours or _FORMATTING.fullmatch(mark.name):
            continue
        if mark.closing or mark.special or _opens(mark, folded, quoted):
            raise Unreadable(f"unknown markup: {text[mark.start : mark.end][:60]!r}")


def unformatted(text: str) -> str:
    """The text without HTML that only changes how it looks."""
    folded, at = _folded(text), 0
    kept: list[str] = []
    for mark in _marks(folded):
        if _FORMATTING.fullmatch(mark.name) and mark.shape == "<" and folded[mark.end - 1] == ">":
            kept.append(text[at : mark.start])
            at = mark.end
    return "".join([*kept, text[at:]])


def _cleaned(reply: str) -> str:
    """Without invisible characters, escapes of markdown and of HTML's angle brackets."""
    text = reply.translate(_INVISIBLE).replace("&lt;", "<").replace("&gt;", ">")
    return _ESCAPED.sub(r"\1", text)


def _folded(text: str) -> str:
    """The text with look-alikes of brackets as brackets, character by character."""
    return text.translate(_LOOKALIKES)


def _as_think(text: str) -> str:
    """Reasoning in forms that are no tags (code fences, set phrases) written as ``<think>``."""
    for form, tag in _DIALECTS:
        text = form.sub(tag, text)
    inside = False

    def tag_of(fence: re.Match[str]) -> str:
        nonlocal inside
        if inside and not fence[1]:
            inside = False
            return "</think>"
        if fence[1] and _REASONING.search(fence[1].casefold()):
            inside = True
            return "<think>"
        return fence[0]

    return _FENCE.sub(tag_of, text)


def _final_channel(text: str) -> str:
    """What a reply in channels (gpt-oss) says in the final one; other replies as they are."""
    folded = _folded(text)
    channels = list(_CHANNEL.finditer(folded))
    if channels or "<|channel|>" in folded.casefold():
        if not channels or channels[-1][1].casefold() != "final":
            raise Unreadable("the reply has no final channel")
        return text[channels[-1].end() :]
    if re.match(r"\s?(?:assistant)?(?:analysis|commentary)", folded) and "assistantfinal" in folded:
        return text.rpartition("assistantfinal")[2]  # a server that drops special tokens leaves the names
    if re.match(r"\s?(?:assistant)?analysis[A-Z]", folded):
        raise Unreadable("the reply has no final channel")
    return text


def _reasoning_end(text: str) -> int:
    """Where the answer begins. An end without a beginning counts: everything before it is reasoning."""
    opened: list[str] = []
    end = 0
    for mark in _marks(_folded(text), reasoning=True):
        if not mark.closing:
            opened.append(mark.name)
            if len(opened) > _DEEPEST:
                break
            continue
        end = mark.end
        if mark.name in opened:
            del opened[len(opened) - 1 - opened[::-1].index(mark.name) :]
    if opened:
        raise Unreadable("the reasoning has no end")
    return end


def _marks(folded: str, *, reasoning: bool = False) -> Iterator[_Mark]:
    """All markup, in order, or only that of reasoning."""
    for found in _MARK.finditer(folded):
        if reasoning and not _REASONING.search(found[0].casefold()):
            continue
        mark = _mark(found)
        if mark is not None and (not reasoning or _REASONING.search(mark.name)):
            yield mark


def _mark(found: re.Match[str]) -> _Mark | None:
    token = found[0]
    shape, inner = token[0], token.strip("<>[]{} \t\n")
    special = inner[:1] == "|" or inner[-1:] == "|"
    closing = inner[-1:] == "|" and inner[:1] != "|"
    inner = inner.strip("| ")
    closing = closing or inner[:1] == "/" or inner[-1:] == "/"
    words = inner.strip("/ ").casefold().split()
    name = _NAME.match("_".join(words) if shape == "[" else words[0]) if words else None
    if name is None:
        return None
    boundary = _BOUNDARY.match(name[0])
    bare = name[0][boundary.end() :] if boundary else ""
    if boundary and (special or _REASONING.search(bare)):
        return _Mark(*found.span(), bare, closing or boundary[2] is not None, special, shape)
    if shape == "[" and len(words) > 1:
        return None  # words in brackets
    return _Mark(*found.span(), name[0], closing, special, shape)


def _opens(mark: _Mark, folded: str, quoted: bool) -> bool:
    """Whether this is an opening tag rather than words in brackets."""
    token, before = folded[mark.start : mark.end], folded[: mark.start]
    if mark.shape == "<":
        attributes = token[1:-1].partition(" ")[2]
        begins = not before[before.rfind("\n") + 1 :].strip(" \t*_`>#-")
        return token[-1] == ">" and (begins or (not quoted and (not attributes.strip() or "=" in attributes)))
    named = mark.shape == "[" and token.isupper() and mark.name not in ("yes", "no")
    return named and not before.strip() and bool(folded[mark.end :].strip())


def _unframed(text: str) -> str:
    """Without tokens that begin and end a whole reply, and without tags that say: this is the answer."""
    text = text.strip()
    for _ in range(_FRAMES):
        if (start := _START.match(_folded(text))) is not None:
            text = text[start.end() :].strip()
        if (stop := _folded(text).rfind("<")) >= 0 and _END.fullmatch(_folded(text), stop):
            text = text[:stop].strip()
        text = _inside_answer_tags(text)
    return text


def _inside_answer_tags(text: str) -> str:
    marks = [mark for mark in _marks(_folded(text)) if mark.name in _ANSWER]
    if len(marks) != 2 or marks[0].name != marks[1].name or (marks[0].closing, marks[1].closing) != (False, True):
        return text
    around = marks[0].start == 0 and marks[1].end == len(text)
    return text[marks[0].end : marks[1].start].strip() if around else text
