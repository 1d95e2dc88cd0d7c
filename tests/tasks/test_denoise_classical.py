"""Classical denoisers: they take noise away, in color and in gray."""

import numpy as np
import pytest
from skimage import data

from photonet.engine.metrics import psnr
from photonet.tasks.denoise.classical import classical_denoisers, noise_rms


def test_value_noise_rms():
    clean = np.zeros((2, 2, 1), np.float32)
    noisy = np.float32([[[0.1], [-0.1]], [[0.3], [0.1]]])
    assert noise_rms(noisy, clean) == pytest.approx(np.sqrt((0.01 + 0.01 + 0.09 + 0.01) / 4))
    assert noise_rms(clean, clean) == 0


@pytest.mark.parametrize("method", ["bilateral", "non-local means", "wavelet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_less_noise(method, channels):
    clean = (data.astronaut()[20:84, 180:260, :channels] / 255).astype(np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
    before = noisy.copy()
    result = classical_denoisers()[method](noisy, clean)
    assert result.shape == clean.shape
    assert result.dtype == np.float32
    assert psnr(result, clean) > psnr(noisy, clean) + 2
    np.testing.assert_array_equal(noisy, before)


def test_no_noise_is_nearly_no_change():
    clean = (data.astronaut()[20:52, 180:220] / 255).astype(np.float32)
    for name, method in classical_denoisers().items():
        assert psnr(method(clean, clean), clean) > 40, name
