"""The working size of an image has its aspect ratio, up to rounding, whatever the policy."""

import random

import pytest

from micebench.editors.diffusers.options import Area, AtMost
from micebench.editors.diffusers.pipeline_specs import HABITS
from micebench.editors.diffusers.sizes import working_size

KONTEXT = HABITS["FluxKontextPipeline"].preferred
SIZES = [(random.Random(i).randint(200, 3000), random.Random(-i).randint(200, 3000)) for i in range(200)]


@pytest.mark.parametrize("resolution", ["native", Area(area=1024 * 1024), AtMost(at_most=512 * 512)])
def test_rounding_is_all_that_changes_it(resolution):
    for size in SIZES:
        width, height = working_size(size, resolution, 16)
        assert width % 16 == height % 16 == 0
        assert abs(width / height / (size[0] / size[1]) - 1) <= 8 / width + 8 / height + 1e-3


def test_each_policy_says_how_large():
    assert working_size((1004, 750), "native", 16) == (1008, 752)
    assert working_size((2000, 1000), Area(area=512 * 512), 8) == (728, 360)
    assert working_size((2000, 1000), AtMost(at_most=512 * 512), 8) == (728, 360)
    assert working_size((400, 200), AtMost(at_most=512 * 512), 8) == (400, 200)
    assert working_size((3, 3000), "native", 16) == (16, 3008)


def test_preferred_sizes_never_squash():
    assert working_size((1500, 1000), "preferred", 16, KONTEXT) == (1248, 832)
    assert working_size((500, 500), "preferred", 16, KONTEXT) == (1024, 1024)
    width, height = working_size((3000, 500), "preferred", 16, KONTEXT)  # wider than any of the list
    assert 5.8 < width / height < 6.2
    assert 0.9 < width * height / 1024**2 < 1.1
    for size in SIZES:
        width, height = working_size(size, "preferred", 16, KONTEXT)
        assert 1 / 1.11 < width / height / (size[0] / size[1]) < 1.11


def test_kontext_sizes_are_those_of_diffusers():
    pytest.importorskip("torch")
    kontext = pytest.importorskip("diffusers.pipelines.flux.pipeline_flux_kontext")
    assert sorted(KONTEXT) == sorted(kontext.PREFERRED_KONTEXT_RESOLUTIONS)


def test_a_megapixel_is_what_qwen_makes_of_it():
    pytest.importorskip("torch")
    qwen = pytest.importorskip("diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_inpaint")
    multiple = HABITS["QwenImageEditPlusPipeline"].multiple
    assert multiple is not None
    for size in SIZES:
        theirs = qwen.calculate_dimensions(1024 * 1024, size[0] / size[1])[:2]
        assert working_size(size, Area(area=1024 * 1024), multiple) == theirs
