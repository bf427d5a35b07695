"""The prompts of a judge: templates ``prompt_<name>.md.j2`` beside its card. What fills them is never trusted.

Instructions and object names come from data sets (and their language models). They are put in as data: one line
each, no tag, no straight double quote, so that a template which stands them between tags or quotes keeps its shape.
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from micebench.cards import JudgeCard
from micebench.errors import CardError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+|\s+")


def as_data(value: Any) -> Any:
    """Text made harmless: white space and control characters become one blank, ``<`` ``>`` ``"`` look-alikes."""
    if not isinstance(value, str):
        return value
    text = _CONTROL.sub(" ", value).strip()
    return text.replace("<", "‹").replace(">", "›").replace('"', "”")


class Prompts:
    """Renders the templates of one judge card."""

    def __init__(self, card: JudgeCard) -> None:
        self._where = f"judge {card.id!r}"
        self._folder = card.folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(card.folder or Path()),
            undefined=StrictUndefined,
            autoescape=False,  # plain text; `as_data` is what keeps values in their place
            finalize=as_data,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def has(self, name: str) -> bool:
        return self._folder is not None and (self._folder / f"prompt_{name}.md.j2").is_file()

    def render(self, name: str, /, **words: Any) -> str:
        """Raises CardError: no such prompt, or one that cannot be filled with these words."""
        file = f"prompt_{name}.md.j2"
        if self._folder is None:
            raise CardError(f"{self._where} was made without a folder; it needs one that holds {file}")
        try:
            return self._environment.get_template(file).render(words).strip()
        except TemplateNotFound as error:
            raise CardError(f"{self._where}: no prompt {error.name} in {self._folder}") from error
        except TemplateError as error:
            raise CardError(f"{self._where}: {self._folder / file}: {error}") from error
