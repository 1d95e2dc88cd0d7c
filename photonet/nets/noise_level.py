"""A small network that says how noisy a picture is and where, and how sure it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, ResidualBlock

CELL = 16  # pixels per side of one estimate
FLOOR = 0.5 / 255  # noise that nobody sees: keeps logarithms finite and small levels from dominating
TYPICAL_LOG_LEVEL = -3.0  # where training begins: 12 of 255
LEAST_SPREAD = 1e-9  # of log levels: none
POOLING_STEPS = 10  # Newton's: enough but where levels differ far more than the network is unsure of each
_LOG_SCALE = (-4.0, 2.0)  # bounds: a network that is surer than that has only learned its examples


class NoiseLevel(nn.Module):
    """Regresses the local noise level: the RMS of noisy minus clean around each cell of 16×16 pixels.

    Residual blocks at a quarter, an eighth and a sixteenth of the resolution cost a twentieth of the denoiser.

    Args:
        statistics: picture → further features of each cell, B F H/16 W/16, that convolutions do not find.
        count: of those features, F.
        widths: features at a quarter, an eighth and a sixteenth of the resolution.
    """

    def __init__(
        self, statistics: Callable[[Tensor], Tensor], count: int, widths: tuple[int, int, int] = (48, 64, 64)
    ) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            InputConv(48, quarter),
            nn.ReLU(inplace=True),
            ResidualBlock(quarter),
            nn.Conv2d(quarter, eighth, 2, stride=2),
            nn.ReLU(inplace=True),
            ResidualBlock(eighth),
            nn.Conv2d(eighth, sixteenth, 2, stride=2),
            nn.ReLU(inplace=True),
        )
        self.statistics = statistics
        self.head = nn.Sequential(
            nn.Conv2d(sixteenth + count, sixteenth, 1),
            nn.ReLU(inplace=True),
            ResidualBlock(sixteenth),
            ResidualBlock(sixteenth),
            nn.Conv2d(sixteenth, 2, 1),
        )

    @property
    def radius(self) -> int:
        """How many pixels away from a cell an input pixel can change its estimate."""
        return 3 * 4 + 2 * 8 + 4 * 16

    def forward(self, noisy: Tensor) -> Tensor:
        """Noise level of each cell, as a Laplace distribution of its logarithm.

        Args:
            noisy: B 3 H W, 1.0 = white, H and W multiples of 16.

        Returns:
            B 2 H/16 W/16: log(level + FLOOR), with the level a standard deviation on the same scale; and the logarithm
            of the distribution's scale, small where the network is sure.
        """
        features = self.body(noisy)
        statistics = self.statistics(noisy).to(features.dtype)
        location, log_scale = self.head(torch.cat([features, statistics], 1)).float().chunk(2, 1)
        return torch.cat([location + TYPICAL_LOG_LEVEL, log_scale.clamp(*_LOG_SCALE)], 1)


def local_noise_level(noise: Tensor) -> Tensor:
    """The truth that `NoiseLevel` regresses: RMS over 48×48 pixels and all channels around each cell.

    Args:
        noise: B C H W, noisy minus clean.

    Returns:
        B 1 H/16 W/16.
    """
    energy = F.avg_pool2d(noise.square().mean(1, keepdim=True), CELL)
    return F.avg_pool2d(F.pad(energy, (1, 1, 1, 1), mode="replicate"), 3, stride=1).sqrt()


def negative_log_likelihood(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean over cells of −log p(truth), less a constant, times the scale that is held fixed.

    Without that factor hard cells, whose scale is large, teach the location little, and it stays wrong there.

    Args:
        estimate: B 2 h w, of `NoiseLevel`.
        truth: B 1 h w, of `local_noise_level`.

    Source: Seitzer et al., "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural
    Networks", ICLR 2022, equation 5 with beta = 1.
    """
    location, log_scale = estimate.chunk(2, 1)
    error = ((truth + FLOOR).log() - location).abs()
    return ((error * (-log_scale).exp() + log_scale) * log_scale.detach().exp()).mean()


def pool_levels(estimate: Tensor) -> Tensor:
    """Noise levels in which unsure cells follow the sure ones: the empirical Bayes estimate of each cell.

    How much the level really varies over the picture is what the estimates vary beyond their own uncertainty; for white
    noise that is nothing, and all cells get one number.

    Args:
        estimate: B 2 h w, of `NoiseLevel`.

    Returns:
        B 1 h w, standard deviations, at least 0.

    Source: Paule and Mandel, "Consensus Values and Weighting Factors", J. Res. Natl. Bur. Stand. 1982.
    """
    location, log_scale = estimate.float().chunk(2, 1)
    variance = 2 * (2 * log_scale).exp()  # of a Laplace distribution
    spread = torch.full_like(variance[..., :1, :1], LEAST_SPREAD)
    for _ in range(POOLING_STEPS):
        weight = 1 / (variance + spread)
        mean = _sum(weight * location) / _sum(weight)
        terms = weight * (location - mean).square()
        surplus = _sum(terms) - (terms[0, 0].numel() - 1)
        spread = (spread + surplus / _sum(weight * terms).clamp_min(LEAST_SPREAD)).clamp_min(LEAST_SPREAD)
    pooled = (location / variance + mean / spread) / (1 / variance + 1 / spread)
    return (pooled.exp() - FLOOR).clamp_min(0).to(estimate.dtype)


def pooled_error(estimate: Tensor, truth: Tensor) -> Tensor:
    """How far the pooled noise level of a picture is from its RMS noise: mean absolute difference of logarithms.

    Args:
        estimate: B 2 h w, of `NoiseLevel`.
        truth: B 1 h w, of `local_noise_level`.
    """
    pooled, true = ((levels.square().mean((1, 2, 3)) + FLOOR**2).log() / 2 for levels in (pool_levels(estimate), truth))
    return (pooled - true).abs().mean()


def _sum(values: Tensor) -> Tensor:
    return values.sum((-2, -1), keepdim=True)
