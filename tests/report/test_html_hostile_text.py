"""Nothing that stands in a run can become markup, script, or a broken layout."""

import base64
import hashlib
import re

from micebench.report.formatting import visible
from micebench.report.html import render
from tests.report.page import parse
from tests.report.runs import BREAKOUT, HOSTILE, LONG, SCRIPT, STYLE


def test_hostile_strings_are_shown_and_make_no_elements(run):
    html = render(run)
    tree = parse(html)
    instructions = {node.text for node in tree.find("p", klass="instruction")}
    for text in (SCRIPT, BREAKOUT, STYLE):
        assert text in instructions
    assert BREAKOUT in {node.text for node in tree.find("h3")}
    assert len(tree.find("script")) == 1
    assert len(tree.find("style")) == 1
    assert not tree.find(id="planted")
    for node in tree.find():
        assert not [name for name in node.attributes if name.startswith("on")], node
    for image in tree.find("img"):
        assert re.match(r"data:image/(png|webp);base64,[A-Za-z0-9+/=]+$", image.attributes["src"])


def test_no_control_or_direction_character_reaches_the_page(run):
    html = render(run)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "paint \\u202eDER" in html


def test_long_text_is_folded_and_cut_with_a_note(run):
    tree = parse(render(run))
    (folded,) = tree.find("details", klass="instruction")
    assert len(folded.text) < 4000
    assert f"({len(LONG) - 3000:,} more characters)" in folded.text


def test_the_page_names_no_other_resource(run):
    tree = parse(render(run))
    for node in tree.find():
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = node.attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (node.tag, value)
    style = tree.find("style")[0].text
    assert "@import" not in style
    assert "url(" not in style


def test_the_policy_allows_exactly_the_page_s_own_script(run):
    tree = parse(render(run))
    (policy,) = (
        node.attributes["content"]
        for node in tree.find("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    script = tree.find("script")[0].text
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_visible_writes_out_what_cannot_be_seen():
    assert visible("a\x1b[2Jb\u202ec\ud800\nd") == "a\\x1b[2Jb\\u202ec\\ud800 d"
    assert visible("می\u200cخواهم 👩\u200d🎨 é 汉") == "می\u200cخواهم 👩\u200d🎨 é 汉"
    assert visible("x" * 12, 10) == "x" * 10 + "… (2 more characters)"
    for text in HOSTILE:
        assert visible(text).isprintable()
