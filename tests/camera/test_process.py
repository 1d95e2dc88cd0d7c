"""Development and its inverse."""

import pytest
import torch

from photonet.camera import process, unprocess
from photonet.camera.mosaic import BAYER, XTRANS
from photonet.camera.unprocess import Camera, draw_camera


@pytest.fixture
def cameras(generator):
    return draw_camera(4, generator)


def test_value_white_balance():
    camera = torch.full((1, 3, 1, 1), 0.25)
    assert process.white_balance(camera, torch.tensor([[2.0, 1.0, 1.6]])).flatten().tolist() == pytest.approx(
        [0.5, 0.25, 0.4]
    )


def test_value_color_matrix():
    matrix = torch.tensor([[1.5, -0.5, 0.0], [0.0, 1.0, 0.0], [0.0, -0.25, 1.25]])
    camera = torch.tensor([0.4, 0.2, 0.8]).view(1, 3, 1, 1)
    for form in (matrix, matrix[None]):
        assert process.color_matrix(camera, form).flatten().tolist() == pytest.approx([0.5, 0.2, 0.95])


def test_value_gamma():
    assert process.gamma(torch.tensor([0.25])).item() == pytest.approx(0.25 ** (1 / 2.2))
    assert process.gamma(torch.tensor([-1.0])).isfinite().all()


def test_value_tone_curve():
    values = torch.tensor([-0.2, 0.0, 0.25, 0.5, 1.0, 1.3])
    assert process.tone_curve(values).tolist() == pytest.approx([0, 0, 0.15625, 0.5, 1, 1])
    assert unprocess.tone_curve(torch.tensor([0.15625])).item() == pytest.approx(0.25, abs=1e-6)


def test_value_base_curve():
    """Half becomes 1/(1 + 0.75); the ends stay."""
    values = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.2])
    assert process.base_curve(values).tolist() == pytest.approx([0, 0, 1 / 1.75, 1, 1])
    assert torch.allclose(process.base_curve(values, 1, 1), values.clamp(0, 1))


@pytest.mark.parametrize("name", ["tone_curve", "gamma", "base_curve"])
def test_curves_are_inverse(name):
    values = torch.linspace(0.001, 1, 500)
    there = getattr(unprocess, name)(values)
    assert torch.allclose(getattr(process, name)(there), values, atol=2e-4)


def test_open_curve():
    """The base curve where it is steep enough, and its exact inverse far beyond black and white."""
    middle = torch.linspace(process.TOE, process.KNEE, 50, dtype=torch.float64)
    white = torch.tensor([1.0, 1.6], dtype=torch.float64)
    shown = process.open_curve(middle.expand(2, 3, 1, -1), white)
    assert torch.allclose(shown, process.base_curve(middle).expand(2, 3, 1, -1))
    values = torch.linspace(-0.5, 2.5, 3001, dtype=torch.float64)
    shown = process.open_curve(values.expand(2, 1, 1, -1), white)
    assert (shown.diff() > 0).all()
    assert torch.allclose(unprocess.open_curve(shown, white)[:, 0, 0], values.expand(2, -1), atol=1e-9)
    slopes = shown[0, 0, 0].diff() / values.diff()
    knee = round((process.KNEE + 0.5) * 1000)  # index of the knee
    assert slopes[knee - 1].item() == pytest.approx(slopes[knee].item(), rel=0.05)  # no edge there
    assert [shown[0, 0, 0, 1500].item(), shown[1, 0, 0, 2100].item()] == pytest.approx([1, 1], abs=1e-9)
    near_base = process.base_curve(values[1350:1500]) - shown[0, 0, 0, 1350:1500]
    assert near_base.abs().max() < 0.01  # where nothing is brighter than white, it is nearly the development's curve


def test_cameras(cameras):
    """Gains of daylight, and matrices under which white stays white."""
    ratio = cameras.gains / cameras.gains[:, 1:2]
    assert ((ratio[:, 0] >= 1.9) & (ratio[:, 0] <= 2.4)).all()
    assert ((ratio[:, 2] >= 1.5) & (ratio[:, 2] <= 1.9)).all()
    assert torch.allclose(cameras.matrix.sum(2), torch.ones(4, 3), atol=1e-5)
    assert not torch.allclose(cameras.matrix[0], cameras.matrix[1])


def test_round_trip(cameras):
    """Dark and middle values come back; highlights are what the safe gains bend."""
    display = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.3 + 0.3
    camera = unprocess.unprocess(display, cameras)
    back = process.process(camera, cameras.gains, cameras.matrix)
    kept = (camera > 0).all(1, keepdim=True) & (camera < 1).all(1, keepdim=True)
    assert kept.float().mean() > 0.8
    assert (back - display).abs()[kept.expand_as(back)].max() < 1e-3


def test_white_stays_white(cameras):
    """Without the highlight rule the camera would never clip, and red and blue would be darker than green."""
    white = unprocess.unprocess(torch.ones(4, 3, 2, 2), cameras)
    assert torch.allclose(white, torch.ones(4, 3, 2, 2), atol=1e-4)
    gray = unprocess.white_balance(torch.full((4, 3, 1, 1), 0.5), cameras.gains)
    assert torch.allclose(gray, 0.5 / cameras.gains[:, :, None, None])


@pytest.mark.parametrize("module", [process, unprocess])
@pytest.mark.parametrize("name", ["white_balance", "color_matrix", "gamma", "tone_curve", "base_curve", "open_curve"])
def test_gradient(module, name, generator):
    camera = draw_camera(1, generator)
    picture = torch.rand(1, 3, 3, 3, dtype=torch.float64, generator=generator) * 0.8 + 0.1
    told = {
        "white_balance": camera.gains.double(),
        "color_matrix": camera.matrix.double(),
        "open_curve": torch.tensor([1.2]),
    }
    extra = (told[name],) if name in told else ()
    assert torch.autograd.gradcheck(lambda x: getattr(module, name)(x, *extra), picture.requires_grad_())


def test_same_seed_same_camera():
    one, other = (draw_camera(2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.gains, other.gains)
    assert isinstance(one, Camera)


def test_gradient_of_a_mosaic(generator):
    sites = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator) * 0.4
    gains, matrix = torch.tensor([2.0, 1.0, 1.5]), torch.eye(3)
    develop = lambda x: process.mosaic_to_linear(x, BAYER["RGGB"], gains, matrix)  # noqa: E731
    assert torch.autograd.gradcheck(develop, sites.requires_grad_())


def test_mosaics_are_developed_where_they_are():
    on_meta = torch.empty(1, 1, 6, 6, device="meta")
    gains, matrix = torch.ones(3, device="meta"), torch.eye(3, device="meta")
    assert process.mosaic_to_linear(on_meta, XTRANS, gains, matrix).device.type == "meta"
