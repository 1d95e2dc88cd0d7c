"""An invertible network: what it renders can be turned back, and its inverse is exact."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.nets.blocks import conv3x3

COLORS = 3
DENSE_LAYERS = 4  # of a dense block, before its output layer
SLOPE = 0.2  # of the leaky ReLU
NEAR_ZERO = 1e-3  # standard deviation of the output layers' first weights
OUTPUT_SCALE = 0.05  # of the output layers: a step of the training changes the flow by so much less
SCALE = 0.8  # largest logarithm of what a coupling multiplies by


class InvertibleIsp(nn.Module):
    """A flow of affine couplings and invertible 1×1 convolutions between two pictures of three channels.

    Args:
        steps: couplings, each behind a 1×1 convolution.
        growth: features of each layer of the dense blocks.
        squeeze: side of the square of pixels that becomes one, with as many times the channels; 1 as published.

    Source: Xing, Qian and Chen, "Invertible Image Signal Processing", CVPR 2021, section 3.1. The output layers of the
    dense blocks begin near zero and the 1×1 convolutions as permutations that cancel out, so that an untrained flow
    changes little.
    """

    def __init__(self, steps: int = 8, growth: int = 32, squeeze: int = 1) -> None:
        super().__init__()
        rest = {0: (), 1: (0,), 2: (1, -1)}[steps % COLORS]
        shifts = (*[1] * (steps - len(rest)), *rest)
        self.squeeze = squeeze
        self.steps = nn.ModuleList(_Step(squeeze**2, growth, shift) for shift in shifts)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most, in either direction."""
        return 2 * (DENSE_LAYERS + 1) * len(self.steps) * self.squeeze + self.squeeze - 1

    def forward(self, x: Tensor, backwards: bool = False) -> Tensor:
        """B 3 H W to B 3 H W, H and W multiples of `squeeze`.

        Args:
            backwards: `inverse`, by this way, which all that wraps modules for a training knows.
        """
        if backwards:
            return self.inverse(x)
        x = F.pixel_unshuffle(x, self.squeeze)
        for step in self.steps:
            x = step(x)
        return F.pixel_shuffle(x, self.squeeze)

    def inverse(self, y: Tensor) -> Tensor:
        """What `forward` made this of; in float32 to within 1e-4."""
        y = F.pixel_unshuffle(y, self.squeeze)
        for step in reversed(self.steps):
            y = step.inverse(y)  # type: ignore[operator]
        return F.pixel_shuffle(y, self.squeeze)


class _Step(nn.Module):
    """A 1×1 convolution, then a coupling of the first third of the channels with the others.

    Args:
        third: channels.
        growth: features of each layer of the dense blocks.
        shift: thirds that the channels move by at first.
    """

    def __init__(self, third: int, growth: int, shift: int) -> None:
        super().__init__()
        self.split = (third, 2 * third)
        self.mix = InvertibleMatrix(torch.eye(COLORS * third).roll(shift * third, 0))
        self.first = DenseBlock(2 * third, third, growth)
        self.scale = DenseBlock(third, 2 * third, growth)
        self.shift = DenseBlock(third, 2 * third, growth)

    def forward(self, x: Tensor) -> Tensor:
        """B 3·third H W to the same shape."""
        one, two = _times(self.mix(), x).split(self.split, 1)
        one = one + self.first(two)
        return torch.cat([one, two * self._log_scale(one).exp() + self.shift(one)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        """What `forward` made this of."""
        one, two = y.split(self.split, 1)
        two = (two - self.shift(one)) * (-self._log_scale(one)).exp()
        one = one - self.first(two)
        return _times(self.mix.inverse(), torch.cat([one, two], 1))

    def _log_scale(self, one: Tensor) -> Tensor:
        return SCALE * (2 * torch.sigmoid(self.scale(one)) - 1)


class InvertibleMatrix(nn.Module):
    """A square matrix that stays invertible while it learns: a permutation, a lower and an upper triangle.

    Args:
        start: its first value, invertible.

    Source: Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", NeurIPS 2018, section 3.2.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(start)
        self.register_buffer("permutation", permutation)
        self.register_buffer("signs", upper.diagonal().sign())
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))

    def forward(self) -> Tensor:
        """The matrix, in float32."""
        lower, upper = self._triangles()
        return self.permutation.float() @ lower @ upper

    def inverse(self) -> Tensor:
        """Its inverse, in float32."""
        return torch.linalg.inv(self())

    def _triangles(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.float().tril(-1) + torch.eye(len(self.lower), device=self.lower.device)
        diagonal = torch.diag(self.signs.float() * self.log_diagonal.float().exp())
        return lower, self.upper.float().triu(1) + diagonal


class DenseBlock(nn.Module):
    """Layers that see the input and the features of all layers before them; the output layer begins near zero."""

    def __init__(self, in_channels: int, out_channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv3x3(in_channels + growth * number, growth) for number in range(DENSE_LAYERS))
        self.output = conv3x3(in_channels + growth * DENSE_LAYERS, out_channels)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, SLOPE)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.output.weight, std=NEAR_ZERO)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """B in_channels H W to B out_channels H W."""
        for layer in self.layers:
            x = torch.cat([x, self.activation(layer(x))], 1)
        return self.output(x) * OUTPUT_SCALE


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("rc,bchw->brhw", matrix.to(x.dtype), x)
