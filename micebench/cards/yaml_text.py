"""Safe YAML for cards and recipes: plain data, bounded in size, with unique keys.

Tags that make objects are refused. Aliases are followed, up to a bound on the expanded size. Dates, base-60 numbers
(``16:9``) and ``=`` are read as the text they are written as.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from micebench.errors import CardError, one_line
from micebench.utils.text_files import joined_surrogates, read_text

MAX_BYTES = 512 << 10
MAX_DEPTH = 32
MAX_NODES = 50_000
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_AS_TEXT = {_TAG + "timestamp", _TAG + "value"}
_NUMBERS = {_TAG + "int", _TAG + "float"}
_OCTAL = re.compile(r"[-+]?0[0-9_]+")


def load_yaml(path: Path) -> Any:
    """The one document of a YAML file of at most 512 KiB.

    Raises:
        CardError: file, line and reason.
    """
    text = read_text(path, MAX_BYTES, CardError)
    where, reader = str(path), None
    try:
        reader = _Loader(text)
        return reader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where += f":{mark.line + 1}" if mark else ""
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise CardError(f"{where}: not valid YAML ({one_line(reason, 300)})") from error
    except ReaderError as error:
        where += f":{text.count(chr(10), 0, error.position) + 1}"
        raise CardError(f"{where}: not valid YAML (the character U+{error.character:04X} is not allowed)") from error
    except (ValueError, LookupError) as error:  # PyYAML's own, of odd escapes and of words behind !!bool
        where += f":{reader.line + 1}" if reader else ""
        raise CardError(f"{where}: not valid YAML ({one_line(error, 300)})") from error


class _Loader(yaml.SafeLoader):
    """`SafeLoader` with the restrictions of this module."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0
        self._sizes: dict[Node, tuple[int, int]] = {}  # expanded number of nodes, and of levels

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._level += 1
        if self._level > MAX_DEPTH:
            raise _fault(f"nested deeper than {MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is None:
            return node
        if node not in self._sizes:
            if isinstance(event, yaml.AliasEvent):
                raise _fault(f"the alias *{event.anchor} contains itself", event)
            if node.tag not in _PLAIN:
                raise _fault(f"the tag {one_line(node.tag.removeprefix(_TAG), 60)!r} is not allowed in cards", event)
            self._sizes[node] = self._size(node)
            if len(self._sizes) > MAX_NODES:
                raise _fault(f"more than {MAX_NODES:,} values", event)
        count, levels = self._sizes[node]
        if count > MAX_NODES or levels + self._level > MAX_DEPTH + 1:
            raise _fault("aliases expand to too many values or levels", event)
        return node

    def _size(self, node: Node) -> tuple[int, int]:
        inner: list[Node] = []
        if isinstance(node, SequenceNode):
            inner = node.value
        elif isinstance(node, MappingNode):
            inner = [part for pair in node.value for part in pair]
        sizes = [self._sizes[part] for part in inner]
        return 1 + sum(count for count, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        tag: str = super().resolve(kind, value, implicit)
        if kind is ScalarNode and implicit[0] and (tag in _AS_TEXT or (tag in _NUMBERS and ":" in value)):
            return _TAG + "str"
        return tag

    def construct_mapping(self, node: Node, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                self._check_key(key, seen)
        return super().construct_mapping(node, deep=deep)  # type: ignore[arg-type]

    def _check_key(self, key: Node, seen: set[str]) -> None:
        if key.tag == _TAG + "merge":
            return
        written = one_line(key.value, 60) if isinstance(key, ScalarNode) else key.tag.removeprefix(_TAG)
        if key.tag not in (_TAG + "str", _TAG + "int"):
            raise _fault(f"the key {written} is no text; put it in quotes", key)
        name = str(self.construct_object(key))  # type: ignore[no-untyped-call]
        if name in seen:
            raise _fault(f"the key {written!r} is given twice", key)
        seen.add(name)

    def text(self, node: ScalarNode) -> str:
        try:
            return joined_surrogates(self.construct_scalar(node))
        except UnicodeError as error:
            raise _fault(str(error), node) from error

    def whole_number(self, node: ScalarNode) -> int:
        written = self.construct_scalar(node)
        if _OCTAL.fullmatch(written):
            raise _fault(
                f"{one_line(written, 40)} may be octal or decimal; leave the leading zero out, or quote it", node
            )
        try:
            value = self.construct_yaml_int(node)  # type: ignore[no-untyped-call]
        except (ValueError, IndexError) as error:  # PyYAML reads the first character of nothing
            raise _fault(f"{one_line(written, 40)} is no whole number of fewer than 20 digits", node) from error
        if not -(2**63) <= value < 2**64:
            raise _fault("a whole number of more than 64 bits; put it in quotes if it is text", node)
        return value

    def number(self, node: ScalarNode) -> float:
        written = self.construct_scalar(node)
        try:
            value = self.construct_yaml_float(node)  # type: ignore[no-untyped-call]
        except (ValueError, IndexError) as error:  # PyYAML reads the first character of nothing
            raise _fault(f"{one_line(written, 40)} is no number", node) from error
        if math.isnan(value) or (math.isinf(value) and ".inf" not in written.lower()):
            raise _fault(f"{one_line(written, 40)} is no finite number", node)
        return value


_Loader.add_constructor(_TAG + "str", _Loader.text)  # type: ignore[arg-type]
_Loader.add_constructor(_TAG + "int", _Loader.whole_number)  # type: ignore[arg-type]
_Loader.add_constructor(_TAG + "float", _Loader.number)  # type: ignore[arg-type]


def _fault(reason: str, at: Any) -> ConstructorError:
    return ConstructorError(None, None, reason, at.start_mark)
