"""Noise of sensors: units, statistics and seeds."""

import math

import pytest
import torch
from torch import Generator

from photonet.camera.sensor import (
    HIGH_ISO_CAMERAS,
    HighIsoCamera,
    LogLine,
    ShotRead,
    add_high_iso,
    add_shot_read,
    amplified,
    draw_shot_read,
    draw_told,
    from_deviations,
    from_levels,
    stabilize,
    stabilized_deviation,
    tukey_lambda,
    tukey_lambda_variance,
    unstabilize,
    variance,
)

SIDE = 400


def noise_of(shot, read, batch=1):
    return ShotRead(torch.full((batch,), shot), torch.full((batch,), read))


def test_value_units():
    """KPN's standard deviations, a sensor's electrons, and a gain."""
    assert [v.item() for v in from_deviations(torch.tensor([0.1]), torch.tensor([0.02]))] == pytest.approx([0.01, 4e-4])
    shot, read = from_levels(torch.tensor([2.0]), torch.tensor([8.0]), 16000)
    assert (shot.item(), read.item()) == pytest.approx((1.25e-4, 2.5e-7))
    assert [v.item() for v in amplified(noise_of(0.01, 1e-4), torch.tensor([3.0]))] == pytest.approx([0.03, 9e-4])


def test_a_gain_before_or_after_the_noise():
    """The noise of amplified values is the amplified noise."""
    noise, gain = noise_of(0.004, 1e-4), torch.tensor([2.5])
    signal = torch.full((1, 1, 1, 1), 0.2)
    after = variance(signal, noise) * gain**2
    assert variance(signal * gain, amplified(noise, gain)).item() == pytest.approx(after.item())


def test_value_variance():
    values = variance(torch.tensor([-0.1, 0.0, 0.5]).view(1, 1, 1, 3), noise_of(0.01, 1e-4))
    assert values.flatten().tolist() == pytest.approx([1e-4, 1e-4, 5.1e-3])


def test_added_noise_has_its_variance_and_no_bias(generator):
    for level in (0.0, 0.1, 0.8):
        signal = torch.full((1, 1, SIDE, SIDE), level)
        difference = add_shot_read(signal, noise_of(0.01, 1e-4), generator) - signal
        expected = math.sqrt(0.01 * level + 1e-4)
        assert difference.std().item() == pytest.approx(expected, rel=0.01)
        assert abs(difference.mean().item()) < 4 * expected / SIDE  # not clipped at black


def test_drawn_noise_follows_the_paper():
    noise = draw_shot_read(4000, torch.Generator().manual_seed(0))
    assert 1e-4 <= noise.shot.min() <= noise.shot.max() <= 0.012
    rest = noise.read.log() - 2.18 * noise.shot.log()
    assert rest.mean().item() == pytest.approx(1.20, abs=0.02)
    assert rest.std().item() == pytest.approx(0.26, abs=0.01)


def test_told_noise():
    """Errors of the shot variance and of the read deviation are log-normal; without an error the truth is told."""
    noise = noise_of(0.01, 1e-4, 4000)
    told = draw_told(noise, 0.1, Generator().manual_seed(0))
    for logarithm in ((told.shot / noise.shot).log(), (told.read / noise.read).log() / 2):
        assert logarithm.mean().item() == pytest.approx(0, abs=0.006)
        assert logarithm.std().item() == pytest.approx(0.1, rel=0.04)
    assert all(torch.equal(*pair) for pair in zip(draw_told(noise, 0.0, Generator()), noise, strict=True))


def test_value_tukey_lambda(generator):
    """Shape 0 is the logistic distribution, shape 2 is uniform in -1/2 to 1/2."""
    logistic = tukey_lambda(torch.zeros(1), (1, 100_000), generator)
    assert logistic.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.02)
    flat = tukey_lambda(torch.full((1,), 2.0), (1, 100_000), generator)
    assert flat.std().item() == pytest.approx(1 / math.sqrt(12), rel=0.02)
    assert flat.abs().max().item() <= 0.5
    shapes = torch.tensor([0.0, 2.0, 1.0, 0.14])
    assert tukey_lambda_variance(shapes)[:3].tolist() == pytest.approx([math.pi**2 / 3, 1 / 12, 1 / 3], rel=1e-4)
    nearly_normal = tukey_lambda(shapes[3:], (1, 100_000), generator)
    assert nearly_normal.var().item() == pytest.approx(tukey_lambda_variance(shapes)[3].item(), rel=0.02)


