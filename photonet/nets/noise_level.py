"""A small network that says how noisy a picture is, and where."""

import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import conv3x3, weight_dtype

CELL = 16  # pixels per side of one estimate
FLOOR = 0.5 / 255  # noise that nobody sees: keeps logarithms finite and small levels from dominating


class NoiseLevel(nn.Module):
    """Regresses the local noise level: the RMS of noisy minus clean around each cell of 16×16 pixels.

    Convolutions at a quarter, an eighth and a sixteenth of the resolution: 6 % of the cost of the denoiser it serves.

    Args:
        widths: features at a quarter, an eighth and a sixteenth of the resolution.
    """

    def __init__(self, widths: tuple[int, int, int] = (48, 64, 96)) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            conv3x3(48, quarter), nn.ReLU(inplace=True),
            conv3x3(quarter, quarter), nn.ReLU(inplace=True),
            nn.Conv2d(quarter, eighth, 2, stride=2), nn.ReLU(inplace=True),
            conv3x3(eighth, eighth), nn.ReLU(inplace=True),
            nn.Conv2d(eighth, sixteenth, 2, stride=2), nn.ReLU(inplace=True),
            conv3x3(sixteenth, sixteenth), nn.ReLU(inplace=True),
            conv3x3(sixteenth, sixteenth), nn.ReLU(inplace=True),
            nn.Conv2d(sixteenth, 1, 1),
        )  # fmt: skip

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an estimate."""
        return 4 + 4 + 8 + 16 + 16

    def forward(self, noisy: Tensor) -> Tensor:
        """Noise level of each cell.

        Args:
            noisy: B 3 H W, 1.0 = white, H and W multiples of 16.

        Returns:
            B 1 H/16 W/16, standard deviation on the same scale, at least 0.
        """
        log_level = self.body(noisy.to(weight_dtype(self))).float()
        return (log_level - 2).exp().sub(FLOOR).clamp_min(0) if not self.training else (log_level - 2).exp() - FLOOR


def local_noise_level(noise: Tensor) -> Tensor:
    """The truth that `NoiseLevel` regresses: RMS over 48×48 pixels and all channels around each cell.

    Args:
        noise: B C H W, noisy minus clean.

    Returns:
        B 1 H/16 W/16.
    """
    energy = F.avg_pool2d(noise.square().mean(1, keepdim=True), CELL)
    return F.avg_pool2d(F.pad(energy, (1, 1, 1, 1), mode="replicate"), 3, stride=1).sqrt()


def log_error(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the logarithms of two noise levels, with `FLOOR` added to both."""
    return ((estimate + FLOOR).clamp_min(FLOOR / 10).log() - (truth + FLOOR).log()).abs().mean()
