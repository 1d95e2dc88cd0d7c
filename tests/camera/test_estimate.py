"""Noise of a mosaic, estimated beside what was added."""

from pathlib import Path

import numpy as np
import pytest
import torch

from photonet.camera.estimate import estimate_shot_read
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
