"""The network that merges any number of frames: what it trusts, and how much noise that leaves."""

import itertools
import math

import pytest
import torch

from photonet.nets.fusion import LEAST_LEVEL, READY_TO_TRUST, BurstFusion, Stabilizer

TRUST = 1 / (1 + math.exp(-READY_TO_TRUST))
SHOT, READ = 0.02, 0.0025
# no curve, for white noise; and one for noise of all strengths alike, which depends on both variances
PLAIN = Stabilizer(lambda v, shot, read: v, lambda v, shot, read: v, lambda shot, read: read.sqrt())
SCALED = Stabilizer(
    lambda v, shot, read: (v + 1) / (shot + read).view(-1, 1, 1, 1),
    lambda v, shot, read: v * (shot + read).view(-1, 1, 1, 1) - 1,
    lambda shot, read: read.sqrt() / (shot + read),
)


def narrow(channels=1, stabilizer=PLAIN, seed=2):
    torch.manual_seed(seed)
    return BurstFusion(stabilizer, channels, 4, (4, 4), (1, 1)).eval()


def blind(channels=1, stabilizer=PLAIN):
    """One that trusts every pixel alike."""
    net = narrow(channels, stabilizer)
    torch.nn.init.zeros_(net.trust[-1].weight)
    return net


def doubtful(channels=1, stabilizer=PLAIN):
    """One whose trust depends much on what it sees."""
    net = narrow(channels, stabilizer)
    net.trust[-1].weight.data *= 20
    return net


def maps(frames, shot=SHOT, read=READ):
    return tuple(torch.full_like(frames[:, :1], value) for value in (shot, read))


def variances(frames, shot=SHOT, read=READ):
    return tuple(torch.full_like(frames[:, 0, 0, 0], value) for value in (shot, read))


def test_order_makes_no_difference(generator):
    frames = torch.rand(1, 4, 16, 16, generator=generator)
    net, noise = doubtful(), maps(frames)
    with torch.no_grad():
        results = [net(frames[:, [0, *order]], *noise) for order in itertools.permutations((1, 2, 3))]
        other = net(frames[:, [1, 0, 2, 3]], *noise)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=1e-5)
    assert not torch.allclose(other, results[0], atol=1e-3)  # which of them is the reference does


@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape(count, channels, generator):
    frames = torch.rand(2, count * channels, 8, 12, generator=generator)
    result = narrow(channels)(frames, *maps(frames))
    assert result.shape == (2, channels, 8, 12)
    assert result.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_equal_frames_are_the_reference(channels, generator):
    reference = torch.rand(2, channels, 16, 12, generator=generator)
    net, before = doubtful(channels), torch.ones(2, 1, 16, 12)
    for count in (1, 2, 5):
        merged, left = net.merged(reference.repeat(1, count, 1, 1), *variances(reference))
        torch.testing.assert_close(merged, reference, rtol=0, atol=1e-6)
        assert left.shape == (2, 1, 16, 12)
        if count == 1:
            assert (left == 1).all()
        else:
            assert (left < before).all()  # frames that are trusted at all leave less, and more of them still less
        before = left


@pytest.mark.parametrize("stabilizer", [PLAIN, SCALED])
def test_merged_value(stabilizer, generator):
    """Before training every frame is trusted nearly alike: the logistic function of 2, 0.88. Values are averaged."""
    frames = torch.rand(1, 6, 8, 8, generator=generator)
    merged, left = blind(2, stabilizer).merged(frames, *variances(frames))
    expected = (frames[:, :2] + TRUST * (frames[:, 2:4] + frames[:, 4:])) / (1 + 2 * TRUST)
    torch.testing.assert_close(merged, expected)
    torch.testing.assert_close(left, torch.full_like(left, math.sqrt(1 + 2 * TRUST**2) / (1 + 2 * TRUST)))


def test_tells_the_noise_that_is_left(generator):
    frames = torch.randn(1, 5, 96, 96, generator=generator) * 0.05
    merged, left = blind().merged(frames, *variances(frames))
    assert merged.std().item() == pytest.approx(0.05 * left.mean().item(), rel=0.03)


