"""The level of white noise, from what a denoiser makes of the picture: exact where an estimate is only near."""

from collections.abc import Callable

import torch
from torch import Tensor

from photonet.camera.noise import white
from photonet.engine.task import Runner, Window

WHITE_CORRELATION = 0.05  # of neighboring residuals: from there on the noise is not white at all
PROBE = 0.3  # strength of the probing noise, of the level
ROUNDS = 2
SETTLED = 0.02  # a change of the level that is not worth another round
MOST_CHANGE = 2.0  # factor, in all
LEAST_FREEDOM = 0.2
PIECE, LEAST_PIECE = 320, 64  # sides of the pieces of a picture that its noise is measured in
GRID = 16  # pieces begin at multiples of it, as strides want

Denoise = Callable[[Tensor, float], Tensor]


def denoiser(runner: Runner) -> Denoise:
    """The network of a job, told one level everywhere."""

    def denoise(noisy: Tensor, level: float) -> Tensor:
        return runner.output(runner.network, noisy, torch.full_like(noisy[:, :1], level))

    return denoise


def spread_windows(height: int, width: int) -> list[Window]:
    """Equal pieces of a picture, evenly spread: one of a small picture, four of others; none of a tiny one."""
    sides = [min(size // GRID * GRID, PIECE) for size in (height, width)]
    if min(sides) < LEAST_PIECE:
        return []
    middles = [(size / 2,) if size < 2 * PIECE else (size / 4, 3 * size / 4) for size in (height, width)]
    tops, lefts = (
        [int(middle - side / 2) // GRID * GRID for middle in line] for line, side in zip(middles, sides, strict=True)
    )
    return [Window(top, left, *sides) for top in tops for left in lefts]


def refined(level: float, noisy: Tensor, denoise: Denoise) -> float:
    """A noise level made exact where the noise is white, and as it was where it is not.

    A good denoiser leaves r² = s² − mse of noise of level s, and by Stein's unbiased estimate mse = 2 s² d − s² + r²,
    with d the mean derivative of a result's pixel by the noisy one. So s² = r² / (1 − d): the squared residual over its
    degrees of freedom. d is measured with a second, slightly noisier picture.

    Args:
        level: first estimate of the standard deviation.
        noisy: B C H W, pieces of the picture, with noise of their own in each channel.
        denoise: pieces and level → denoised pieces.

    Source: Stein, "Estimation of the Mean of a Multivariate Normal Distribution", Annals of Statistics 1981; the
    derivative as in Ramani et al., "Monte-Carlo SURE", IEEE TIP 2008.
    """
    first = level
    for _ in range(ROUNDS):
        clean = denoise(noisy, level)
        residual = noisy - clean
        share = whiteness(residual)
        if share == 0:
            break
        probe = white(noisy.shape, torch.Generator().manual_seed(0))  # always the same
        strength = PROBE * level
        derivative = ((denoise(noisy + strength * probe, level) - clean) * probe).mean().item() / strength
        exact = residual.square().mean().sqrt().item() / max(1 - derivative, LEAST_FREEDOM) ** 0.5
        before, level = level, level * (exact / level) ** share if exact > 0 else level
        if abs(level / before - 1) < SETTLED:
            break
    return min(max(level, first / MOST_CHANGE), first * MOST_CHANGE)


def whiteness(residual: Tensor) -> float:
    """1 for noise whose neighboring values are not positively correlated, 0 for grain and compressed noise.

    Args:
        residual: B C H W.
    """
    plane = residual.mean(1)
    power = plane.square().mean()
    if power == 0:
        return 0.0
    neighbors = ((plane[:, 1:] * plane[:, :-1]).mean(), (plane[:, :, 1:] * plane[:, :, :-1]).mean())
    correlation = (sum(neighbors) / (2 * power)).item()
    return min(max(1 - correlation / WHITE_CORRELATION, 0.0), 1.0)
