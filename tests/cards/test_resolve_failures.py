"""Whatever a module of the user does when it is imported or called is one line: module, file, line and error."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from micebench.cards import EditorCard, JudgeCard, TaskCard, find_cards, load, made, resolve
from micebench.engine.job import Options, make_job
from micebench.errors import CardError
from micebench.judges.runtime.preflight import probe
from micebench.registry.sources import EditorSource, JudgeSource, editor_source
from micebench.tasks.load import load_task, load_task_card, open_sessions


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Write a module; returns its name, another one each time."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> str:
        name = f"theirs_{tmp_path.name.replace('-', '_')}_{len(list(tmp_path.glob('*.py')))}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise ValueError('two\\nlines')\n", r"\.py:2: ValueError: two lines"),
        ("import sys\nsys.exit('bye')\n", r"\.py:2: it exits \(SystemExit: bye\)"),
        ("raise SystemExit\n", r"\.py:1: it exits"),
        ("raise BaseException('odd')\n", r"\.py:1: BaseException: odd"),
        ("def f(:\n", r"\.py:1: SyntaxError"),
        ("\x00", r"(SyntaxError|ValueError)"),
        ("import not_there_at_all\n", r"\.py:1: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("class Odd(Exception):\n    def __str__(self): raise KeyError\nraise Odd\n", r"\.py:3: Odd"),
        ("import json\njson.loads('{')\n", r"theirs\w+\.py:2: JSONDecodeError"),
        ("def __getattr__(name): raise RuntimeError(name)\n", r"\.py:1: RuntimeError"),
        ("def f(): return f()\nf()\n", r"RecursionError"),
    ],
)
def test_a_module_that_fails_on_import_is_one_line(module, text: str, said: str) -> None:
    name = module(text)
    with pytest.raises(CardError, match=rf"^--model: importing {name} failed.*{said}") as caught:
        resolve(f"{name}:Thing", where="--model")
    assert "\n" not in str(caught.value)


def test_ctrl_c_during_an_import_stays_what_it_is(module) -> None:
    with pytest.raises(KeyboardInterrupt):
        resolve(f"{module('raise KeyboardInterrupt')}:Thing", where="--model")


@pytest.mark.parametrize("reference", ["a..b:C", ".a:C", "a b:C", "a:b.c", "a:", ":a", "a/b:C", "a\0:B", "a:\ud800"])
def test_what_names_no_module_is_refused(reference: str) -> None:
    with pytest.raises(CardError, match="is not module:name"):
        resolve(reference, where="--model")


def test_names_that_no_file_can_have_are_one_line() -> None:
    for name in ("x" * 300, "\ud800x"):
        with pytest.raises(CardError):
            resolve(f"{name}:C", where="--model")


FAILING = """class Thing:
    def __init__(self, *_):
        raise {}
    def edit(self, r): ...
    def judge(self, q): ...
