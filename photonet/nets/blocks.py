"""Building blocks that the networks share."""

import torch
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, bias: bool = True) -> nn.Conv2d:
    """A 3×3 convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def weight_dtype(module: nn.Module) -> torch.dtype:
    """The precision that a module's weights are stored in."""
    return next(module.parameters()).dtype


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalization.

    Source: Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.conv2.weight, nonlinearity="linear")
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)  # every block begins close to the identity, so a deep stack trains at once
        nn.init.zeros_(self.conv1.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to the same shape."""
        return self.conv2(self.conv1(x).relu_()).add_(x)
