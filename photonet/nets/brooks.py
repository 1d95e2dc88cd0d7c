"""The RAW denoiser of Brooks et al."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import conv3x3, weight_dtype

PLANES = 4  # of a packed Bayer mosaic
SLOPE = 0.2  # of the leaky ReLU


class BrooksUNet(nn.Module):
    """A U-Net on packed Bayer planes that is told the variance of every value.

    Args:
        widths: features of each level, finest first; the last is the bottom.

    Source: Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 4 and figure 4.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        if not widths:
            raise ValueError("a network has at least one level")
        self.encoders = nn.ModuleList(
            _level(narrow, wide) for narrow, wide in zip((2 * PLANES, *widths), widths, strict=False)
        )
        pairs = list(pairwise(widths))
        self.decoders = nn.ModuleList(_level(wide + narrow, narrow) for narrow, wide in reversed(pairs))
        self.tail = conv3x3(widths[0], PLANES)

    @property
    def stride(self) -> int:
        """Height and width of the mosaic must be multiples of this."""
        return 2 ** len(self.encoders)

    @property
    def radius(self) -> int:
        """How many sites away an input can change an output, at most."""
        levels = len(self.encoders)
        planes = sum(6 * 2**level for level in range(levels - 1)) + 3 * 2 ** (levels - 1) + 1  # convolutions
        planes += sum(2 ** (level + 1) for level in range(levels - 1))  # bilinear: one value of the coarser level
        return 2 * planes + self.stride - 1  # then the whole cell that was packed and pooled

    def forward(self, noisy: Tensor, variance: Tensor) -> Tensor:
        """The clean mosaic; the residual is added in the precision of the input.

        Args:
            noisy: B 1 H W, Bayer mosaic that begins with red, 1.0 = white level.
            variance: B 1 H W, of the noise of every value.
        """
        packed = torch.cat([F.pixel_unshuffle(plane, 2) for plane in (noisy, variance)], 1)
        x, skips = packed.to(weight_dtype(self)), []
        for number, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if number else x)
            skips.append(x)
        skips.pop()
        for decoder in self.decoders:
            up = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = decoder(torch.cat([up, skips.pop()], 1))
        return noisy + F.pixel_shuffle(self.tail(x), 2).to(noisy.dtype)


def _level(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            layer
            for channels in (in_channels, width, width)
            for layer in (conv3x3(channels, width), nn.LeakyReLU(SLOPE, inplace=True))
        )
    )