"""


@pytest.mark.parametrize("error", ["RuntimeError('no paint')", "SystemExit(0)"])
def test_a_constructor_that_fails_is_one_line(module, error: str) -> None:
    name = module(FAILING.format(error))
    card = {"id": "x", "description": "", "domain": "mini"}
    sources = [
        EditorSource("x", "", "last", 1, card=EditorCard(**card, editor=f"{name}:Thing")),
        EditorSource("x", "", "last", 1, reference=f"{name}:Thing"),
        JudgeSource("x", "", (), card=JudgeCard(**card, judge=f"{name}:Thing", metrics=["IF"])),
    ]
    for source in sources:
        with pytest.raises(CardError, match=rf"{name}:Thing failed at .*{name}\.py:3: "):
            source.build()


def test_a_constructor_that_takes_other_arguments_is_one_line(module) -> None:
    name = module("class Thing:\n    def __init__(self, a, b): ...\n    def edit(self, r): ...\n")
    with pytest.raises(CardError, match=r"failed: TypeError: .*missing 2 required"):
        EditorSource("x", "", "last", 1, reference=f"{name}:Thing").build()


def test_a_probe_that_fails_is_one_line(module) -> None:
    name = module("class Thing:\n    @classmethod\n    def probe(cls, card):\n        raise OSError('down')\n")
    card = JudgeCard(id="x", description="", domain="any", judge=f"{name}:Thing", metrics=["IF"])
    with pytest.raises(CardError, match=r"\.py:4: OSError: down"):
        probe(card)


def test_an_object_that_is_no_class_is_no_model(module) -> None:
    name = module("class A:\n    def edit(self, r): ...\nthing = A()\n")
    with pytest.raises(CardError, match="is a A, not a class"):
        editor_source(f"{name}:thing", load_task_card("mice-mini"))


def adapter_card(reference: str) -> TaskCard:
    return TaskCard(id="t", description="", domain="any", loader=reference, judge=None, turns=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def sessions(card, folder):\n    raise ValueError('x')\n", r"\.py:2: ValueError: x"),
        ("def sessions(card, folder):\n    import sys\n    sys.exit(3)\n    yield\n", r"\.py:3: it exits"),
        ("def sessions(card, folder):\n    return 3\n", r"TypeError"),
        (
            "def sessions(card, folder):\n    yield {'id': 'a'}\n",
            r"yields a dict, expected micebench.sessions.Session",
        ),
        ("sessions = 3\n", r"does not take the card's options"),
        ("sessions = dict.fromkeys\n", r"."),
    ],
)
def test_an_adapter_that_fails_is_one_line(module, text: str, said: str) -> None:
    name = module(text)
    with pytest.raises(CardError, match=said) as caught:
        list(open_sessions(adapter_card(f"{name}:sessions"), None))
    assert "\n" not in str(caught.value)


SESSION = (
    "from micebench.sessions import ImageFile, Session, Turn\n"
    "def sessions(card, folder):\n"
    "    yield Session(id={id}, task='t', track='plain', image=ImageFile('a.png'), turns=({turn},))\n"
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"id": "3", "turn": "Turn(1, 'x')"}, "id is 3; give a text"),
        ({"id": "'  '", "turn": "Turn(1, 'x')"}, "id is '  '; give a text"),
        ({"id": "'x' * 2000", "turn": "Turn(1, 'x')"}, "2000 characters, at most 1000"),
        ({"id": "'a'", "turn": "Turn(1, '\\ud83d')"}, "session 'a': turns cannot be stored"),
        ({"id": "'a\\ud83d'", "turn": "Turn(1, 'x')"}, "id cannot be stored"),
        ({"id": "'a'", "turn": "Turn(1, 5)"}, "session 'a': turns cannot be stored"),
    ],
)
def test_a_session_that_cannot_be_kept_is_named(module, given: dict[str, str], said: str) -> None:
    from micebench.errors import MicebenchError

    name = module(SESSION.format(**given))
    with pytest.raises(MicebenchError, match=said) as caught:
        load_task(adapter_card(f"{name}:sessions"))
    assert "\n" not in str(caught.value)


def test_a_plug_in_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, module) -> None:
    name = module("def folder(): raise RuntimeError('gone')\n")
    entry = EntryPoint("theirs", f"{name}:folder", "micebench.cards")
    monkeypatch.setattr(load, "entry_points", lambda group: [entry])
    with pytest.raises(CardError, match=r"plug-in 'theirs' of micebench.cards failed at .*RuntimeError: gone"):
        find_cards(TaskCard)


def test_other_errors_of_ours_pass_unchanged() -> None:
    def refuse() -> None:
        raise CardError("as it was")

    with pytest.raises(CardError, match=r"^as it was$"):
        made("a:b", refuse, where="x")


def test_a_run_folder_that_no_file_system_can_hold_is_refused_first(tmp_path: Path) -> None:
    for out, said in ((tmp_path / ("x" * 300), "at most 255"), (tmp_path / "a\udcff", "not UTF-8"), ("a\0b", "null")):
        with pytest.raises(CardError, match=rf"--out .*{said}"):
            make_job("mice-mini", "oracle", None, Options(), out)
