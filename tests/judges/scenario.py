"""Hand-made sessions, images and questions for the exact judge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from micebench.cards import JudgeCard, load_card
from micebench.instructions import ParsedEdit
from micebench.judges.exact.judge import ExactJudge
from micebench.mini.edits import apply_edit
from micebench.mini.generate import format_edit
from micebench.mini.language import name_after
from micebench.mini.render import render
from micebench.mini.world import Scene, parse_name
from micebench.sessions import ImageFile, Rule, Session, Turn
from micebench.verdicts import METRICS, Question, Verdict


@dataclass
class Pixels:
    """A LazyImage over an array."""

    array: np.ndarray

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def load(self) -> Image.Image:
        return Image.fromarray(self.array)


def session_of(source: Scene, edits: Sequence[ParsedEdit], track: str = "plain", rule: Rule | None = None) -> Session:
    """A session with the pools MICE-Bench would annotate."""
    touched: set[str] = set()
    every = [thing.kind.name for thing in source.things]
    turns = []
    scene, places, background = source, {}, True
    for number, edit in enumerate(edits, start=1):
        if edit.edit_type == "subject_remove":
            places[edit.target] = scene.find(parse_name(edit.target))[0].slots[0]
        scene = apply_edit(scene, edit, rule, places)
        touched.add(edit.target)
        background &= edit.edit_type != "background_change"
        after = name_after(edit)
        if after is not None and after not in every:
            every.append(after)
        turns.append(
            Turn(
                number=number,
                instruction="as bracketed",
                edit_type=edit.edit_type,
                formatted=format_edit(edit),
                unchanged_objects=tuple(t.kind.name for t in source.things if t.kind.name not in touched),
                available_objects=tuple(thing.kind.name for thing in scene.things),
                all_objects=tuple(every),
                bg_consistency=background,
            )
        )
    return Session("s", "test", track, ImageFile("s.png"), tuple(turns), rule=rule)  # type: ignore[arg-type]


def references(source: Scene, edits: Sequence[ParsedEdit], rule: Rule | None = None) -> list[np.ndarray]:
    """Source and reference image after each edit."""
    images, scene, places = [render(source)], source, {}
    for edit in edits:
        if edit.edit_type == "subject_remove":
            places[edit.target] = scene.find(parse_name(edit.target))[0].slots[0]
        scene = apply_edit(scene, edit, rule, places)
        images.append(render(scene))
    return images


def ask(session: Session, images: Sequence[np.ndarray]) -> dict[str, Verdict]:
    """All metrics of the last image."""
    lazy = [Pixels(image) for image in images]
    questions = [Question(metric, session, len(images) - 1, lazy) for metric in METRICS]
    judge = ExactJudge(load_card(JudgeCard, "exact"))
    return dict(zip(METRICS, judge.judge(questions), strict=True))
