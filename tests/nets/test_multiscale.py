"""The multi-scale deblurring network: as it was published, and what it is trained against."""

import numpy as np
import pytest
import torch
from skimage.transform import pyramid_gaussian
from torch import nn

from photonet.nets.multiscale import Discriminator, MultiScaleDeblur, pyramid


def narrow(seed=1, **config):
    torch.manual_seed(seed)
    return MultiScaleDeblur(**{"width": 6, "depth": 2, "kernel": 3, **config})


def outputs(net, picture):
    with torch.no_grad():
        return net(picture, all_scales=True)


@pytest.fixture(scope="module")
def published():
    return MultiScaleDeblur()


def test_parameters(published):
    """At the published size, convolution by convolution."""

    def conv(before, after):
        return 25 * before * after + after

    scales = sum(conv(before, 64) + 38 * conv(64, 64) + conv(64, 3) for before in (3, 6, 6))
    assert scales + 2 * conv(3, 12) == 11_721_321
    assert sum(parameter.numel() for parameter in published.parameters()) == 11_721_321


def test_structure(published):
    """120 convolutions of 5×5 and 2 that magnify; no normalization, and a ReLU only between two of a block."""
    convs = {name: module for name, module in published.named_modules() if isinstance(module, nn.Conv2d)}
    assert len([name for name in convs if name.startswith("scales")]) == 120
    assert [convs[f"magnify.{level}.0"].out_channels for level in range(2)] == [12, 12]
    assert len(convs) == 122
    assert {conv.kernel_size for conv in convs.values()} == {(5, 5)}
    assert [scale[0].in_channels for scale in published.scales] == [3, 6, 6]
    assert not any("Norm" in type(module).__name__ for module in published.modules())
    assert published.stride == 4
    block = published.scales[0][1]
    with torch.no_grad():
        x = torch.randn(1, 64, 8, 8)
        result = block(x.clone())
        torch.testing.assert_close(result, x + block.conv2(block.conv1(x).relu()))
    assert result.min() < -1


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pyramid_as_scikit_image_does(size, channels, generator):
    """Away from the borders, which it reflects."""
    picture = torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)
    levels = pyramid(picture)
    expected = list(pyramid_gaussian(picture[0].permute(1, 2, 0).numpy(), max_layer=2, channel_axis=-1))
    assert len(levels) == len(expected) == 3
    for level, other in zip(levels, expected, strict=True):
        inner = slice(3, -3)
        result = level[0].permute(1, 2, 0).numpy()
        assert result.shape == other.shape
        np.testing.assert_allclose(result[inner, inner], other[inner, inner], atol=1e-6)


def test_pyramid_of_a_constant():
    """Its borders are replicated, and its weights sum to one."""
    for level, side in zip(pyramid(torch.full((2, 3, 16, 24), 0.7)), (1, 2, 4), strict=True):
        torch.testing.assert_close(level, torch.full((2, 3, 16 // side, 24 // side), 0.7))


def test_scales(generator):
    """Coarsest first; only the last is given by default."""
    net, picture = narrow(), torch.rand(2, 3, 16, 24, generator=generator)
    results = outputs(net, picture)
    assert [tuple(result.shape) for result in results] == [(2, 3, 4, 6), (2, 3, 8, 12), (2, 3, 16, 24)]
    with torch.no_grad():
        assert torch.equal(net(picture), results[-1])


@pytest.mark.parametrize("residual", [False, True])
def test_each_scale_sees_the_one_below(residual, generator):
    """The blurred picture and the magnified result, both about gray; a residual is what the picture lacks."""
    net, picture = narrow(residual=residual), torch.rand(1, 3, 16, 16, generator=generator)
    results = outputs(net, picture)
    with torch.no_grad():
        for level, blurred in enumerate(reversed(pyramid(picture))):
            shown = blurred - 0.5
            if level:
                shown = torch.cat([shown, net.magnify[level - 1](results[level - 1] - 0.5)], 1)
            expected = net.scales[level](shown) + (blurred if residual else 0.5)
            torch.testing.assert_close(results[level], expected, rtol=0, atol=1e-6)


def test_residual_begins_near_identity(generator):
    """Before training the picture comes out, or next to it; published networks begin with something else."""
    picture = torch.rand(1, 3, 32, 32, generator=generator)
    for result, target in zip(outputs(narrow(residual=True), picture), reversed(pyramid(picture)), strict=True):
        torch.testing.assert_close(result, target, rtol=0, atol=0.15)
        assert 0 < (result - target).abs().mean() < 0.03
    assert (outputs(narrow(), picture)[-1] - picture).abs().mean() > 0.1


@pytest.mark.parametrize("residual", [False, True])
def test_gradients(residual, generator):
    """All parameters learn from the finest scale alone."""
    net = narrow(residual=residual)
    net(torch.rand(2, 3, 16, 16, generator=generator)).square().mean().backward()
    lazy = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert lazy == []


def test_half_precision(generator):
    """The picture stays in its own precision: in bf16 alone its values would be off by up to 0.002."""
    picture = torch.rand(1, 3, 32, 32, generator=generator)
    exact, rough = outputs(narrow(residual=True), picture), outputs(narrow(residual=True).bfloat16(), picture)
    assert all(result.dtype == torch.float32 for result in rough)
    for one, other in zip(exact, rough, strict=True):
        assert 0 < (one - other).abs().max() < 0.01
    flat = narrow(residual=True)
    for scale in flat.scales:
        nn.init.zeros_(scale[-1].weight)
    assert torch.equal(outputs(flat.bfloat16(), picture)[-1], picture)


@pytest.mark.parametrize(("size", "shape"), [((256, 256), (1, 1)), ((256, 512), (1, 2)), ((304, 304), (1, 1))])
def test_discriminator(size, shape, generator):
    """One logit for all of a picture of 256 pixels per side."""
    module = Discriminator()
    with torch.no_grad():
        assert module(torch.rand(2, 3, *size, generator=generator)).shape == (2, 1, *shape)
        # without biases, gray is nothing to it
        assert module(torch.full((1, 3, *size), 0.5)).abs().max() == 0


def test_discriminator_as_published():
    convs = [module for module in Discriminator().modules() if isinstance(module, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [32, 32, 64, 64, 128, 128, 256, 256, 512, 512, 1]
    assert [conv.stride[0] for conv in convs] == [1, 2, 1, 2, 1, 4, 1, 4, 1, 4, 1]
    assert [conv.kernel_size[0] for conv in convs] == [5] * 9 + [4, 1]
    assert all(conv.bias is None for conv in convs)


def test_discriminator_refuses_small_pictures():
    with pytest.raises(ValueError, match=r"256 pixels.*\(300, 255\)"):
        Discriminator()(torch.zeros(1, 3, 300, 255))
