"""Kernel prediction: how many weights, which kernels, and frames of any number."""

import pytest
import torch

from photonet.nets.kpn import KernelPrediction

WIDTHS = (4, 6, 8)


def narrow(channels=1, frames=3, kernel=3, seed=1, **config):
    torch.manual_seed(seed)
    return KernelPrediction(channels, frames, kernel, **{"widths": WIDTHS, "depth": 1, **config}).eval()


def fixed(**config):
    """One whose kernels are its bias, whatever it sees."""
    net = narrow(**config)
    torch.nn.init.zeros_(net.tail.weight)
    return net


def lively(**config):
    """One whose kernels depend much on what it sees."""
    net = narrow(**config)
    net.tail.weight.data *= 20
    return net


def level(frames, value=0.05):
    return torch.full_like(frames[:, :1], value)


@pytest.mark.parametrize(("channels", "expected"), [(1, 29_063_264), (3, 39_096_480)])
def test_parameters(channels, expected):
    """At the published width, convolution by convolution."""
    taps = 8 * channels * 25

    def block(before, width):
        return 9 * before * width + width + 2 * (9 * width * width + width)

    encoders = block(8 * channels + 1, 64) + block(64, 128) + block(128, 256) + block(256, 512) + block(512, 512)
    decoders = block(512 + 512, 512) + block(512 + 256, 256) + block(256 + 128, taps)
    net = KernelPrediction(channels)
    assert encoders + decoders + 9 * taps * taps + taps == expected
    assert sum(parameter.numel() for parameter in net.parameters()) == expected
    assert net.stride == 16


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_begins_as_the_mean(count, channels, generator):
    """Of fewer frames than it was built for, too."""
    frames = torch.rand(2, count, channels, 8, 12, generator=generator)
    result = fixed(channels=channels, frames=4, kernel=5)(frames.flatten(1, 2), level(frames[:, 0]))
    torch.testing.assert_close(result, frames.mean(1), rtol=0, atol=1e-6)


def test_begins_near_the_mean(generator):
    """The weights of the last convolution begin small."""
    frames = torch.rand(1, 3, 16, 16, generator=generator)
    torch.testing.assert_close(narrow()(frames, level(frames)), frames.mean(1, keepdim=True), rtol=0, atol=0.3)


@pytest.mark.parametrize(
    ("frames", "count", "groups"),
    [(3, 4, 2), (3, 5, 2), (3, 6, 3), (2, 4, 3), (8, 9, 2), (8, 8, 1)],
)
def test_more_frames_begin_as_the_mean_of_groups(frames, count, groups, generator):
    """The reference leads each group, and counts once in each."""
    shown = torch.rand(1, count, 8, 8, generator=generator)
    result = fixed(frames=frames)(shown, level(shown))
    expected = (groups * shown[:, :1] + shown[:, 1:].sum(1, keepdim=True)) / (groups + count - 1)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_groups(channels, generator):
    """Five frames, three at a time: the reference with the second and fourth, and with the third and fifth."""
    shown = torch.rand(1, 5, channels, 8, 8, generator=generator)
    net = lively(channels=channels)
    with torch.no_grad():
        parts = [net(shown[:, group].flatten(1, 2), level(shown[:, 0])) for group in ([0, 1, 3], [0, 2, 4])]
        result = net(shown.flatten(1, 2), level(shown[:, 0]))
    torch.testing.assert_close(result, (parts[0] + parts[1]) / 2, rtol=0, atol=1e-5)
    assert not torch.allclose(parts[0], parts[1], atol=1e-2)


def test_groups_of_unequal_size(generator):
    """Four frames, three at a time: a group of three and one of two, each frame weighing the same."""
    shown = torch.rand(1, 4, 8, 8, generator=generator)
    net = lively()
    with torch.no_grad():
        three, two = (net(shown[:, group], level(shown)) for group in ([0, 1, 3], [0, 2]))
        torch.testing.assert_close(net(shown, level(shown)), (3 * three + 2 * two) / 5, rtol=0, atol=1e-5)


