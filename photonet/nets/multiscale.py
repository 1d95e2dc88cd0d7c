"""The multi-scale deblurring network, and what it may be trained against."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import weight_dtype

SCALES = 3  # a quarter of the resolution, half of it, all of it
GAUSSIAN = 2 / 3  # pixels, of the blur before every halving
GRAY = 0.5  # middle of the range, which the features begin at
LEAK = 0.2


class _Block(nn.Module):
    """x + conv(relu(conv(x))): no normalization, and no ReLU after the sum."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(width, width, kernel), _conv(width, width, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x).relu_()).add_(x)


class MultiScaleDeblur(nn.Module):
    """Coarse to fine: each scale sees the blurred picture and the sharper one of the scale below, magnified.

    Args:
        channels: of the picture.
        width: features.
        depth: residual blocks of each scale.
        kernel: side of all convolutions.
        residual: each scale predicts what its input lacks, which narrow networks learn sooner; published ones predict
            the picture.

    Source: Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene Deblurring", CVPR 2017;
    SeungjunNah/DeepDeblur-PyTorch.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, depth: int = 19, kernel: int = 5, residual: bool = False
    ) -> None:
        super().__init__()
        self.residual, self.reach, self.depth = residual, kernel // 2, depth
        self.scales = nn.ModuleList()
        for level in range(SCALES):
            last = _conv(width, channels, kernel)
            if residual:
                with torch.no_grad():
                    last.weight.mul_(0.1)
            first = _conv(2 * channels if level else channels, width, kernel)
            self.scales.append(nn.Sequential(first, *(_Block(width, kernel) for _ in range(depth)), last))
        self.magnify = nn.ModuleList(
            nn.Sequential(_conv(channels, 4 * channels, kernel), nn.PixelShuffle(2)) for _ in range(SCALES - 1)
        )

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** (SCALES - 1)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most."""
        own = (2 * self.depth + 2) * self.reach
        sides = [2**level for level in range(SCALES)]
        blurs = sum(_TAPS // 2 * side for side in sides[:-1])
        return own * sum(sides) + self.reach * sum(sides[1:]) + blurs + self.stride - 1

    def forward(self, picture: Tensor, all_scales: bool = False) -> Tensor | list[Tensor]:
        """The sharp picture, B C H W, 1.0 = white; or at all scales, coarsest first."""
        dtype = weight_dtype(self)
        results: list[Tensor] = []
        for level, blurred in enumerate(reversed(pyramid(picture))):
            x = (blurred - GRAY).to(dtype)
            if results:
                finer = self.magnify[level - 1]((results[-1] - GRAY).to(dtype))
                x = torch.cat([x, finer], 1)
            output = self.scales[level](x)
            results.append((blurred if self.residual else GRAY) + output.to(picture.dtype))
        return results if all_scales else results[-1]


class Discriminator(nn.Module):
    """Says whether a picture is sharp by nature, as a logit; pictures have 256 pixels per side or more.

    Args:
        channels: of the picture.

    Source: as `MultiScaleDeblur`.
    """

    smallest = 256

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        widths = (channels, 32, 32, 64, 64, 128, 128, 256, 256, 512)
        strides = (1, 2, 1, 2, 1, 4, 1, 4, 1)
        layers: list[nn.Module] = []
        for (before, width), stride in zip(pairwise(widths), strides, strict=True):
            layers += [nn.Conv2d(before, width, 5, stride, 2, bias=False), nn.LeakyReLU(LEAK)]
        layers += [nn.Conv2d(512, 512, 4, 4, bias=False), nn.LeakyReLU(LEAK), nn.Conv2d(512, 1, 1, bias=False)]
        self.body = nn.Sequential(*layers)

    def forward(self, picture: Tensor) -> Tensor:
        """B C H W, 1.0 = white, to B 1 h w.

        Raises:
            ValueError: the picture is too small.
        """
        if min(picture.shape[-2:]) < self.smallest:
            raise ValueError(f"pictures of {self.smallest} pixels per side or more, not {tuple(picture.shape[-2:])}")
        logits: Tensor = self.body(picture - GRAY)
        return logits


_TAPS = 2 * round(4 * GAUSSIAN) + 1


def pyramid(picture: Tensor) -> list[Tensor]:
    """A picture B C H W and what is left of it at half and at a quarter of the resolution, finest first.

    As scikit-image's `pyramid_gaussian`, but that borders are replicated.
    """
    places = torch.arange(_TAPS, device=picture.device) - _TAPS // 2
    weights = (-places.square() / (2 * GAUSSIAN**2)).exp()
    weights = (weights / weights.sum()).to(picture.dtype).expand(picture.shape[1], 1, 1, -1)
    levels = [picture]
    for _ in range(SCALES - 1):
        padded = F.pad(levels[-1], (_TAPS // 2,) * 4, mode="replicate")
        across = F.conv2d(padded, weights, groups=picture.shape[1])
        smooth = F.conv2d(across, weights.transpose(2, 3), groups=picture.shape[1])
        levels.append(F.avg_pool2d(smooth, 2))
    return levels


def _conv(before: int, after: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
