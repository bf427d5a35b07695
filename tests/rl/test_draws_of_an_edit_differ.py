"""NFT learns from an edit at several noise levels: other levels and other noise for each draw, whoever draws them."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from micebench.rl.lessons import Batch  # noqa: E402
from micebench.rl.nft import _noised  # noqa: E402

SIGMAS = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0])


def noised(draws, seeds):
    trace = SimpleNamespace(sigmas=SIGMAS, clean=torch.zeros(6, 3))
    return _noised(Batch([trace] * len(draws), torch.ones(len(draws)), draws, seeds))


def test_the_draws_of_an_edit_have_levels_and_noise_of_their_own():
    for seed in range(5):
        levels, noise = noised([0, 1, 2, 3], [seed] * 4)
        assert sorted(levels.tolist()) == sorted(SIGMAS[:-1].tolist()), "each level once, and never the clean image"
        assert len({tuple(one.flatten().tolist()) for one in noise}) == 4


def test_edits_differ():
    levels, noise = noised([0] * 20, list(range(20)))
    assert len(set(levels.tolist())) == 4
    assert len({tuple(one.flatten().tolist()) for one in noise}) == 20


def test_a_draw_does_not_depend_on_its_batch():
    levels, noise = noised([0, 1, 2], [7, 7, 8])
    alone = noised([1], [7])
    assert levels[1] == alone[0][0]
    assert torch.equal(noise[1], alone[1][0])
