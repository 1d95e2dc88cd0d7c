"""Noise of a mosaic, estimated beside what was added."""

from pathlib import Path

import numpy as np
import pytest
import torch

from photonet.camera.estimate import PATCH, PATCH_BINS, estimate_shot_read, noise_between, shot_read_of
from photonet.camera.mosaic import mosaic
from photonet.camera.sensor import ShotRead, add_shot_read
from photonet.camera.unprocess import draw_camera, unprocess
from photonet.io import read

SAMPLES = Path(__file__).parents[2] / "samples"
CFA = np.array([[0, 1], [1, 2]])
SIGNALS = (0.02, 0.1, 0.5)


@pytest.fixture(scope="module")
def scene():
    """A photograph as a sensor saw it, 1 1 H W."""
    display = torch.from_numpy(read(SAMPLES / "clean" / "astronaut.png").pixels).permute(2, 0, 1)[None] / 255
    display = display[..., : display.shape[-2] // 2 * 2, : display.shape[-1] // 2 * 2]
    return mosaic(unprocess(display, draw_camera(1, torch.Generator().manual_seed(0))), CFA)


@pytest.mark.parametrize(("shot", "read_variance"), [(5e-3, 1e-5), (1e-2, 1e-4), (1e-2, 0.0)])
def test_photograph(scene, shot, read_variance, generator):
    noise = ShotRead(torch.tensor([shot]), torch.tensor([read_variance]))
    found = estimate_shot_read(add_shot_read(scene, noise, generator).clamp_max(1)[0, 0])
    for signal in SIGNALS:
        true = (shot * signal + read_variance) ** 0.5
        assert (found.shot * signal + found.read) ** 0.5 == pytest.approx(true, rel=0.15), signal


def test_read_noise_is_sure_in_the_dark(generator):
    ramp = torch.linspace(0, 0.6, 768).expand(1, 1, 512, 768)
    found = estimate_shot_read(
        add_shot_read(ramp, ShotRead(torch.tensor([1e-3]), torch.tensor([4e-4])), generator)[0, 0]
    )
    assert found.read_is_sure
    assert found.read == pytest.approx(4e-4, rel=0.1)
    assert found.shot == pytest.approx(1e-3, rel=0.15)


def test_read_noise_is_not_sure_in_the_light(generator):
    ramp = torch.linspace(0.4, 0.6, 768).expand(1, 1, 512, 768)
    noise = ShotRead(torch.tensor([1e-2]), torch.tensor([1e-6]))
    assert not estimate_shot_read(add_shot_read(ramp, noise, generator)[0, 0]).read_is_sure


@pytest.mark.parametrize("size", [(4, 4), (31, 500), (15, 15)])
def test_pictures_too_small_for_it(size):
    assert estimate_shot_read(torch.rand(size)) is None


def test_x_trans_period(generator):
    ramp = torch.linspace(0, 0.6, 960).expand(1, 1, 672, 960)
    noise = ShotRead(torch.tensor([5e-3]), torch.tensor([1e-4]))
    found = estimate_shot_read(add_shot_read(ramp, noise, generator)[0, 0], period=6)
    assert found.shot == pytest.approx(5e-3, rel=0.15)


def patches(texture, deviation, shift, generator, count=400, channels=3):
    """Patches of two frames with independent noise; `texture` of them show waves, in the second moved by `shift`."""
    brightness = torch.linspace(0.1, 0.7, count).view(-1, 1, 1, 1)
    waves = torch.zeros(count, 1, 1, 1)
    waves[torch.randperm(count, generator=generator)[: round(texture * count)]] = 0.2
    length = torch.rand(count, 1, 1, 1, generator=generator) * 12 + 6
    x = torch.arange(float(PATCH)).view(1, 1, 1, -1)
    shown = [(brightness + waves * torch.sin(2 * torch.pi * (x + moved) / length)) for moved in (0, shift)]
    noise = torch.randn(2, count, channels, PATCH, PATCH, generator=generator) * deviation(brightness)
    return shown[0] + noise[0], shown[1] + noise[1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("texture", "shift"), [(0.0, 0.0), (0.6, 0.0), (0.6, 0.5)])
def test_between_frames_of_white_noise(texture, shift, channels, generator):
    first, second = patches(texture, lambda brightness: 0.03, shift, generator, channels=channels)
    means, variances = noise_between(first, second)
    assert len(means) == len(variances) == PATCH_BINS
    assert (means.diff() > 0).all()
    assert means[0].item() == pytest.approx(0.125, abs=0.03)
    assert means[-1].item() == pytest.approx(0.675, abs=0.03)
    # the brightest patches of their kind are chosen by what also depends on the noise, which costs up to 5 percent
    assert variances.mean().sqrt().item() == pytest.approx(0.03, rel=0.04)
    torch.testing.assert_close(variances.sqrt(), torch.full_like(variances, 0.03), rtol=0.08, atol=0)


def test_between_frames_few_patches(generator):
    first, second = patches(0, lambda brightness: 0.02, 0, generator, count=5)
    means, variances = noise_between(first, second)
    assert means.shape == variances.shape == (1,)
    assert variances.sqrt().item() == pytest.approx(0.02, rel=0.1)


def test_shot_and_read_of_a_line():
    means = torch.linspace(0.02, 0.8, PATCH_BINS)
    found = shot_read_of(means, 4e-3 * means + 1e-4)
    assert found.shot == pytest.approx(4e-3, rel=1e-3)
    assert found.read == pytest.approx(1e-4, rel=1e-3)
    assert found.read_is_sure
    assert found.cells == PATCH_BINS


def test_shot_and_read_of_a_line_with_texture():
    """What lies far above the line counts little."""
    means = torch.linspace(0.02, 0.8, PATCH_BINS)
    variances = 4e-3 * means + 1e-4
    variances[[3, 8]] *= 3
    found = shot_read_of(means, variances)
    for signal in SIGNALS:
        assert (found.shot * signal + found.read) ** 0.5 == pytest.approx((4e-3 * signal + 1e-4) ** 0.5, rel=0.1), (
            signal
        )


def test_shot_and_read_between_frames(generator):
    first, second = patches(0.6, lambda brightness: (4e-3 * brightness + 1e-4).sqrt(), 0.5, generator)
    found = shot_read_of(*noise_between(first, second))
    for signal in SIGNALS[1:]:
        assert (found.shot * signal + found.read) ** 0.5 == pytest.approx((4e-3 * signal + 1e-4) ** 0.5, rel=0.07), (
            signal
        )
