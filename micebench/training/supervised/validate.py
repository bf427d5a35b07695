"""Single edits from reference states, judged by the exact judge: is the editor learning?"""
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# (diffusers exports its classes lazily and annotates them too narrowly)

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from diffusers import FluxKontextPipeline
from PIL import Image

from micebench.cards import JudgeCard, load_card
from micebench.editors.diffusers.finite import NOT_FINITE, call_pipeline
from micebench.execution.images import StoredImage
from micebench.errors import RunError
from micebench.utils.quiet_logging import hush
from micebench.instructions import EDIT_TYPES
from micebench.judges.exact.judge import ExactJudge
from micebench.mini.generate import Plan, plans
from micebench.mini.render import render
from micebench.mini.world import IMAGE_PX
from micebench.utils.png import encode_png
from micebench.sessions import TRACKS, Track
from micebench.store.keys import sha256
from micebench.tasks.mini import to_session
from micebench.training.supervised.recipe import Recipe
from micebench.training.supervised.dataset import Context, prompt_of
from micebench.verdicts import Question

_METRICS = ("IF", "CC.object", "CC.background", "GA")
_TRACKS: dict[Context, tuple[Track, ...]] = {"last": ("plain",), "history": TRACKS}


class Trial(NamedTuple):
    """One edit to be tried: the session it belongs to and its turn."""

    plan: Plan
    turn: int


def validate(pipeline: FluxKontextPipeline, recipe: Recipe) -> dict[str, float]:
    """Mean IF (over all and per edit type), CC and GA over validation sessions, every turn from its reference.

    An editor without history is shown plain sessions only.
    """
    tracks = _TRACKS[recipe.context]
    each = recipe.validation.sessions // len(tracks)
    drawn = [plan for track in tracks for plan in islice(plans("validation", track, 3, recipe.seed), each)]
    trials = [Trial(plan, turn) for plan in drawn for turn in range(1, len(plan.steps) + 1)]
    with hush():  # prompts longer than a text encoder reads are cut, as planned
        outputs = sample(pipeline, recipe, trials)
    questions = [question for trial, output in zip(trials, outputs, strict=True) for question in _ask(trial, output)]
    verdicts = ExactJudge(load_card(JudgeCard, "exact")).judge(questions)
    scores: dict[str, list[float]] = {}
    for question, verdict in zip(questions, verdicts, strict=True):
        if verdict.value is None:
            continue
        scores.setdefault(question.metric, []).append(verdict.value)
        if question.metric == "IF":
            scores.setdefault(f"IF/{question.current.edit_type}", []).append(verdict.value)
    order = [*_METRICS, *(f"IF/{kind}" for kind in EDIT_TYPES)]
    return {f"validation/{name}": float(np.mean(scores[name])) for name in order if name in scores}


@torch.no_grad()
def sample(
    pipeline: FluxKontextPipeline, recipe: Recipe, trials: Sequence[Trial], batch: int = 64
) -> list[Image.Image]:
    """The pipeline's edit of each trial's reference input; one seeded generator each.

    Raises:
        RunError: an edit has NaN or infinite values.
    """
    outputs: list[Image.Image] = []
    for start in range(0, len(trials), batch):
        part = trials[start : start + batch]
        images, _ = call_pipeline(
            pipeline,
            image=[Image.fromarray(_reference(trial, trial.turn - 1)) for trial in part],
            prompt=[prompt_of(trial.plan, trial.turn, recipe.context) for trial in part],
            height=IMAGE_PX,
            width=IMAGE_PX,
            max_area=IMAGE_PX**2,
            _auto_resize=False,
            max_sequence_length=recipe.text.tokens,
            num_inference_steps=recipe.validation.inference_steps,
            generator=[torch.Generator("cpu").manual_seed(start + i) for i in range(len(part))],
        )
        outputs += [image for image in images if image is not None]
        if len(outputs) < start + len(part):
            raise RunError(f"validation: {NOT_FINITE}; the training has diverged: start again with a lower flow.lr")
    return outputs


def _reference(trial: Trial, turn: int) -> np.ndarray:
    return render(trial.plan.source if turn == 0 else trial.plan.steps[turn - 1].scene)


def _ask(trial: Trial, output: Image.Image) -> list[Question]:
    session = to_session(trial.plan, task="validation", session_id="s")
    pictures = [Image.fromarray(_reference(trial, turn)) for turn in range(trial.turn)] + [output]
    images = [StoredImage(sha256(png), png) for png in map(encode_png, pictures)]
    return [Question(metric, session, trial.turn, images) for metric in _METRICS]
