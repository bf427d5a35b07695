"""The page as a browser's parser sees it, without a browser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "use", "path"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    children: list["Node | str"] = field(default_factory=list)

    def find(self, tag: str = "", **wanted: str) -> list["Node"]:
        """All nodes below with this tag and these attribute values; `klass` matches one class."""
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            classes = child.attributes.get("class", "").split()
            matches = all(
                (value in classes) if name == "klass" else child.attributes.get(name) == value
                for name, value in wanted.items()
            )
            if tag in ("", child.tag) and matches:
                found.append(child)
            found += child.find(tag, **wanted)
        return found

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.stack = [self.root]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag, attrs):
        self.stack[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data):
        self.stack[-1].children.append(data)


def parse(html: str) -> Node:
    """The tree of `html`; unbalanced tags fail."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert len(builder.stack) == 1, f"<{builder.stack[-1].tag}> is not closed"
    return builder.root


def cells(table: Node) -> dict[str, list[Node]]:
    """Row label -> cells of a table's body."""
    rows = {}
    for row in table.find("tbody")[0].find("tr"):
        label = next(child for child in row.find("th")[0].children if isinstance(child, str))
        rows[label] = row.find("td")
    return rows
