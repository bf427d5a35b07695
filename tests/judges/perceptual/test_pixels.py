"""Own measures of pixels against an independent implementation."""

import math

import numpy as np
import pytest

from micebench.judges.perceptual.pixels import TooSmall, l1, l2, psnr, ssim
from micebench.judges.perceptual.scales import scored
from tests.judges.photographs import LADDERS, photographs


def pairs():
    for name, photograph in photographs(96).items():
        for kind in ("blur", "noise"):
            spoil, levels = LADDERS[kind]
            spoiled = spoil(photograph, levels[2])
            yield f"{name} {kind}", np.asarray(photograph) / 255.0, np.asarray(spoiled) / 255.0


def test_on_real_photographs():
    metrics = pytest.importorskip("skimage.metrics")
    for name, a, b in pairs():
        expected = metrics.structural_similarity(
            a, b, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim(a, b) == pytest.approx(expected, abs=1e-9), name
        assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b, data_range=1.0), abs=1e-9), name
        assert l2(a, b) == pytest.approx(metrics.mean_squared_error(a, b), abs=1e-12), name


def test_known_values():
    black, grey = np.zeros((16, 16, 3)), np.full((16, 16, 3), 0.1)
    assert l1(black, grey) == pytest.approx(0.1)
    assert l2(black, grey) == pytest.approx(0.01)
    assert psnr(black, grey) == pytest.approx(20.0)
    assert math.isinf(psnr(grey, grey))
    assert ssim(grey, grey) == 1.0
    with pytest.raises(TooSmall):
        ssim(black[:10], grey[:10])


def test_the_raw_number_is_recovered_from_the_value():
    assert 1 - scored("L1", 0.0312).value == pytest.approx(0.0312)
    assert 50 * scored("PSNR", 31.4).value == pytest.approx(31.4)
    assert 2 * scored("CLIP.direction", -0.25).value - 1 == pytest.approx(-0.25)
    assert scored("PSNR", math.inf).value == 1.0
    assert scored("PSNR", math.inf).reason == "PSNR inf dB"
    assert scored("CLIP", -0.1).value == 0.0
    assert "-0.1" in scored("CLIP", -0.1).reason
    assert scored("LPIPS", 1.2).value == 0.0
    with pytest.raises(ValueError, match="not a number"):
        scored("SSIM", math.nan)
