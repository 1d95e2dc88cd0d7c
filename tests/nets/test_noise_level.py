"""The noise level network, its truth and its loss."""

import math

import pytest
import torch

from photonet.nets.noise_level import CELL, FLOOR, NoiseLevel, local_noise_level, log_error


def test_parameters():
    assert sum(parameter.numel() for parameter in NoiseLevel().parameters()) == 516_929


def test_shape(generator):
    net = NoiseLevel((4, 4, 4)).eval()
    level = net(torch.rand(2, 3, 32, 80, generator=generator))
    assert level.shape == (2, 1, 2, 5)
    assert level.dtype == torch.float32
    assert (level >= 0).all()


def test_value():
    """A body that gives 0 everywhere means exp(-2)."""
    net = NoiseLevel((4, 4, 4)).eval()
    for tensor in (net.body[-1].weight, net.body[-1].bias):
        torch.nn.init.zeros_(tensor)
    assert net(torch.zeros(1, 3, 16, 16)).item() == pytest.approx(math.exp(-2) - FLOOR, rel=1e-6)
    net.body[-1].bias.data.fill_(-20.0)  # far below the floor
    assert net(torch.zeros(1, 3, 16, 16)).item() == 0


def test_gradient_below_the_floor():
    """While it learns, an estimate below the floor is not stuck there."""
    net = NoiseLevel((4, 4, 4)).train()
    net.body[-1].bias.data.fill_(-20.0)
    net(torch.zeros(1, 3, 16, 16)).sum().backward()
    assert net.body[-1].bias.grad.item() > 0


def test_error_config():
    with pytest.raises(ValueError, match="unpack"):
        NoiseLevel((4, 4))


def test_local_noise_level_value():
    flat = torch.full((1, 3, 64, 48), 0.1)
    flat[:, :, ::2] *= -1
    torch.testing.assert_close(local_noise_level(flat), torch.full((1, 1, 4, 3), 0.1))
    # noise in one cell of 5×5, in one of three channels: a ninth of the energy reaches each neighbor, and a third of it
    spot = torch.zeros(1, 3, 5 * CELL, 5 * CELL)
    spot[:, 1, 2 * CELL : 3 * CELL, 2 * CELL : 3 * CELL] = 0.9
    level = local_noise_level(spot)[0, 0]
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = 0.9 / math.sqrt(27)
    torch.testing.assert_close(level, expected)


def test_local_noise_level_at_the_border():
    """Cells beyond the border repeat those inside: noise in a corner cell counts four times there."""
    corner = torch.zeros(1, 1, 3 * CELL, 3 * CELL)
    corner[:, :, :CELL, :CELL] = 0.3
    level = local_noise_level(corner)[0, 0]
    assert level[0, 0].item() == pytest.approx(0.3 * math.sqrt(4 / 9))
    assert level[0, 1].item() == pytest.approx(0.3 * math.sqrt(2 / 9))
    assert level[1, 1].item() == pytest.approx(0.3 * math.sqrt(1 / 9))


def test_log_error_value():
    truth = torch.tensor([0.1, 0.02])
    assert log_error(truth, truth).item() == 0
    twice = 2 * (truth + FLOOR) - FLOOR
    assert log_error(twice, truth).item() == pytest.approx(math.log(2), rel=1e-5)
    assert log_error(torch.tensor([-1.0]), torch.tensor([0.0])).item() == pytest.approx(math.log(10), rel=1e-5)


def test_log_error_gradient():
    truth = torch.tensor([0.1, 0.02, 0.3], dtype=torch.float64)
    estimate = torch.tensor([0.2, 0.01, 0.29], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: log_error(value, truth), estimate)