def test_missing_frames_are_dark(generator):
    """The network sees black frames instead, but these are not averaged."""
    shown = torch.rand(1, 2, 8, 8, generator=generator)
    net = lively(frames=4)
    with torch.no_grad():
        dark = net.filtered(torch.cat([shown, torch.zeros(1, 2, 8, 8)], 1), level(shown))
        result = net(shown, level(shown))
    assert dark.shape == (1, 4, 1, 8, 8)
    torch.testing.assert_close(result, dark[:, :2].mean(1), rtol=0, atol=1e-6)


def test_kernel_value(generator):
    """Hand-set kernels: tap by tap, each frame by frame, each channel by channel."""
    net = fixed(channels=2, frames=2, kernel=3)
    assert net.tail.bias is not None
    taps = net.tail.bias.data.view(3, 3, 2, 2).zero_()  # row, column, frame, channel
    taps[1, 2, 0, 0] = 1  # the reference's first channel shows what lies right of it
    taps[0, 1, 0, 1] = 2  # its second twice what lies above
    taps[2, 0, 1, 0] = -1  # of the other frame, minus what lies below left
    taps[1, 1, 1, 1] = 1
    taps[1, 0, 1, 1] = 0.5  # and the pixel with half of its left neighbor
    frames = torch.rand(1, 4, 8, 8, generator=generator)
    result = net(frames, level(frames))
    shown = torch.nn.functional.pad(frames, (1,) * 4)[0]
    first = (shown[0, 1:-1, 2:] - shown[2, 2:, :-2]) / 2
    second = (2 * shown[1, :-2, 1:-1] + shown[3, 1:-1, 1:-1] + 0.5 * shown[3, 1:-1, :-2]) / 2
    torch.testing.assert_close(result[0], torch.stack([first, second]), rtol=0, atol=1e-6)


def test_kernels_are_of_half_the_resolution(generator):
    net = narrow(channels=2, frames=3, kernel=5, widths=(4, 6, 8, 8), last=7, tail=1)
    frames = torch.rand(2, 6, 16, 24, generator=generator)
    assert net.kernels(frames, level(frames)).shape == (2, 25 * 6, 8, 12)
    assert net.tail.in_channels == 7
    assert net(frames, level(frames)).shape == (2, 2, 16, 24)


def test_sees_frames_and_noise(generator):
    """Every frame, and the noise map, change the kernels of the reference."""
    net, frames = lively(), torch.rand(1, 3, 8, 8, generator=generator)
    with torch.no_grad():
        before = net.filtered(frames, level(frames))[:, 0]
        for index in range(3):
            other = frames.clone()
            other[:, index] = other[:, index].flip(-1)
            assert not torch.allclose(net.filtered(other, level(frames))[:, 0], before, atol=1e-3), index
        assert not torch.allclose(net.filtered(frames, level(frames, 0.5))[:, 0], before, atol=1e-3)


def test_gradient(generator):
    net = narrow(channels=3, frames=2, widths=(6, 8, 10, 10), depth=2).train()
    frames = torch.rand(1, 6, 16, 16, generator=generator, requires_grad=True)
    noise = level(frames).detach().requires_grad_()
    net(frames, noise).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert frames.grad is not None
    assert frames.grad.flatten(2).all(2).all()
    assert noise.grad is not None
    assert noise.grad.any()


def test_precision(generator):
    net, frames = narrow(), torch.rand(1, 3, 16, 16, generator=generator)
    exact = net(frames, level(frames))
    rough = net.to(torch.bfloat16)(frames, level(frames))
    assert rough.dtype == torch.float32  # the kernels are rounded, the pictures are not
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "config", [{"widths": (4, 4)}, {"widths": ()}, {"kernel": 4}, {"kernel": 0}, {"frames": 0}, {"frames": -1}]
)
def test_error_config(config):
    with pytest.raises(ValueError, match="widths"):
        KernelPrediction(**{"widths": WIDTHS, **config})
