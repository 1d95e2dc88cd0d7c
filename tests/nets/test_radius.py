"""A gradient probe: every declared radius is reached, and never passed."""

import pytest
import torch
import torch.nn.functional as F

from photonet.nets.dncnn import DnCNN
from photonet.nets.fusion import FOLD, BurstFusion, Stabilizer
from photonet.nets.kpn import KernelPrediction
from photonet.nets.multiscale import MultiScaleDeblur
from photonet.nets.noise_level import CELL, NoiseLevel
from photonet.nets.unet import ResidualUNet, UNet


def positive(net, scale):
    """Weights between 0 and `scale`: every unit is active, and no two paths cancel."""
    generator = torch.Generator().manual_seed(1)
    net = net.double().eval()
    for parameter in net.parameters():
        parameter.data = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) * scale + scale / 100
    return net


def reach(forward, channels, side, row, column):
    """Rows and columns of the input that an output pixel depends on: (top, bottom, left, right), inclusive."""
    picture = torch.rand(1, channels, side, side, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(forward(picture)[0, :, row, column].sum(), picture)
    assert gradient.isfinite().all()
    touched = gradient[0].abs().sum(0)
    rows, columns = touched.sum(1).nonzero(), touched.sum(0).nonzero()
    return rows.min().item(), rows.max().item(), columns.min().item(), columns.max().item()


def farthest(forward, channels, side, cell):
    """The largest distance, of all positions within a cell in the middle, to each of the four sides."""
    first = side // 2 // cell * cell
    distances = []
    for offset in range(cell):
        row, column = first + offset, first + (3 * offset + 1) % cell
        top, bottom, left, right = reach(forward, channels, side, row, column)
        assert min(top, left) > 0
        assert max(bottom, right) < side - 1
        distances.append((row - top, bottom - row, column - left, right - column))
    return tuple(map(max, zip(*distances, strict=True)))


@pytest.mark.parametrize(
    ("widths", "blocks", "unshuffle"),
    [((3, 3, 3), (1, 1, 2), 2), ((3, 3), (2, 1), 2), ((3,), (1,), 2), ((3, 3, 3), (0, 0, 0), 2), ((3, 3), (1, 1), 1)],
)
def test_unet(widths, blocks, unshuffle):
    net = positive(UNet(1, 1, widths, blocks, unshuffle), 0.3)
    side = 2 * (net.radius // net.stride + 2) * net.stride
    assert farthest(net, 1, side, net.stride) == (net.radius,) * 4


def test_residual_unet_picture_and_map():
    net = positive(ResidualUNet(1, (3, 3), (1, 1)), 0.3)
    radius, stride = net.unet.radius, net.unet.stride
    side = 2 * (radius // stride + 2) * stride
    level = torch.full((1, 1, side, side), 0.1, dtype=torch.float64)
    assert farthest(lambda picture: net(picture, level), 1, side, stride) == (radius,) * 4
    assert farthest(lambda noise_map: net(level, noise_map), 1, side, stride) == (radius,) * 4


def test_residual_unet_without_maps():
    net = positive(ResidualUNet(1, (3, 3), (1, 1), maps=0), 0.3)
    radius, stride = net.unet.radius, net.unet.stride
    assert farthest(net, 1, 2 * (radius // stride + 2) * stride, stride) == (radius,) * 4


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("depth", "kernel"), [(0, 3), (1, 3), (1, 5)])
def test_multiscale(depth, kernel, residual):
    """Declared is a bound: no pixel lies at its worst for all reductions and magnifications at once."""
    net = positive(MultiScaleDeblur(1, 2, depth, kernel, residual), 0.1)
    side = 2 * (net.radius // net.stride + 2) * net.stride
    distances = farthest(net, 1, side, net.stride)
    assert max(distances) <= net.radius
    assert min(distances) > net.radius - net.stride


@pytest.mark.parametrize("depth", [2, 3, 17, 20])
def test_dncnn(depth):
    net = positive(DnCNN(1, depth, width=3), 0.3)
    assert farthest(net, 1, 2 * depth + 4, 1) == (net.radius,) * 4 == (depth,) * 4


def test_noise_level():
    """Its outputs are cells of 16 pixels: the radius counts from the border of the cell."""
    net = positive(NoiseLevel(lambda picture: F.avg_pool2d(picture, CELL), 3, (3, 3, 3)), 0.15)
    cells = 2 * (net.radius // CELL) + 3
    middle = cells // 2
    top, bottom, left, right = reach(net, 3, cells * CELL, middle, middle)
    first, last = middle * CELL, (middle + 1) * CELL - 1
    assert (first - top, bottom - last, first - left, right - last) == (net.radius,) * 4 == (92,) * 4


@pytest.mark.parametrize(
    "config",
    [
        {"widths": (3, 3, 3), "depth": 1},
        {"widths": (3, 3, 3), "depth": 3, "kernel": 5},
        {"widths": (3, 3, 3), "depth": 1, "last": 4, "tail": 1},
        {"widths": (3, 3, 3, 3), "depth": 1, "tail": 1},
        {"widths": (3, 3, 3, 3), "depth": 2},
    ],
)
def test_kernel_prediction_frames_and_map(config):
    """Declared is a bound: no pixel lies at its worst for pooling and magnification at once."""
    net = positive(KernelPrediction(1, 2, **{"kernel": 3, **config}), 0.3)
    side = 2 * (net.radius // net.stride + 2) * net.stride
    level = torch.full((1, 1, side, side), 0.1, dtype=torch.float64)
    for distances in (
        farthest(lambda frames: net(frames, level), 2, side, net.stride),
        farthest(lambda noise_map: net(torch.cat([level, level], 1), noise_map), 1, side, net.stride),
    ):
        assert max(distances) <= net.radius
        assert min(distances) > net.radius - net.stride - net.kernel // 2


@pytest.mark.parametrize(("widths", "blocks"), [((3,), (1,)), ((3, 3), (1, 1)), ((3, 3, 3), (1, 0, 1))])
def test_burst_fusion(widths, blocks):
    plain = Stabilizer(lambda v, shot, read: v, lambda v, shot, read: v, lambda shot, read: read.sqrt())
    net = positive(BurstFusion(plain, 1, 3, widths, blocks), 0.1)
    stride = net.unet.stride
    side = 2 * (net.radius // stride + 2) * stride
    noise = torch.full((1, 1, side, side), 0.01, dtype=torch.float64)
    distances = farthest(lambda frames: net(frames, noise, noise), 2, side, stride)
    assert max(distances) <= net.radius
    assert min(distances) > net.radius - FOLD
