"""The U-Net: sizes, strides, and what it is told."""

import pytest
import torch

from photonet.nets.unet import ResidualUNet, UNet


def block(width):
    return 2 * (9 * width * width + width)


def test_parameters():
    """Head, blocks on both sides, down and up convolutions, bottom and tail, by hand."""
    head, tail = 9 * 16 * 64 + 64, 9 * 64 * 12 + 12
    sides = 2 * (block(64) + block(128))
    downs = 4 * 64 * 128 + 128 + 4 * 128 * 256 + 256
    ups = 4 * 128 * 64 + 64 + 4 * 256 * 128 + 128
    expected = head + tail + sides + downs + ups + 2 * block(256)
    assert sum(parameter.numel() for parameter in ResidualUNet().parameters()) == expected == 3_442_828


@pytest.mark.parametrize(
    ("widths", "blocks", "unshuffle", "stride", "radius"),
    [
        # head and tail 2 each; blocks of a level 2·2 convolutions on two sides, the bottom on one; stride - 1
        ((64, 128, 256), (1, 1, 2), 2, 8, 4 + 8 + 16 + 32 + 7),
        ((8, 8), (2, 1), 2, 4, 4 + 16 + 8 + 3),
        ((8,), (3,), 2, 2, 4 + 12 + 1),
        ((8, 8), (1, 1), 1, 2, 2 + 4 + 4 + 1),
    ],
)
def test_stride_and_radius(widths, blocks, unshuffle, stride, radius):
    net = UNet(3, 3, widths, blocks, unshuffle)
    assert (net.stride, net.radius) == (stride, radius)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 40), (48, 16)])
def test_shape(height, width, generator):
    net = UNet(4, 2, (8, 8, 8), (1, 1, 1))
    assert net(torch.rand(2, 4, height, width, generator=generator)).shape == (2, 2, height, width)


def test_sees_picture_and_map(generator):
    net = ResidualUNet(3, (8, 8), (1, 1)).eval()
    noisy = torch.rand(1, 3, 16, 16, generator=generator)
    weak, strong = (net(noisy, torch.full((1, 1, 16, 16), level)) for level in (0.01, 0.5))
    assert weak.shape == noisy.shape
    assert not torch.allclose(weak, strong)
    torch.nn.init.zeros_(net.unet.tail.weight)
    assert torch.equal(net(noisy, noisy[:, :1]), noisy)  # no residual, no change


def test_precision(generator):
    net = ResidualUNet(3, (16, 16), (1, 1)).eval()
    noisy, level = torch.rand(1, 3, 16, 16, generator=generator), torch.full((1, 1, 16, 16), 0.1)
    exact = net(noisy, level)
    rough = net.to(torch.bfloat16)(noisy, level)
    assert rough.dtype == torch.float32  # the residual is rounded, the picture is not
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02)


@pytest.mark.parametrize(("widths", "blocks"), [((8, 8), (1,)), ((8,), (1, 1)), ((), ())])
def test_error_config(widths, blocks):
    with pytest.raises(ValueError, match="blocks"):
        UNet(3, 3, widths, blocks)


@pytest.mark.parametrize(("height", "width"), [(8, 9), (12, 8), (8, 6)])
def test_error_size(height, width):
    with pytest.raises(RuntimeError):
        UNet(1, 1, (4, 4, 4), (1, 1, 1))(torch.zeros(1, 1, height, width))