@pytest.mark.parametrize("camera", HIGH_ISO_CAMERAS)
def test_high_iso_noise(camera):
    signal = torch.full((6, 1, 64, 64), 0.05)
    noisy, _ = add_high_iso(signal, camera, 16383 - 512, torch.Generator().manual_seed(2))
    assert noisy.shape == signal.shape
    assert noisy.isfinite().all()
    assert torch.allclose(noisy.mean((1, 2, 3)), signal.mean((1, 2, 3)), atol=4e-3)
    assert (noisy.std((1, 2, 3)) > 0).all()
    dark, noise = add_high_iso(torch.zeros(6, 1, 256, 256), camera, 16383 - 512, torch.Generator().manual_seed(2))
    torch.testing.assert_close(dark.var((1, 2, 3)), noise.read, rtol=0.15, atol=0)  # few rows, cut tails
    rows, expected = dark.mean(3).std(2).squeeze(1), dark.std((1, 2, 3)) / 256**0.5
    assert (rows > 1.2 * expected).any()  # more than independent noise would leave in the mean of a row
    assert (dark < 0).any()  # signed


def test_value_high_iso_shot_noise(monkeypatch, generator):
    """Variance of the signal: gain · signal / white; without read and row noise nothing else is there."""
    nothing = LogLine(0.0, -30.0, 0.0)
    monkeypatch.setitem(HIGH_ISO_CAMERAS, "ideal", HighIsoCamera((4.0, 4.0), nothing, nothing, (0.14,)))
    for level in (0.05, 0.5):
        signal = torch.full((1, 1, SIDE, SIDE), level)
        noisy, variances = add_high_iso(signal, "ideal", 1000.0, generator)
        noise = noisy - signal
        assert (variances.shot.item(), variances.read.item()) == (pytest.approx(0.004), pytest.approx(0, abs=1e-20))
        assert noise.std().item() == pytest.approx(math.sqrt(4 * level / 1000), rel=0.02)
        assert abs(noise.mean().item()) < 4 * math.sqrt(4 * level / 1000) / SIDE


def test_same_seed_same_noise():
    signal = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for function in (
        lambda g: add_shot_read(signal, noise_of(0.01, 1e-4, 2), g),
        lambda g: add_high_iso(signal, "SonyA7S2", 15871, g)[0],
    ):
        one, other = (function(torch.Generator().manual_seed(7)) for _ in range(2))
        assert torch.equal(one, other)


@pytest.mark.parametrize(("shot", "read"), [(1e-4, 1e-8), (0.01, 2e-4), (0.0, 1e-4), (5e-3, 0.0)])
def test_stabilized_noise_is_the_same_everywhere(shot: float, read: float):
    noise = ShotRead(torch.tensor([shot]), torch.tensor([read]))
    for level in (0.1, 0.4, 0.9):
        signal = torch.full((1, 1, 300, 300), level)
        noisy = stabilize(add_shot_read(signal, noise, Generator().manual_seed(1)), noise)
        assert noisy.std().item() == pytest.approx(stabilized_deviation(noise).item(), rel=0.05)


def test_stabilize_keeps_black_and_white_and_is_undone():
    noise = ShotRead(torch.tensor([0.01, 1e-4]), torch.tensor([1e-4, 0.0]))
    signal = torch.linspace(-0.3, 1.5, 50).expand(2, 1, 1, 50)
    values = stabilize(signal, noise)
    ends = stabilize(torch.tensor([0.0, 1.0]).expand(2, 1, 1, 2), noise)
    torch.testing.assert_close(ends, torch.tensor([0.0, 1.0]).expand(2, 1, 1, 2))
    assert (values.diff() > 0).all()
    torch.testing.assert_close(unstabilize(values, noise), signal, atol=1e-5, rtol=1e-4)


def test_stabilize_by_hand():
    """shot 0.5, read 0.03125: offset 0.125; 0.25 becomes 0.25 (√0.125 + √0.625) / (√0.125 + √0.25)."""
    noise = ShotRead(torch.tensor([0.5]), torch.tensor([0.03125]))
    expected = 0.25 * (0.125**0.5 + 0.625**0.5) / (0.125**0.5 + 0.5)
    assert stabilize(torch.full((1, 1, 1, 1), 0.25), noise).item() == pytest.approx(expected, rel=1e-5)
