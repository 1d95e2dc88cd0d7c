"""Building blocks that the networks share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, bias: bool = True) -> nn.Conv2d:
    """A 3×3 convolution that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


class InputConv(nn.Conv2d):
    """A 3×3 convolution of a picture that may be finer than the weights, of which nothing is lost.

    What rounding leaves of the picture is convolved too. A network that predicts a residual would not see it otherwise,
    and leave it in the picture: noise of 0.3 levels of 255 in bf16.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """B in_channels H W to B out_channels H W, in the precision of the weights."""
        rounded = picture.to(self.weight.dtype)
        features = super().forward(rounded)
        if picture.dtype.itemsize <= rounded.dtype.itemsize:
            return features
        rest = (picture - rounded).to(rounded.dtype)
        return features.add_(F.conv2d(rest, self.weight, padding=self.padding))


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
