"""A network that merges any number of frames of one scene."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, ResidualBlock, conv3x3
from photonet.nets.unet import UNet

FOLD = 2  # pixels per side that become channels where frames are compared
LEAST_LEVEL = 0.01  # of noise that differences are measured by
READY_TO_TRUST = 2.0  # before training, on the scale of a sigmoid's input


class Stabilizer(NamedTuple):
    """Values on a curve on which their noise has the same deviation everywhere.

    Args:
        enter: values B C H W, shot and read variance, B each → values on the curve.
        leave: the inverse.
        deviation: shot and read variance, B each → standard deviation on the curve, B.
    """

    enter: Callable[[Tensor, Tensor, Tensor], Tensor]
    leave: Callable[[Tensor, Tensor, Tensor], Tensor]
    deviation: Callable[[Tensor, Tensor], Tensor]


class BurstFusion(nn.Module):
    """Frames are averaged as far as each agrees with the reference, and a U-Net takes away the noise that is left.

    The same small network looks at the reference and one other frame, and says how far to trust each pixel of that
    frame; so the number and the order of the frames are free, and a pixel that nothing agrees with is left to the
    U-Net, which is told how much noise the averaging has left where. Averaged are the values themselves; what the U-Net
    sees is on the curve that suits the noise of an average of so many frames: 0.7 to 1.2 dB better, at high noise, than
    the curve of one frame.

    Args:
        stabilizer: the curves.
        channels: of a frame.
        trust: features of the network that compares two frames, at half resolution.
        widths, blocks: of the U-Net.
    """

    def __init__(
        self,
        stabilizer: Stabilizer,
        channels: int = 3,
        trust: int = 32,
        widths: Sequence[int] = (64, 128, 128),
        blocks: Sequence[int] = (1, 1, 2),
    ) -> None:
        super().__init__()
        self.stabilizer, self.channels = stabilizer, channels
        last = conv3x3(trust, FOLD**2)
        nn.init.constant_(last.bias, READY_TO_TRUST)  # type: ignore[arg-type]
        with torch.no_grad():
            last.weight.mul_(0.1)
        first = InputConv((2 * channels + 1) * FOLD**2, trust)
        self.trust = nn.Sequential(first, nn.ReLU(inplace=True), ResidualBlock(trust), last)
        self.unet = UNet(2 * channels + 1, channels, widths, blocks)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most."""
        return self.unet.radius + 4 * FOLD + FOLD - 1  # four convolutions; then the whole cell that was folded

    def forward(self, frames: Tensor, shot: Tensor, read: Tensor) -> Tensor:
        """The clean reference.

        Args:
            frames: B N·channels H W, aligned, the reference first, 1.0 = white; linear or, with white noise, any other.
            shot, read: B 1 H W, variances of the noise of one frame at white level 1, the same at every pixel.
        """
        noise = shot[:, 0, 0, 0], read[:, 0, 0, 0]
        count = frames.shape[1] // self.channels
        merged, left = self.merged(frames, *noise)
        fewer = noise[0] / count, noise[1] / count
        seen, reference = (self.stabilizer.enter(v, *fewer) for v in (merged, frames[:, : self.channels]))
        level = self.stabilizer.deviation(*fewer).view(-1, 1, 1, 1) * left * count**0.5
        residual = self.unet(torch.cat([seen, level, reference], 1))
        return self.stabilizer.leave(seen - residual.to(seen.dtype), *fewer)

    def merged(self, frames: Tensor, shot: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """The average of the frames by their trust, and the share of the noise's deviation that it leaves, B 1 H W.

        Args:
            frames: as in `forward`.
            shot, read: B.
        """
        reference, *others = frames.split(self.channels, 1)
        total = torch.ones_like(reference[:, :1])
        energy, merged = torch.ones_like(total), reference
        level = self.stabilizer.deviation(shot, read).view(-1, 1, 1, 1).expand_as(total)
        first = self.stabilizer.enter(reference, shot, read)
        for frame in others:
            difference = (self.stabilizer.enter(frame, shot, read) - first) * (0.25 / (level + LEAST_LEVEL))
            seen = F.pixel_unshuffle(torch.cat([difference, first, level], 1), FOLD)
            trust = torch.sigmoid(F.pixel_shuffle(self.trust(seen), FOLD).float())
            total, energy, merged = total + trust, energy + trust.square(), merged + trust * frame
        return merged / total, energy.sqrt() / total
