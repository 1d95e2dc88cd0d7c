"""The RAW denoiser of Brooks et al."""

import pytest
import torch
import torch.nn.functional as F

from photonet.nets.brooks import BrooksUNet
from photonet.tasks import get_task


def test_published_size():
    """11.8 million parameters, counted layer by layer: 9 weights a pair of channels, and a bias."""
    network = get_task("denoise").networks["raw-brooks"]
    count = sum(parameter.numel() for parameter in network.build(network.config).parameters())
    widths = [32, 64, 128, 256, 512]
    pairs = [(8, 32), (32, 64), (64, 128), (128, 256), (256, 512), (768, 256), (384, 128), (192, 64), (96, 32)]
    expected = sum(9 * (a * b + 2 * b * b) + 3 * b for a, b in pairs) + 9 * 32 * 4 + 4
    assert widths == list(network.config["widths"])
    assert count == expected == 11_776_708


def test_it_adds_to_the_input():
    net = BrooksUNet((4, 6))
    torch.nn.init.zeros_(net.tail.weight)
    torch.nn.init.constant_(net.tail.bias, 0.25)
    noisy = torch.rand(2, 1, 8, 12)
    torch.testing.assert_close(net(noisy, torch.zeros_like(noisy)), noisy + 0.25)


@pytest.mark.parametrize("widths", [(3,), (3, 3), (3, 3, 3)])
def test_radius(widths, monkeypatch):
    """Averages reach as far as maxima, and their gradients show it."""
    monkeypatch.setattr(F, "max_pool2d", lambda x, size: F.avg_pool2d(x, size))
    net = BrooksUNet(widths).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.2)
    side = 2 * (net.radius // net.stride + 2) * net.stride
    sites = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    distances = []
    first = side // 2 // net.stride * net.stride
    for row in range(first, first + net.stride):
        output = net(sites, sites.detach())[0, 0, row, row]
        (gradient,) = torch.autograd.grad(output, sites)
        touched = gradient[0, 0].abs().sum(1).nonzero()
        distances += [row - touched.min().item(), touched.max().item() - row]
    assert max(distances) <= net.radius
    assert max(distances) >= net.radius - net.stride
