"""The blocks that networks share."""

import torch
import torch.nn.functional as F

from photonet.nets.blocks import InputConv


def test_nothing_of_the_picture_is_lost(generator):
    """In bf16, whose rounding alone is wrong by a thousandth."""
    conv = InputConv(3, 1).to(torch.bfloat16)
    with torch.no_grad():
        conv.weight.fill_(0.0)
        conv.weight[:, 0, 1, 1], conv.weight[:, 1, 1, 1] = 1, -1  # the difference of two nearly equal channels
        conv.bias.fill_(0.0)
    picture = torch.rand(1, 3, 8, 8, generator=generator)
    picture[:, 1] = picture[:, 0] - torch.rand(1, 8, 8, generator=generator) * 1e-3
    difference = picture[:, :1] - picture[:, 1:2]
    assert conv(picture).dtype == torch.bfloat16
    torch.testing.assert_close(conv(picture).float(), difference, atol=2e-5, rtol=0.02)
    assert (conv(picture.bfloat16()).float() - difference).abs().max() > 5e-4


def test_at_the_precision_of_the_weights_it_is_a_convolution(generator):
    conv = InputConv(2, 4)
    picture = torch.rand(1, 2, 6, 6, generator=generator)
    assert torch.equal(conv(picture), F.conv2d(picture, conv.weight, conv.bias, padding=1))
