"""Color filter arrays."""

import numpy as np
import pytest
import torch
from skimage import data

from photonet.camera.mosaic import BAYER, XTRANS, colors_of, demosaic, demosaic_finely, mosaic, pack, shifted, unpack

ARRAYS = {**BAYER, "X-Trans": XTRANS}
every_array = pytest.mark.parametrize("cfa", ARRAYS.values(), ids=ARRAYS.keys())


def waves(height, width):
    """A smooth picture, 1 3 H W, whose colors differ."""
    rows, columns = torch.meshgrid(torch.arange(height) / 9, torch.arange(width) / 7, indexing="ij")
    return torch.stack([torch.sin(rows + columns * k) for k in (0.3, 0.5, 0.8)])[None] / 3 + 0.5


@every_array
@pytest.mark.parametrize("size", [(24, 30), (13, 19), (6, 7)])
def test_shape(cfa, size):
    rgb = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    sites = mosaic(rgb, cfa)
    assert sites.shape == (2, 1, *size)
    assert demosaic(sites, cfa).shape == rgb.shape


def test_value_mosaic():
    rgb = torch.arange(12.0).view(1, 3, 2, 2)
    assert mosaic(rgb, BAYER["RGGB"]).flatten().tolist() == [0, 5, 6, 11]
    assert mosaic(rgb, BAYER["GBRG"]).flatten().tolist() == [4, 9, 2, 7]


def test_value_xtrans_counts():
    """20 of 36 sites are green, 8 red, 8 blue; every row and column has all three."""
    assert np.bincount(XTRANS.flatten()).tolist() == [8, 20, 8]
    assert all(set(line) == {0, 1, 2} for line in (*XTRANS, *XTRANS.T))


@every_array
def test_known_values_stay(cfa):
    sites = torch.rand(1, 1, 18, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mosaic(demosaic(sites, cfa), cfa), sites)


@every_array
def test_gray_and_color_planes_are_exact(cfa):
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 18, 18)
    assert torch.allclose(demosaic(mosaic(flat, cfa), cfa), flat, atol=1e-6)


@every_array
def test_value_smooth_pictures_come_back(cfa):
    rgb = waves(48, 60)
    error = (demosaic(mosaic(rgb, cfa), cfa) - rgb)[..., 6:-6, 6:-6].square().mean()
    assert -10 * error.log10() > 40


def test_value_malvar():
    """Green at a red site: a quarter of the four greens, and an eighth of the red's own curvature."""
    sites = torch.zeros(1, 1, 9, 9)
    sites[..., 4, 4] = 1  # red in RGGB
    rgb = demosaic(sites, BAYER["RGGB"])
    assert rgb[0, :, 4, 4].tolist() == pytest.approx([1, 0.5, 0.75])
    assert rgb[0, 0, 4, 5].item() == pytest.approx(0.5)
    assert rgb[0, 1, 4, 2].item() == pytest.approx(-0.125)


@every_array
def test_a_shifted_array_is_a_cropped_mosaic(cfa):
    rgb = torch.rand(1, 3, 20, 22, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mosaic(rgb, cfa)[..., 1:, 3:], mosaic(rgb[..., 1:, 3:], shifted(cfa, 1, 3)))


def test_value_pack():
    sites = torch.arange(16.0).view(1, 1, 4, 4)
    planes = pack(sites)
    assert planes[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert torch.equal(unpack(planes), sites)
    assert torch.equal(unpack(pack(torch.ones(1, 1, 12, 6), 6), 6), torch.ones(1, 1, 12, 6))


def test_packed_planes_have_one_color_each():
    index = colors_of(BAYER["GRBG"], (6, 8))[None, None].float()
    assert [plane.unique().tolist() for plane in pack(index)[0]] == [[1], [0], [2], [1]]


@every_array
def test_gradient(cfa):
    sites = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: demosaic(x, cfa), sites)


@pytest.mark.parametrize("cfa", [*BAYER.values(), XTRANS, np.roll(XTRANS, 2, 0)], ids=[*BAYER, "X-Trans", "shifted"])
def test_fine_demosaicing(cfa):
    """Known values stay, gray stays gray, and a real picture comes closer."""
    picture = torch.from_numpy(data.astronaut()[100:196, 150:262].copy()).permute(2, 0, 1)[None] / 255
    sites = mosaic(picture, cfa)
    fine = demosaic_finely(sites, cfa)
    torch.testing.assert_close(mosaic(fine, cfa), sites, atol=1e-6, rtol=0)
    errors = [(result - picture).square().mean() for result in (demosaic(sites, cfa), fine)]
    assert errors[1] < 0.75 * errors[0]
    gray = torch.full((2, 1, 18, 24), 0.4)
    torch.testing.assert_close(demosaic_finely(gray, cfa), gray.expand(-1, 3, -1, -1))


def test_fine_demosaicing_by_hand():
    """One red site on black: most differences around it are 0, and green has nothing brighter beside it."""
    sites = torch.zeros(1, 1, 12, 12)
    sites[0, 0, 4, 4] = 1
    fine = demosaic_finely(sites, BAYER["RGGB"])
    assert fine[0, :, 4, 4].tolist() == [1, 0, 0]
    assert fine.sum() == 1
