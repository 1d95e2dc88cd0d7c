"""The invertible network: its inverse, its size, and how far it sees."""

import pytest
import torch

from photonet.nets.invertible import DenseBlock, InvertibleIsp, InvertibleMatrix


def shaken(net: torch.nn.Module, strength: float = 0.01) -> torch.nn.Module:
    """Random weights where they begin at zero."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * strength)
    return net


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        yield


@pytest.mark.parametrize(("steps", "growth", "squeeze"), [(8, 32, 1), (6, 16, 2), (1, 3, 4)])
def test_inverse(steps: int, growth: int, squeeze: int):
    net = shaken(InvertibleIsp(steps, growth, squeeze))
    picture = torch.rand(2, 3, 20, 24)
    rendered = net(picture)
    assert 0.05 < (rendered - picture).abs().max() < 10  # what becomes of pictures, not of noise
    assert (net.inverse(rendered) - picture).abs().max() < 1e-4
    assert (net(net.inverse(picture)) - picture).abs().max() < 1e-4


@pytest.mark.parametrize("squeeze", [1, 2])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8])
def test_untrained_flow_changes_little(steps: int, squeeze: int):
    picture = torch.rand(1, 3, 8, 10)
    torch.testing.assert_close(InvertibleIsp(steps, 4, squeeze)(picture), picture, atol=0.02, rtol=0)


def test_published_size():
    """Eight blocks of three dense blocks, counted layer by layer."""

    def dense(inputs: int, outputs: int) -> int:
        layers = sum((9 * (inputs + 32 * number) + 1) * 32 for number in range(4))
        return layers + (9 * (inputs + 128) + 1) * outputs

    matrix = 9 + 9 + 3  # two triangles, held as squares, and a diagonal
    expected = 8 * (dense(2, 1) + 2 * dense(1, 2) + matrix)
    assert sum(parameter.numel() for parameter in InvertibleIsp().parameters()) == expected


def test_matrix():
    start = torch.tensor([[0.1, 2.0, 0.0], [1.0, 0.5, 0.3], [-0.2, 0.0, 1.5]])
    torch.testing.assert_close(InvertibleMatrix(start)(), start)
    matrix = shaken(InvertibleMatrix(start), 0.3)
    product = matrix() @ matrix.inverse()
    torch.testing.assert_close(product, torch.eye(3), atol=1e-5, rtol=0)
    assert matrix().det().abs() > 1e-3


def test_gradients_reach_everything():
    net = shaken(InvertibleIsp(2, 3))
    picture = torch.rand(1, 3, 8, 8)
    loss = net(picture).square().mean() + net.inverse(picture).square().mean()
    loss.backward()
    lazy = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert lazy == []


@pytest.mark.parametrize("squeeze", [1, 2])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_radius(direction: str, squeeze: int):
    net = shaken(InvertibleIsp(1, 2, squeeze)).double()
    middle = 2 * net.radius
    side = 2 * middle
    picture = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    output = getattr(net, direction)(picture)
    (gradient,) = torch.autograd.grad(output[0, :, middle, middle].sum(), picture)
    touched = gradient[0].abs().sum(0).sum(1).nonzero()
    assert touched.max().item() == middle + net.radius
    assert middle - net.radius <= touched.min().item() < middle - net.radius + squeeze


def test_dense_block_begins_near_zero():
    block = DenseBlock(2, 1, 4)
    assert 0 < block(torch.rand(1, 2, 6, 6)).abs().max() < 0.01
