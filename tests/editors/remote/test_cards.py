"""Every card of a remote or replayed model, shipped or shown in the docs, builds its editor."""

import re
from pathlib import Path

import pytest
import yaml

from micebench.cards import EditorCard, check_fields, find_cards, load_card, resolve_kind
from micebench.editors.remote.endpoint_editor import each
from micebench.editors.remote.gemini import GeminiEditor
from micebench.editors.remote.openai_images import OpenAIImagesEditor
from micebench.errors import CardError

ROOT = Path(__file__).parents[3]
KINDS = ("editor: openai-images", "editor: gemini", "editor: replay")
SHIPPED = [name for name, path in find_cards(EditorCard).items() if any(kind in path.read_text() for kind in KINDS)]
PAGE = (ROOT / "docs/editors-remote.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "MY_KEY"):
        monkeypatch.setenv(name, "not a key")
    for name in ("OPENAI_BASE_URL", "MICEBENCH_EDITOR_URL", "MY_URL"):
        monkeypatch.delenv(name, raising=False)


def test_there_are_some() -> None:
    assert {"gpt-image-1", "gpt-image-2", "gemini-2.5-flash-image", "replay-edival"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards(name: str, tmp_path: Path) -> None:
    card = load_card(EditorCard, name)
    assert card.domain == "photo"
    if "replay" in name:
        with pytest.raises(CardError, match="say which, as in --model replay:FOLDER"):
            resolve_kind("editor", card.editor, where="test")(card)
        card = card.model_copy(update={"weights": str(tmp_path)})
    editor = resolve_kind("editor", card.editor, where="test")(card)
    if isinstance(editor, OpenAIImagesEditor | GeminiEditor):
        assert editor.endpoint.base_url.startswith(("https://", "http://localhost"))
        assert "key" not in str(card.options).lower().replace("key_env", "").replace("_api_key", "")


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL), ids=["server", "replay"])
def test_cards_of_the_docs(text: str, tmp_path: Path) -> None:
    card = check_fields(yaml.safe_load(text), EditorCard, where="docs").model_copy(update={"weights": str(tmp_path)})
    assert hasattr(resolve_kind("editor", card.editor, where="docs")(card), "edit")


def test_the_python_of_the_docs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs", "exec"), {"image": object()})


def test_an_interrupt_ends_the_batch_and_begins_nothing_more() -> None:
    begun: list[int] = []

    def call(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise KeyboardInterrupt
        return number

    with pytest.raises(KeyboardInterrupt):
        each(call, range(5), 1)
    assert begun == [0, 1]
    assert each(call, [5, 6, 7], 8) == [5, 6, 7]
