"""A network that merges any number of frames of one scene."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, ResidualBlock, conv3x3
from photonet.nets.unet import UNet

FOLD = 2  # pixels per side that become channels where frames are compared
LEAST_LEVEL = 0.01  # of noise that differences are measured by
READY_TO_TRUST = 2.0  # before training, on the scale of a sigmoid's input


class BurstFusion(nn.Module):
    """Frames are averaged as far as each agrees with the reference, and a U-Net takes away the noise that is left.

    The same small network looks at the reference and one other frame, and says how far to trust each pixel of that
    frame; so the number and the order of the frames are free, and a pixel that nothing agrees with is left to the
    U-Net, which is told how much noise the averaging has left where.

    Args:
        channels: of a frame.
        trust: features of the network that compares two frames, at half resolution.
        widths, blocks: of the U-Net.
    """

    def __init__(
        self,
        channels: int = 3,
        trust: int = 32,
        widths: Sequence[int] = (64, 128, 128),
        blocks: Sequence[int] = (1, 1, 2),
    ) -> None:
        super().__init__()
        self.channels = channels
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

    def forward(self, frames: Tensor, noise_map: Tensor) -> Tensor:
        """The clean reference.

        Args:
            frames: B N·channels H W, aligned, the reference first, 1.0 = white.
            noise_map: B 1 H W, standard deviation of the noise of one frame.
        """
        merged, left = self.merged(frames, noise_map)
        residual = self.unet(torch.cat([merged, noise_map * left, frames[:, : self.channels]], 1))
        return merged - residual.to(merged.dtype)

    def merged(self, frames: Tensor, noise_map: Tensor) -> tuple[Tensor, Tensor]:
        """The average of the frames by their trust, and the share of the noise's deviation that it leaves, B 1 H W."""
        reference, *others = frames.split(self.channels, 1)
        total, energy, merged = torch.ones_like(noise_map), torch.ones_like(noise_map), reference
        for frame in others:
            difference = (frame - reference) * (0.25 / (noise_map + LEAST_LEVEL))
            seen = F.pixel_unshuffle(torch.cat([difference, reference, noise_map], 1), FOLD)
            trust = torch.sigmoid(F.pixel_shuffle(self.trust(seen), FOLD).float())
            total, energy, merged = total + trust, energy + trust.square(), merged + trust * frame
        return merged / total, energy.sqrt() / total
