"""The network that finds blur kernels, with maps that are easy to follow."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from photonet.nets.motion import LAGS, BlurKernels


def build(rounds: int = 2) -> BlurKernels:
    torch.manual_seed(0)
    return BlurKernels(
        even=lambda picture: picture.mean(1, keepdim=True),
        correlations=lambda even, lags: even[..., :lags, :lags],
        quotients=lambda even, kernels, lags: even[..., :lags, :lags] * kernels.amax((1, 2)).view(-1, 1, 1, 1),
        maps=2,
        widths=(8, 8),
        blocks=(1, 1),
        window=96,
        kernel=9,
        rounds=rounds,
    )


def picture(seed: int, side: int = 96) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_shape():
    """Kernels of sum 1, none negative, one for each window."""
    net = build()
    assert net.scale == Fraction(9, 96)
    kernels = net(torch.cat([picture(0), picture(1)], 3))
    assert kernels.shape == (1, 1, 9, 18)
    assert kernels.min() >= 0
    torch.testing.assert_close(kernels.unflatten(3, (2, 9)).sum((2, 4)), torch.ones(1, 1, 2))


def test_windows_are_apart():
    """Each window's kernel is what it would be alone."""
    net, parts = build().eval(), [picture(seed) for seed in range(4)]
    whole = torch.cat([torch.cat(parts[:2], 3), torch.cat(parts[2:], 3)], 2)
    together = net(whole)
    for number, part in enumerate(parts):
        row, column = divmod(number, 2)
        torch.testing.assert_close(together[..., 9 * row : 9 * row + 9, 9 * column : 9 * column + 9], net(part))


def test_a_smaller_window():
    assert build()(picture(0, LAGS)).shape == (1, 1, 9, 9)


@pytest.mark.parametrize(("height", "width"), [(LAGS - 1, LAGS - 1), (96, 100), (200, 96)])
def test_error_of_sizes(height: int, width: int):
    with pytest.raises(ValueError, match=f"{width}×{height} is not made of windows of 96 pixels, or of {LAGS}"):
        build()(torch.rand(1, 3, height, width))


def test_rounds():
    """Logarithms of each round; the result is the last; a round sees the one before."""
    net = build(rounds=3).eval()
    rounds = net(picture(0), all_rounds=True)
    assert len(rounds) == 3
    torch.testing.assert_close(rounds[-1].exp(), net(picture(0)))
    assert not torch.equal(rounds[0], rounds[1])


def test_each_round_learns_for_itself():
    """In training nothing flows back through the guess."""
    net, guesses = build(), []
    explain = net.quotients
    net.quotients = lambda even, kernels, lags: guesses.append(kernels) or explain(even, kernels, lags)
    assert net(picture(0), all_rounds=True)[1].requires_grad
    assert [guess.requires_grad for guess in guesses] == [False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision(dtype: torch.dtype):
    """The picture stays as fine as it is; the kernels are float32."""
    assert build().to(dtype)(picture(0)).dtype == torch.float32
