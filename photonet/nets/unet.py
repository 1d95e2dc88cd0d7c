"""A U-Net whose features live at half resolution and below."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, ResidualBlock, conv3x3


class UNet(nn.Module):
    """Plain 3×3 residual blocks between pixel unshuffling and pixel shuffling.

    Every level halves the resolution and doubles the width, so that each costs the same per block; convolutions of this
    kind run at the matrix-multiply rate of CPUs and GPUs alike. Skips are added, not concatenated.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        widths: features of each level, finest first.
        blocks: residual blocks of each level, on each side; the last entry is the bottom.
        unshuffle: pixels per side that the first level folds into channels.

    Source: Ronneberger et al., "U-Net", MICCAI 2015; residual blocks and added skips as in Zhang et al., "Plug-and-Play
    Image Restoration with Deep Denoiser Prior" (DRUNet), TPAMI 2021; unshuffled input as in Zhang et al., "FFDNet",
    TIP 2018.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (64, 128, 256),
        blocks: Sequence[int] = (1, 1, 2),
        unshuffle: int = 2,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(blocks):
            raise ValueError(f"one number of blocks for each width: {len(widths)} widths, {len(blocks)} blocks")
        self.unshuffle, self.blocks = unshuffle, tuple(blocks)
        self.head = InputConv(in_channels * unshuffle**2, widths[0])
        levels = list(zip(widths, widths[1:], blocks, strict=False))
        self.encoders = nn.ModuleList(_stack(width, count) for width, _, count in levels)
        self.downs = nn.ModuleList(nn.Conv2d(width, wider, 2, stride=2) for width, wider, _ in levels)
        self.bottom = _stack(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(wider, width, 2, stride=2) for width, wider, _ in levels)
        self.decoders = nn.ModuleList(_stack(width, count) for width, _, count in levels)
        self.tail = conv3x3(widths[0], out_channels * unshuffle**2)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.tail.weight.mul_(0.1)

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return self.unshuffle * 2 ** len(self.downs)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most."""
        scales = [self.unshuffle * 2**level for level in range(len(self.blocks))]
        sides = [2] * len(self.downs) + [1]
        convs = sum(2 * n * side * scale for n, side, scale in zip(self.blocks, sides, scales, strict=True))
        return 2 * self.unshuffle + convs + self.stride - 1  # head and tail; then the whole cell that was unshuffled

    def forward(self, x: Tensor) -> Tensor:
        """B in_channels H W to B out_channels H W, in the precision of the weights."""
        x = self.head(F.pixel_unshuffle(x, self.unshuffle))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for decoder, up in zip(reversed(self.decoders), reversed(self.ups), strict=True):
            x = decoder(up(x).add_(skips.pop()))
        return F.pixel_shuffle(self.tail(x), self.unshuffle)


def _stack(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class ResidualUNet(nn.Module):
    """A U-Net that predicts what is wrong with a picture; before training that is next to nothing.

    Args:
        channels: of the picture.
        widths, blocks: as in `UNet`.
        maps: channels of what else it is told of each pixel, as how noisy it is.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256),
        blocks: Sequence[int] = (1, 1, 2),
        maps: int = 1,
    ) -> None:
        super().__init__()
        self.unet = UNet(channels + maps, channels, widths, blocks)

    def forward(self, picture: Tensor, maps: Tensor | None = None) -> Tensor:
        """The picture without what is wrong with it; the residual is subtracted in the precision of the input.

        Args:
            picture: B C H W, 1.0 = white.
            maps: B maps H W, where there are any.
        """
        residual = self.unet(picture if maps is None else torch.cat([picture, maps], 1))
        return picture - residual.to(picture.dtype)
