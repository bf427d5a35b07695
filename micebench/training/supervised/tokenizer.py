"""The tokenizer of the embedded world: every word of its language is one token."""

import re
from functools import cache
from typing import TYPE_CHECKING

from micebench.mini.wordings import BESIDE, HINGE, NUMBERS, PRONOUNS, RULES, WORDINGS
from micebench.mini.world import BACKGROUNDS, COLORS, LETTERS, MATERIALS, SHAPES, plural

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<pad>", "</s>", "<unk>"
PAD_ID, EOS_ID = 0, 1
"""Fixed, because `CLIPTextModel` pools at the token its config calls eos_token_id."""


def vocabulary() -> list[str]:
    """Every word and punctuation mark that can be said, sorted; words that open a sentence in both cases."""
    sentences = [wording for _, _, wordings in WORDINGS for wording in wordings]
    sentences += [wording for wordings in RULES.values() for wording in wordings]
    sentences += [HINGE, "remain , unchanged .", "a an"]
    words = {word for sentence in sentences for word in split(re.sub(r"\{\w+\}", " ", sentence))}
    words |= {first.lower() for first in words if not first.isupper()}
    words |= {word for phrases in BESIDE.values() for phrase in phrases for word in split(phrase)}
    words |= {word for forms in PRONOUNS.values() for word in forms.values()}
    words |= {*SHAPES, *map(plural, SHAPES), *COLORS, *MATERIALS, *BACKGROUNDS, *LETTERS, *NUMBERS, *"0123456789"}
    return sorted(words)


def split(text: str) -> list[str]:
    """Words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


@cache
def build_tokenizer(max_length: int) -> "PreTrainedTokenizerFast":
    """Word-level tokenizer; ``</s>`` closes every prompt, and one that is too long loses its start: the past."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {token: number for number, token in enumerate([PAD, EOS, UNKNOWN, *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, EOS_ID)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=max_length,
        truncation_side="left",
        clean_up_tokenization_spaces=False,
    )
