"""A prompt that is cut off is worth a line, not one for every edit."""

import logging

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.editors.conftest import request

LONG = "Add a dog on the left of the cup, and let it look at the cup as if there were food in it"


def test_cut_prompts_are_warned_of_once_and_not_quoted(tiny_editor) -> None:
    editor = tiny_editor("FluxKontextPipeline")
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear, libraries = Ear(), [logging.getLogger(name) for name in ("diffusers", "transformers")]
    for library in libraries:
        library.addHandler(ear)
    try:
        for number in range(3):
            editor.edit([request(LONG, number=number)])
    finally:
        for library in libraries:
            library.removeHandler(ear)
    assert len(heard) == len(set(heard)) == 2  # one for each text encoder
    assert all("truncated" in line and "dog" not in line for line in heard)
    assert all(line.endswith("32 tokens (said once)") for line in heard)
