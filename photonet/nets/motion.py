"""A network that says how a picture was blurred."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import weight_dtype
from photonet.nets.unet import UNet

LAGS = 64  # that the networks see along each side


class BlurKernels(nn.Module):
    """Reads blur kernels from maps over lags, in rounds: each sees what the kernel of the one before would explain.

    Args:
        even: picture → what the maps are made of.
        correlations: that, number of lags → maps B F lags lags.
        quotients: that, kernels B k k, number of lags → maps B G lags lags.
        maps: F + G.
        widths, blocks: of the U-Net, as in `UNet`.
        window: side in pixels of the pictures that one kernel is found for; larger ones are cut into such.
        kernel: side of the kernels, odd.
        rounds: of which the first begins with a point.

    Source: the rounds are those of Schuler et al., "Learning to Deblur", TPAMI 2016.
    """

    def __init__(
        self,
        even: Callable[[Tensor], Tensor],
        correlations: Callable[[Tensor, int], Tensor],
        quotients: Callable[[Tensor, Tensor, int], Tensor],
        maps: int,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (1, 1, 2),
        window: int = 256,
        kernel: int = 49,
        rounds: int = 3,
    ) -> None:
        super().__init__()
        self.even, self.correlations, self.quotients = even, correlations, quotients
        self.window, self.kernel, self.rounds = window, kernel, rounds
        self.unet = UNet(maps + 1, 1, widths, blocks, unshuffle=1)
        self.contrast = nn.Parameter(torch.tensor([2.0]))

    @property
    def scale(self) -> Fraction:
        """Pixels of the kernels per pixel of the picture."""
        return Fraction(self.kernel, self.window)

    def forward(self, picture: Tensor, all_rounds: bool = False) -> Tensor | list[Tensor]:
        """The kernel of each window, as a picture of them; or the logarithms of all rounds, whose kernels sum to 1.

        Args:
            picture: B C H W, H and W multiples of `window`, or one smaller window of `LAGS` pixels or more.

        Returns:
            B 1 k·H/window k·W/window, each kernel around its middle.

        Raises:
            ValueError: no such height and width.
        """
        batch, channels, height, width = picture.shape
        side = min(self.window, height, width)
        if side < LAGS or height % side or width % side:
            raise ValueError(f"{width}×{height} is not made of windows of {self.window} pixels, or of {LAGS} at least")
        rows, columns = height // side, width // side
        tiles = picture.view(batch, channels, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
        even = self.even(tiles.reshape(-1, channels, side, side))
        maps = self.correlations(even, LAGS)
        guess = even.new_zeros(len(even), self.kernel, self.kernel)
        guess[:, self.kernel // 2, self.kernel // 2] = 1
        logs = []
        for _ in range(self.rounds):
            logs.append(self._logarithms(torch.cat([maps, self.quotients(even, guess, LAGS), self._as_map(guess)], 1)))
            guess = (logs[-1].detach() if all_rounds else logs[-1]).exp()  # in training each round learns for itself
        results = [self._joined(values, batch, rows, columns) for values in logs]
        return results if all_rounds else results[-1].exp()

    def _logarithms(self, maps: Tensor) -> Tensor:
        """Of kernels B k k."""
        logits = self.unet(maps.to(weight_dtype(self)))[:, 0].float() * self.contrast.float().exp()
        begin = LAGS // 2 - self.kernel // 2
        logits = logits[:, begin : begin + self.kernel, begin : begin + self.kernel]
        return logits.flatten(1).log_softmax(1).view_as(logits)

    def _as_map(self, kernels: Tensor) -> Tensor:
        before = LAGS // 2 - self.kernel // 2
        after = LAGS - self.kernel - before
        padded = F.pad(kernels, (before, after, before, after))[:, None]
        return padded / (padded.square().mean((2, 3), keepdim=True).sqrt() + 1e-6)

    def _joined(self, kernels: Tensor, batch: int, rows: int, columns: int) -> Tensor:
        side = self.kernel
        joined = kernels.view(batch, rows, columns, side, side).permute(0, 1, 3, 2, 4)
        return joined.reshape(batch, 1, rows * side, columns * side)
