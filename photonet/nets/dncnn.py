"""DnCNN, as published.

Source: Zhang et al., "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", TIP 2017, §III;
initialization from the authors' training code.
"""

import math

import torch
from torch import Tensor, nn

from photonet.nets.blocks import InputConv, conv3x3, weight_dtype


class DnCNN(nn.Module):
    """3×3 convolution and ReLU; (depth − 2) × [convolution, batch norm, ReLU]; 3×3 convolution. Predicts the noise.

    Args:
        channels: of the picture: 1 gray, 3 color.
        depth: number of convolutions: 17 for gray at one noise level, 20 for blind color.
        width: features of the hidden layers.
        folded: built without batch norm, for weights in which it was folded into the convolutions: the form in which
            they are run, and in which trainings go on.
    """

    def __init__(self, channels: int = 3, depth: int = 20, width: int = 64, folded: bool = False) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"DnCNN has at least 2 convolutions, not {depth}")
        layers: list[nn.Module] = [InputConv(channels, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [conv3x3(width, width, bias=folded), *([] if folded else [nn.BatchNorm2d(width)])]
            layers += [nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, conv3x3(width, channels))
        self.channels, self.depth, self.width, self.folded = channels, depth, width, folded
        for conv in (m for m in self.body if isinstance(m, nn.Conv2d)):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (9 * width)))
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel."""
        return self.depth

    def forward(self, noisy: Tensor) -> Tensor:
        """The clean picture, B C H W, 1.0 = white; the residual is subtracted in the precision of the input."""
        return noisy - self.body(noisy).to(noisy.dtype)


@torch.no_grad()
def fold_batch_norm(net: DnCNN) -> DnCNN:
    """The same function with every batch norm folded into the convolution before it: gamma / sqrt(var + eps)."""
    if net.folded:
        return net
    result = DnCNN(net.channels, net.depth, net.width, folded=True).to(weight_dtype(net))
    folded = iter(conv for conv in result.body if isinstance(conv, nn.Conv2d))
    for layer, following in zip(net.body, [*list(net.body)[1:], None], strict=True):
        if not isinstance(layer, nn.Conv2d):
            continue
        conv = next(folded)
        weight, bias = layer.weight, torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        if isinstance(following, nn.BatchNorm2d):
            assert following.running_mean is not None
            assert following.running_var is not None
            scale = following.weight / (following.running_var + following.eps).sqrt()
            weight, bias = weight * scale[:, None, None, None], following.bias + (bias - following.running_mean) * scale
        assert conv.bias is not None
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return result.train(net.training)