def test_trust_is_each_frames_own(generator):
    """Of three frames, the sums of what each gets alone; as left = √(1 + t²) / (1 + t) tells it."""
    frames = torch.rand(1, 3, 16, 16, generator=generator, dtype=torch.float64)
    net = doubtful().double()
    with torch.no_grad():
        trusts = []
        for other in (1, 2):
            merged, left = net.merged(frames[:, [0, other]], *variances(frames))
            trust = (merged - frames[:, :1]) / (frames[:, other : other + 1] - merged)
            torch.testing.assert_close((1 + trust.square()).sqrt() / (1 + trust), left, rtol=1e-4, atol=0)
            trusts.append(trust)
        merged, left = net.merged(frames, *variances(frames))
    assert trusts[0].std() > 0.02
    total = 1 + trusts[0] + trusts[1]
    expected = (frames[:, :1] + trusts[0] * frames[:, 1:2] + trusts[1] * frames[:, 2:]) / total
    torch.testing.assert_close(merged, expected, rtol=0, atol=1e-5)
    energy = 1 + trusts[0].square() + trusts[1].square()
    torch.testing.assert_close(left, energy.sqrt() / total, rtol=0, atol=1e-5)


def test_what_the_trust_sees(generator):
    """On the curve: the difference in quarters of the noise, the reference, and the level; folded."""
    frames, seen = torch.rand(2, 2, 4, 6, generator=generator), []
    shot, read = torch.tensor([0.02, 0.05]), torch.tensor([0.01, 0.04])
    net = narrow(1, SCALED)
    net.trust.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    net.merged(frames, shot, read)
    scale = (shot + read).view(2, 1, 1, 1)
    level = read.sqrt().view(2, 1, 1, 1) / scale
    difference = (frames[:, 1:] - frames[:, :1]) / scale / (4 * (level + LEAST_LEVEL))
    expected = torch.cat([difference, (frames[:, :1] + 1) / scale, level.expand(2, 1, 4, 6)], 1)
    torch.testing.assert_close(torch.nn.functional.pixel_shuffle(seen[0], 2), expected)


def test_what_the_unet_sees(generator):
    """Average and reference on the curve for as many frames, and the noise that is left in the average there."""
    frames, seen = torch.rand(1, 4, 8, 8, generator=generator), []
    net = blind(1, SCALED)
    net.unet.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    net(frames, *maps(frames))
    merged, left = net.merged(frames, *variances(frames))
    scale = (SHOT + READ) / 4
    # the curve is a scale, so that the noise of one frame on it is that of one frame over the scale
    expected = [(merged + 1) / scale, math.sqrt(READ) / scale * left, (frames[:, :1] + 1) / scale]
    torch.testing.assert_close(seen[0], torch.cat(expected, 1))


@pytest.mark.parametrize("stabilizer", [PLAIN, SCALED])
@pytest.mark.parametrize("count", [1, 3])
def test_no_residual_no_change(count, stabilizer, generator):
    frames = torch.rand(1, count * 2, 16, 16, generator=generator)
    net, noise = narrow(2, stabilizer), maps(frames)
    torch.nn.init.zeros_(net.unet.tail.weight)
    torch.testing.assert_close(net(frames, *noise), net.merged(frames, *variances(frames))[0], rtol=0, atol=1e-5)


def test_sees_the_noise(generator):
    frames = torch.rand(1, 3, 16, 16, generator=generator)
    net = narrow()
    weak, strong = (net(frames, *maps(frames, read=value)) for value in (1e-4, 0.25))
    assert not torch.allclose(weak, strong, atol=1e-3)


def test_gradient(generator):
    net = narrow(3).train()
    frames = torch.rand(1, 9, 16, 16, generator=generator, requires_grad=True)
    net(frames, *maps(frames.detach())).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert frames.grad is not None
    assert frames.grad.flatten(2).any(2).all()


def test_precision(generator):
    net, frames = narrow(), torch.rand(1, 3, 16, 16, generator=generator)
    exact = net(frames, *maps(frames))
    rough = net.to(torch.bfloat16)(frames, *maps(frames))
    assert rough.dtype == torch.float32  # what is trusted and taken away is rounded, the frames are not
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.03)
