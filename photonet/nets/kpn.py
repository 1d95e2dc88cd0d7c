"""Kernel prediction: every pixel of every frame of a burst gets weights of its own."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, conv3x3


class KernelPrediction(nn.Module):
    """The network that looks at all frames and predicts, for each pixel, a K×K kernel for each of them.

    Kernels are predicted at half resolution and magnified bilinearly; they are not normalized, and may be negative. The
    result is the mean over the frames of what their kernels make of them. Of fewer frames than it was built for the
    others are dark, and do not count; more are merged in groups, each led by the reference.

    Args:
        channels: of a frame; each has kernels of its own.
        frames: that it looks at together, the reference first.
        kernel: K.
        widths: features of each resolution, finest first; the kernels come out at the second.
        depth: convolutions of each block.
        last: features of the block before the kernels; None, as published, takes as many as there are kernel taps.
        tail: side of the last convolution's kernel: 3 as Google's code has it, 1 as others have.

    Source: Mildenhall et al., "Burst Denoising with Kernel Prediction Networks", CVPR 2018; google/burst-denoising,
    kpn_arch.py; the mean, where that takes the sum, as in z-bingo/kernel-prediction-networks-PyTorch. Before training
    the result is nearly the plain mean of the frames.
    """

    def __init__(
        self,
        channels: int = 1,
        frames: int = 8,
        kernel: int = 5,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depth: int = 3,
        last: int | None = None,
        tail: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) < 3 or kernel % 2 == 0 or frames < 2:
            raise ValueError(f"three or more widths, odd kernels, two or more frames: {widths}, {kernel}, {frames}")
        self.channels, self.frames, self.kernel = channels, frames, kernel
        self.depth, self.levels = depth, len(widths)
        taps = frames * channels * kernel**2
        self.encoders = nn.ModuleList(
            _block(before, width, depth, first=index == 0)
            for index, (before, width) in enumerate(zip((frames * channels + 1, *widths), widths, strict=False))
        )
        outs = [*widths[2:-1][::-1], last or taps]  # of each decoder, coarsest first
        skips = widths[1:-1][::-1]
        self.decoders = nn.ModuleList(
            _block(before + skip, out, depth)
            for before, skip, out in zip((widths[-1], *outs), skips, outs, strict=False)
        )
        self.tail = nn.Conv2d(outs[-1], taps, tail, padding=tail // 2)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
            bias = self.tail.bias
            assert bias is not None
            bias.zero_()
            middle = bias.view(kernel**2, frames * channels)[kernel**2 // 2]
            middle.fill_(1)

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** (self.levels - 1)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most."""
        scales = [2**level for level in range(self.levels)]
        encoders = self.depth * sum(scales)
        decoders = self.depth * sum(scales[1:-1]) + sum(scales[2:])  # and bilinear magnification, a pixel each
        last = scales[1] * (self.tail.kernel_size[0] // 2 + 1)  # the tail, and its magnification
        return encoders + decoders + last  # more than the kernels' own reach

    def forward(self, frames: Tensor, noise_map: Tensor, apart: bool = False) -> Tensor:
        """The clean reference; or, apart, what `filtered` makes of the first frames, as many as are looked at together.

        Args:
            frames: B N·channels H W, linear, aligned, the reference first.
            noise_map: B 1 H W, standard deviation of the noise of the reference.
        """
        if apart:
            return self.filtered(frames[:, : self.frames * self.channels], noise_map)
        reference, *others = frames.split(self.channels, 1)
        groups = -(-len(others) // (self.frames - 1)) or 1
        total: Tensor | float = 0.0
        count = 0
        for group in range(groups):
            members = [reference, *others[group::groups][: self.frames - 1]]
            total = total + self.filtered(torch.cat(members, 1), noise_map).sum(1)
            count += len(members)
        assert isinstance(total, Tensor)
        return total / count

    def filtered(self, frames: Tensor, noise_map: Tensor) -> Tensor:
        """What its kernels make of each frame, B N channels H W; the mean over the frames is the result.

        Args:
            frames: as in `forward`, at most as many as the network looks at together.
        """
        batch, planes, height, width = frames.shape
        padded = F.pad(frames, (0, 0, 0, 0, 0, self.frames * self.channels - planes))
        kernels = self.kernels(padded, noise_map).split(self.frames * self.channels, 1)
        reach = self.kernel // 2
        surrounded = F.pad(frames, (reach,) * 4)
        result = torch.zeros_like(frames)
        for tap, weights in enumerate(kernels):
            top, left = divmod(tap, self.kernel)
            fine = F.interpolate(weights[:, :planes].float(), scale_factor=2, mode="bilinear")
            result = result + fine * surrounded[..., top : top + height, left : left + width]
        return result.view(batch, -1, self.channels, height, width)

    def kernels(self, frames: Tensor, noise_map: Tensor) -> Tensor:
        """Kernels at half resolution, B K²·N·channels H/2 W/2: tap by tap, each frame by frame."""
        x = torch.cat([frames, noise_map], 1)
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, skips[-2:0:-1], strict=True):
            x = decoder(torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear"), skip], 1))
        return self.tail(x)


def _block(before: int, width: int, depth: int, first: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        start = InputConv if first and index == 0 else conv3x3
        layers += [start(width if index else before, width), nn.ReLU(inplace=True)]
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)
