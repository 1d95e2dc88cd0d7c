"""The level of white noise, by a denoiser whose every number is known."""

import pytest
import torch
from torch import Generator, Tensor

from photonet.camera.noise import correlated
from photonet.tasks.denoise.white_noise import GRID, MOST_CHANGE, PIECE, refined, spread_windows, whiteness

DETAIL, LEVEL = 0.05, 0.1  # standard deviations of the picture around gray, and of its noise


def best_denoiser(noisy: Tensor, level: float) -> Tensor:
    """The best there is for values around gray that are normally distributed: Wiener's."""
    return 0.5 + (noisy - 0.5) * (DETAIL**2 / (DETAIL**2 + level**2))


def picture() -> Tensor:
    generator = Generator().manual_seed(1)
    clean = 0.5 + DETAIL * torch.randn(2, 3, 96, 96, generator=generator)
    return clean + LEVEL * torch.randn(clean.shape, generator=generator)


@pytest.mark.parametrize("first", [0.07, 0.1, 0.13])
def test_a_wrong_level_is_mended(first: float):
    assert refined(first, picture(), best_denoiser) == pytest.approx(LEVEL, rel=0.03)


def test_grain_is_left_to_the_estimate(generator: Generator):
    grain = correlated((2, 3, 96, 96), torch.tensor([1.0, 1.0]), generator)
    noisy = 0.5 + LEVEL * grain
    assert whiteness(noisy - 0.5) == 0
    assert refined(0.07, noisy, best_denoiser) == 0.07


def test_whiteness(generator: Generator):
    assert whiteness(torch.randn(1, 3, 200, 200, generator=generator)) > 0.8
    assert whiteness(torch.zeros(1, 3, 8, 8)) == 0


def test_limits():
    noisy = picture()
    assert refined(0.02, noisy, lambda pieces, level: torch.full_like(pieces, 0.5)) == 0.02 * MOST_CHANGE
    assert refined(0.1, noisy, lambda pieces, level: pieces) == 0.1  # nothing is left to measure


@pytest.mark.parametrize(("height", "width", "count"), [(63, 500, 0), (64, 64, 1), (321, 481, 1), (700, 400, 2)])
def test_windows(height: int, width: int, count: int):
    """Inside of the picture."""
    windows = spread_windows(height, width)
    assert len(windows) == count
    for window in windows:
        assert window.top % GRID == window.left % GRID == window.height % GRID == window.width % GRID == 0
        assert 0 <= window.top <= window.top + window.height <= height
        assert 0 <= window.left <= window.left + window.width <= width
        assert max(window.height, window.width) <= PIECE
