"""NFT learns from an edit at several noise levels: other levels and other noise for each draw, whoever draws them."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.errors import RunError  # noqa: E402
from micebench.training.rl.minibatches import Batch  # noqa: E402
from micebench.training.rl.methods.nft import _noised  # noqa: E402
from micebench.training.rl.recipe import NftRecipe  # noqa: E402

SIGMAS = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0])


def noised(draws, seeds, within=(0.0, 1.0)):
    trace = SimpleNamespace(sigmas=SIGMAS, clean=torch.zeros(6, 3))
    return _noised(Batch([trace] * len(draws), torch.ones(len(draws)), draws, seeds), within)


def test_the_draws_of_an_edit_have_levels_and_noise_of_their_own():
    for seed in range(5):
        levels, noise = noised([0, 1, 2], [seed] * 3)
        between = sorted(SIGMAS[1:-1].tolist())
        assert sorted(levels.tolist()) == between, "each level once: never noise alone, never the clean image"
        assert len({tuple(one.flatten().tolist()) for one in noise}) == 3


def test_edits_differ():
    levels, noise = noised([0] * 20, list(range(20)))
    assert len(set(levels.tolist())) == 3
    assert len({tuple(one.flatten().tolist()) for one in noise}) == 20


def test_a_draw_does_not_depend_on_its_batch():
    levels, noise = noised([0, 1, 2], [7, 7, 8])
    alone = noised([1], [7])
    assert levels[1] == alone[0][0]
    assert torch.equal(noise[1], alone[1][0])


def test_a_range_of_levels_is_kept_to():
    levels, _ = noised([0, 1] * 10, list(range(20)), within=(0.5, 1.0))
    assert sorted(set(levels.tolist())) == sorted(SIGMAS[1:3].tolist()), "low belongs to it, high does not"


def test_a_range_without_a_level_names_those_there_are():
    with pytest.raises(RunError, match=r"sigma_range \[0.3, 0.4\) holds none of .* 1, 0.8, 0.5, 0.2$"):
        noised([0], [1], within=(0.3, 0.4))


@pytest.mark.parametrize("wrong", [(0.5, 0.5), (0.9, 0.1), (-0.1, 1.0), (0.0, 1.5)])
def test_a_range_has_to_be_one(wrong):
    with pytest.raises(ValueError, match="give 0 <= low < high <= 1"):
        NftRecipe(sigma_range=wrong)
