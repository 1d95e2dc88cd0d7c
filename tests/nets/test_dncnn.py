"""DnCNN: the published structure, and batch norm folded."""

import pytest
import torch
from torch import nn

from photonet.nets.dncnn import DnCNN, fold_batch_norm


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def randomized(net, generator):
    """Batch norms as after a training: no scale, shift or running statistic is trivial."""
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        for tensor, low, high in (
            (norm.weight, 0.5, 1.5),
            (norm.bias, -0.3, 0.3),
            (norm.running_mean, -0.5, 0.5),
            (norm.running_var, 0.5, 2.0),
        ):
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return net


def test_parameters_as_published():
    # convolution 9·3·64 + 64, 18 × (9·64·64 + scale 64 + shift 64), convolution 9·64·3 + 3
    assert count(DnCNN(channels=3, depth=20)) == 1792 + 18 * 36_992 + 1731 == 669_379
    # TIP 2017, §III: 17 layers for gray at one noise level; 556 thousand parameters
    assert count(DnCNN(channels=1, depth=17)) == 640 + 15 * 36_992 + 577 == 556_097
    # folded: a bias of 64 takes the place of scale and shift
    assert count(DnCNN(channels=1, depth=17, folded=True)) == 640 + 15 * (36_864 + 64) + 577 == 555_137


@pytest.mark.parametrize(("channels", "depth"), [(1, 17), (3, 20)])
def test_structure_as_published(channels, depth):
    layers = list(DnCNN(channels, depth).body)
    kinds = [nn.Conv2d, nn.ReLU, *[nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * (depth - 2), nn.Conv2d]
    assert all(isinstance(layer, kind) for layer, kind in zip(layers, kinds, strict=True))
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [conv.in_channels for conv in convs] == [channels] + [64] * (depth - 1)
    assert [conv.out_channels for conv in convs] == [64] * (depth - 1) + [channels]
    assert all(conv.kernel_size == (3, 3) and conv.padding == (1, 1) for conv in convs)


def test_predicts_the_noise(generator):
    net = DnCNN(channels=1, depth=3, width=4).eval()
    noisy = torch.rand(1, 1, 9, 11, generator=generator)
    torch.testing.assert_close(net(noisy) + net.body(noisy), noisy)
    nn.init.zeros_(net.body[-1].weight)
    assert torch.equal(net(noisy), noisy)


def test_fold_batch_norm(generator):
    net = randomized(DnCNN(channels=3, depth=20, width=64), generator).eval()
    folded = fold_batch_norm(net)
    noisy = torch.rand(1, 3, 24, 19, generator=generator)
    with torch.no_grad():
        expected = net(noisy)
        torch.testing.assert_close(folded(noisy), expected, rtol=1e-5, atol=1e-5)
    assert (expected - noisy).abs().max() > 1e-2  # the network did something that could have gone wrong
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert not folded.training


def test_fold_value():
    """One channel by hand: weight 2, gamma 3, variance 4 - eps, mean 1, beta 0.5: 3·w, 0.5 - 1·1.5."""
    net = DnCNN(channels=1, depth=3, width=1).eval()
    norm = net.body[3]
    for tensor, value in ((norm.weight, 3.0), (norm.bias, 0.5), (norm.running_mean, 1.0)):
        tensor.data.fill_(value)
    norm.running_var.fill_(4 - norm.eps)
    net.body[2].weight.data.fill_(2.0)
    conv = fold_batch_norm(net).body[2]
    torch.testing.assert_close(conv.weight, torch.full((1, 1, 3, 3), 3.0))
    torch.testing.assert_close(conv.bias, torch.tensor([-1.0]))


def test_fold_of_folded_is_itself():
    net = DnCNN(channels=1, depth=3, width=4, folded=True)
    assert fold_batch_norm(net) is net


def test_precision(generator):
    net = DnCNN(channels=1, depth=4, width=8, folded=True).eval()
    noisy = torch.rand(1, 1, 16, 16, generator=generator)
    exact = net(noisy)
    rough = net.to(torch.bfloat16)(noisy)
    assert rough.dtype == torch.float32  # the residual is rounded, the picture is not
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02)


@pytest.mark.parametrize("depth", [-1, 0, 1])
def test_error(depth):
    with pytest.raises(ValueError, match="at least 2"):
        DnCNN(depth=depth)
