"""A vision-language model in this process, by transformers: no server, one question at a time."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from micebench.errors import CardError
from micebench.judges.models.base import Ask, Failure, Reply
from micebench.judges.models.loading import Weights, device_of, import_transformers, load_pretrained
from micebench.judges.vlm.choice_logprobs import choice_logprobs
from micebench.judges.vlm.reasoning import left_open, with_think_tags
from micebench.judges.vlm.vlm_sampling import Sampling
from micebench.verdicts import Status

_REPORTED = 20  # most probable first tokens looked at for choices, as endpoints report them


class TransformersOptions(Weights, Sampling):
    """A card's ``options.vlm`` of kind `transformers`."""

    kind: Literal["transformers"] = "transformers"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_tokens: int = Field(default=1024, ge=1, description="of a written reply, reasoning included")
    thinking: bool | None = Field(default=None, description="switches a hybrid model's reasoning; None: its default")


class TransformersVlm:
    """Any model of ``AutoModelForImageTextToText`` with a processor that has a chat template.

    Votes are drawn together from one seed, on the model's device; the process's random state is left as it was.
    """

    concurrency = 1

    def __init__(self, options: TransformersOptions, *, where: str) -> None:
        """Raises CardError: weights that are not there or not pinned, or without a chat template."""
        self.options = options
        transformers = import_transformers()
        self._processor = load_pretrained(transformers.AutoProcessor, options)
        if not getattr(self._processor, "chat_template", None):
            raise CardError(f"{where}: {options.repo} has no chat template; take a model tuned for instructions")
        model = load_pretrained(
            transformers.AutoModelForImageTextToText, options, dtype=options.dtype, use_safetensors=True
        )
        self._model = model.eval().requires_grad_(False).to(device_of(options))
        self._lock = threading.Lock()
        prompt = with_think_tags(self._prompt("?"), options.reasoning_tags)
        self._opening = "<think>" if left_open(prompt) else ""

    def ask(self, request: Ask) -> Reply | Failure:
        import torch

        start = time.monotonic()
        with self._lock, torch.inference_mode():
            inputs = self._inputs(request)
            told = int(inputs["input_ids"].shape[1])
            room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
            needed = told + (1 if request.choices else self.options.max_tokens)
            if room is not None and needed > room:
                return Failure(Status.ERROR, f"{needed} tokens, reply included, but the model takes {room}")
            if request.choices and self._opening:
                return Failure(Status.UNPARSED, "the model reasons before its first token; set vlm.thinking: false")
            if request.choices:
                return self._choose(request, inputs, told, start)
            texts, lengths, cut_off = self._write(request, inputs, told)
        if cut_off:
            return Failure(Status.UNPARSED, "a reply was cut off at max_tokens", raw=texts)
        if not all(text.strip() for text in texts):
            return Failure(Status.UNPARSED, "an empty reply", raw=texts)
        answers = tuple(with_think_tags(self._opening + text, self.options.reasoning_tags) for text in texts)
        return Reply(texts, None, _usage(told, lengths), round(time.monotonic() - start, 3), answers)

    def _inputs(self, request: Ask) -> Any:
        images = [image.load() for image in request.images]
        inputs = self._prompt(request.prompt, images, tokenize=True, return_dict=True, return_tensors="pt")
        return inputs.to(self._model.device, dtype=self._model.dtype)

    def _prompt(self, text: str, images: Sequence[Any] = (), *, tokenize: bool = False, **how: Any) -> Any:
        """The chat template, filled with one message: as text, or as tokens."""
        content: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
        content.append({"type": "text", "text": text})
        if self.options.thinking is not None:
            how["enable_thinking"] = self.options.thinking
        messages = [{"role": "user", "content": content}]
        return self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=tokenize, **how)

    def _choose(self, request: Ask, inputs: Any, told: int, start: float) -> Reply:
        """Log-probabilities of the first token, at temperature 1 as endpoints give them."""
        logits = self._model(**inputs).logits[0, -1].float()
        top = logits.log_softmax(-1).topk(min(_REPORTED, logits.numel()))
        spelt = [self._processor.tokenizer.decode([token]) for token in top.indices.tolist()]
        logprobs = choice_logprobs(zip(spelt, top.values.tolist(), strict=True), request.choices)
        return Reply((spelt[0],), logprobs, _usage(told, [1]), round(time.monotonic() - start, 3))

    def _write(self, request: Ask, inputs: Any, told: int) -> tuple[tuple[str, ...], list[int], bool]:
        """(texts, tokens of each, whether one of them was cut off)."""
        import torch

        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if (temperature := self.options.temperature_of(request.attempt)) > 0:
            how = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
        torch_random: Any = torch.random
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch_random.fork_rng(devices=devices):
            torch_random.manual_seed(request.seed)
            tokens = self._model.generate(
                **inputs, **how, max_new_tokens=self.options.max_tokens, num_return_sequences=request.votes
            )[:, told:]
        ends = _as_set(self._model.generation_config.eos_token_id)
        rows: list[list[int]] = tokens.tolist()
        lengths = [next((at for at, token in enumerate(row) if token in ends), None) for row in rows]
        said = [row[:length] for row, length in zip(rows, lengths, strict=True)]
        return tuple(map(self._decoded, said)), [len(row) for row in said], None in lengths

    def _decoded(self, row: list[int]) -> str:
        """Special tokens stay in the text: for some models they are what tells reasoning from the answer."""
        tokenizer = self._processor.tokenizer
        framing = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        return str(tokenizer.decode([token for token in row if token not in framing], skip_special_tokens=False))


def _usage(prompt: int, completions: list[int]) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": sum(completions)}


def _as_set(token: int | list[int] | None) -> set[int]:
    return set(token) if isinstance(token, list) else {token} - {None}  # type: ignore[arg-type]
