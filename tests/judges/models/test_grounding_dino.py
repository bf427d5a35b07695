"""What a detector makes of an image before it reads a name is computed once, and no detection shows it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from micebench.judges.models.base import Detect, Detection
from micebench.judges.models.grounding_dino import GroundingDino, GroundingDinoOptions
from micebench.judges.models.owlv2 import Owlv2, Owlv2Options
from tests.judges.models import tiny_models as tiny
from tests.judges.models.tiny_models import Photo, noise

Made = Callable[..., Any]


@pytest.fixture(scope="module", params=["grounding-dino", "owlv2"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Detectors of one kind and one set of weights."""
    folder = tmp_path_factory.mktemp("models") / request.param
    if request.param == "owlv2":
        weights = str(tiny.owlv2(folder))
        return lambda **options: Owlv2(Owlv2Options(repo=weights, device="cpu", **options))
    weights = str(tiny.grounding_dino(folder))
    small = {"repo": weights, "device": "cpu", "short_px": 128, "long_px": 256, "floor": 0.05}
    return lambda **options: GroundingDino(GroundingDinoOptions(**small, **options))


@contextmanager
def images_seen(detector: Any) -> Iterator[list[int]]:
    """Images per pass of the part that sees pixels: Swin, or OWLv2's vision tower."""
    owl = isinstance(detector, Owlv2)
    part = detector._model.owlv2.vision_model if owl else detector._backbone.encoder.model
    sizes: list[int] = []
    hook = part.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(len(args[0] if args else kwargs["pixel_values"])), with_kwargs=True
    )
    yield sizes
    hook.remove()


def same(one: Sequence[Detection], other: Sequence[Detection]) -> None:
    assert [found.name for found in one] == [found.name for found in other]
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert (a.box.left, a.box.top, a.box.right, a.box.bottom) == pytest.approx(
            (b.box.left, b.box.top, b.box.right, b.box.bottom), abs=1e-4
        )


SESSION = [
    Detect(Photo(noise(seed, size)), names)
    for seed, size in ((1, (64, 64)), (2, (64, 64)), (3, (96, 64)))
    for names in (("cat",), ("red chair", "hat"), ("cat", "dog", "umbrella"))
]


def test_every_caption_of_an_image_shares_one_look_at_it(make: Made) -> None:
    detector = make(batch=4)
    with images_seen(detector) as seen:
        together = detector.detect(SESSION)
        assert sum(seen) == 3
        again = [detector.detect([request])[0] for request in SESSION]
        assert sum(seen) == 3, "a later turn asks about an image that is known"
    assert any(together)
    forgetful = make(keep_mib=0)
    for request, batched, kept in zip(SESSION, together, again, strict=True):
        (alone,) = forgetful.detect([request])
        same(alone, batched)
        same(alone, kept)


def test_identical_images_have_identical_detections_batched_or_single(make: Made) -> None:
    """The same pixels four times in one batch, seen four times: nothing is kept, and their digests differ."""

    class Copy(Photo):
        number = 0

        @property
        def sha256(self) -> str:
            return f"{self.number} {super().sha256}"

    copies = []
    for number in range(4):
        copies.append(Copy(noise(7)))
        copies[-1].number = number
    detector = make(batch=4, keep_mib=0)
    with images_seen(detector) as seen:
        batched = detector.detect([Detect(copy, ("cat", "red chair")) for copy in copies])
    assert seen == [4]
    (single,) = detector.detect([Detect(copies[0], ("cat", "red chair"))])
    assert single
    for found in batched:
        same(single, found)


def test_what_is_kept_is_not_even_decoded_again(make: Made) -> None:
    class Fleeting(Photo):
        def load(self) -> Any:
            if self.loads:
                raise OSError("it is gone")
            return super().load()

    photo, detector = Fleeting(noise(4)), make()
    (first,) = detector.detect([Detect(photo, ("cat",))])
    (second,) = detector.detect([Detect(photo, ("cat",))])
    same(first, second)


def test_without_room_an_image_is_shared_within_a_batch_alone(make: Made) -> None:
    detector = make(batch=3, keep_mib=0)
    with images_seen(detector) as seen:
        detector.detect(SESSION[:3])
        detector.detect(SESSION[:3])
    assert seen == [1, 1]


def test_memory_that_runs_out_is_taken_from_what_was_kept(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    detector = make()
    (expected,) = detector.detect(SESSION[:1])
    held, whole, room = detector._kept, detector._found, []

    def tight(*batch: Any) -> Any:
        room.append(held.get(SESSION[0].image.sha256) is None)
        if not room[-1]:
            raise torch.OutOfMemoryError("tried to allocate much")
        return whole(*batch)

    monkeypatch.setattr(detector, "_found", tight)
    found, _ = detector.detect([SESSION[0], SESSION[3]])
    same(expected, found)
    assert room[:2] == [False, True]
