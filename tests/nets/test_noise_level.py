"""The noise level network, its truth and its loss."""

import math

import pytest
import torch
import torch.nn.functional as F

from photonet.nets.noise_level import (
    CELL,
    FLOOR,
    NoiseLevel,
    local_noise_level,
    negative_log_likelihood,
    pool_levels,
    pooled_error,
)


def means(picture):
    """The mean of each cell and channel, as statistics."""
    return F.avg_pool2d(picture, CELL)


@pytest.mark.parametrize("widths", [(48, 64, 64), (64, 96, 128)])
def test_parameters(widths):
    a, b, c = widths
    head, blocks = 9 * 48 * a + a, sum(2 * (9 * w * w + w) for w in (*widths, c))
    downs, merge, tail = 4 * a * b + b + 4 * b * c + c, (c + 5) * c + c, 2 * c + 2
    net = NoiseLevel(means, 5, widths)
    assert sum(parameter.numel() for parameter in net.parameters()) == head + blocks + downs + merge + tail


def test_shape(generator):
    estimate = NoiseLevel(means, 3, (4, 4, 4)).eval()(torch.rand(2, 3, 32, 80, generator=generator))
    assert estimate.shape == (2, 2, 2, 5)
    assert estimate.dtype == torch.float32


def test_value():
    """A head that gives 0 everywhere means the typical level, with a scale of 1; the scale is bounded."""
    net = NoiseLevel(means, 3, (4, 4, 4)).eval()
    for tensor in (net.head[-1].weight, net.head[-1].bias):
        torch.nn.init.zeros_(tensor)
    assert net(torch.zeros(1, 3, 16, 16)).flatten().tolist() == [-3, 0]
    net.head[-1].bias.data.fill_(50.0)
    assert net(torch.zeros(1, 3, 16, 16)).flatten().tolist() == [47, 2]


def test_statistics_reach_the_estimate():
    net, level = NoiseLevel(lambda picture: level.expand(1, 1, 2, 2), 1, (4, 4, 4)).eval(), torch.zeros(1, 1, 1, 1)
    torch.nn.init.ones_(net.head[0].weight)
    before = net(torch.zeros(1, 3, 32, 32))
    level = torch.ones(1, 1, 1, 1)
    assert not torch.allclose(net(torch.zeros(1, 3, 32, 32)), before)


def test_error_config():
    with pytest.raises(ValueError, match="unpack"):
        NoiseLevel(means, 3, (4, 4))


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


def test_likelihood_value():
    truth = torch.full((1, 1, 2, 2), 0.1)
    right = torch.stack([(truth + FLOOR).log()[:, 0], torch.full((1, 2, 2), -1.0)], 1)
    assert negative_log_likelihood(right, truth).item() == pytest.approx(-1 / math.e)
    off = right + torch.tensor([0.5, 0.0]).view(1, 2, 1, 1)
    assert negative_log_likelihood(off, truth).item() == pytest.approx(0.5 - 1 / math.e)


def test_likelihood_gradient():
    """However unsure a cell is, its location learns as fast; and the scale settles at the mean error."""
    truth = torch.rand(1, 1, 2, 3, dtype=torch.float64) + 0.05
    estimate = torch.zeros(1, 2, 2, 3, dtype=torch.float64)
    estimate[0, 1] = torch.tensor([[-1.0, 0, 1], [-1, 0, 1]])
    estimate.requires_grad_()
    negative_log_likelihood(estimate, truth).backward()
    torch.testing.assert_close(estimate.grad[0, 0].abs(), torch.full((2, 3), 1 / 6, dtype=torch.float64))
    error = (truth + FLOOR).log().abs()[0, 0]
    torch.testing.assert_close(estimate.grad[0, 1], (estimate.detach()[0, 1].exp() - error) / 6)


def estimate_of(levels, scales):
    return torch.stack([(torch.tensor(levels) + FLOOR).log(), torch.tensor(scales).log()])[None].reshape(1, 2, 1, -1)


def test_pooled_levels_agree_where_only_unsure_cells_differ():
    pooled = pool_levels(estimate_of([0.1, 0.1, 0.1, 0.3], [0.02, 0.02, 0.02, 1.0]))
    assert pooled.flatten().tolist() == pytest.approx([0.1] * 4, rel=0.01)


def test_pooled_levels_keep_what_is_sure():
    levels = [0.05, 0.1, 0.05, 0.1]
    pooled = pool_levels(estimate_of(levels, [0.02] * 4))
    assert pooled.flatten().tolist() == pytest.approx(levels, rel=0.01)


def test_pooled_level_of_one_cell():
    assert pool_levels(estimate_of([0.07], [0.3])).item() == pytest.approx(0.07, rel=1e-5)


def test_pooled_error():
    """The mean of the logarithms' differences over pictures, not over cells."""
    truth = torch.tensor([0.1, 0.2]).view(2, 1, 1, 1).expand(2, 1, 3, 3)
    found = torch.tensor([0.1, 0.4]).view(2, 1, 1, 1).expand(2, 1, 3, 3)
    sure = torch.full_like(truth, -4.0)
    assert pooled_error(torch.cat([(truth + FLOOR).log(), sure], 1), truth).item() == pytest.approx(0, abs=1e-3)
    error = pooled_error(torch.cat([(found + FLOOR).log(), sure], 1), truth)
    assert error.item() == pytest.approx(math.log(2) / 2, rel=1e-3)
