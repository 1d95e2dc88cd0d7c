"""JPEG on tensors, beside Pillow's libjpeg."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from photonet.camera.jpeg import (
    LEAST_COEFFICIENT,
    STATISTICS_COUNT,
    SUBSAMPLING,
    block_statistics,
    fourier_round,
    jpeg,
    rgb_to_ycbcr,
    straight_through,
    ycbcr_to_rgb,
)

CROPS = ((100, 180), (30, 30), (300, 250))
# Mean difference in levels, 20 % above what was measured. Libjpeg keeps integers within the transform, and breaks the
# ties of chroma averages in turn up and down; a wrong table, phase or rounding costs several times as much.
MEAN_LEVELS = {"4:4:4": 0.7, "4:2:2": 1.15, "4:2:0": 1.0}


def crops(height=96, width=96, places=CROPS):
    picture = data.astronaut()
    return np.stack([picture[top : top + height, left : left + width] for top, left in places])


def as_tensor(pictures):
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2) / 255


def compress(pictures, quality, subsampling):
    count = len(pictures)
    result = jpeg(as_tensor(pictures), torch.full((count,), float(quality)), torch.full((count,), subsampling))
    return (result.permute(0, 2, 3, 1) * 255).numpy()


def pillow(picture, quality, subsampling):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(stream)).astype(np.float64)


@pytest.mark.parametrize("quality", [30, 75, 90, 98])
@pytest.mark.parametrize("subsampling", range(3))
def test_value_as_pillow(quality, subsampling):
    pictures = crops()
    reference = np.stack([pillow(picture, quality, subsampling) for picture in pictures])
    difference = compress(pictures, quality, subsampling) - reference
    assert np.abs(difference).mean() < MEAN_LEVELS[SUBSAMPLING[subsampling]]
    assert abs(difference.mean()) < 0.2
    lost = np.square(reference - pictures).mean()
    if quality <= 90:  # the artifacts are the same, not only as strong
        assert np.square(difference).mean() < 0.2 * lost


def test_value_flat_block():
    """At quality 50 the DC step is 16: (200 - 128)·8 = 576 is 36 steps, and stays as it is."""
    gray = torch.full((1, 3, 8, 8), 200 / 255)
    same = jpeg(gray, torch.tensor([50.0]), torch.tensor([0]))
    assert torch.equal((same * 255).round(), torch.full_like(same, 200))
    # 203: DC = 600 = 37.5 steps, rounded to the even 38: 38·16/8 + 128 = 204
    near = jpeg(torch.full((1, 3, 8, 8), 203 / 255), torch.tensor([50.0]), torch.tensor([0]))
    assert torch.equal((near * 255).round(), torch.full_like(near, 204))


def test_worse_with_lower_quality():
    pictures = crops()
    losses = [np.square(compress(pictures, quality, 0) - pictures).mean() for quality in (98, 90, 75, 30, 5)]
    assert losses == sorted(losses)
    assert losses[-1] > 20 * losses[0]


def test_quality_100_is_nearly_the_identity():
    pictures = crops()
    difference = compress(pictures, 100, 0) - pictures
    assert np.abs(difference).mean() < 0.6  # rounding of YCbCr
    assert np.abs(difference).max() <= 4


def test_batch_equals_one_at_a_time():
    pictures = as_tensor(np.concatenate([crops(40, 56), crops(40, 56)]))
    quality, subsampling = torch.tensor([30.0, 75, 98, 100, 1, 50]), torch.tensor([0, 1, 2, 2, 1, 0])
    together = jpeg(pictures, quality, subsampling)
    for index in range(len(pictures)):
        part = slice(index, index + 1)
        assert torch.equal(together[part], jpeg(pictures[part], quality[part], subsampling[part]))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (17, 33), (16, 40), (75, 101)])
@pytest.mark.parametrize("subsampling", range(3))
def test_shape(height, width, subsampling):
    pictures = crops(height, width, np.random.default_rng(0).integers(0, 400, (24, 2)))
    result = compress(pictures, 75, subsampling)
    assert result.shape == pictures.shape
    reference = np.stack([pillow(picture, 75, subsampling) for picture in pictures])
    assert np.abs(result - reference).mean() < 0.8  # Pillow pads as we do: by repeating the border


def test_range():
    wild = torch.linspace(-1, 2, 3 * 24 * 24).view(1, 3, 24, 24)
    codes = jpeg(wild, torch.tensor([20.0]), torch.tensor([2])) * 255
    assert codes.min() >= 0
    assert codes.max() <= 255
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)


def test_ycbcr_value():
    # ITU-T T.871: Y = 0.299 R + 0.587 G + 0.114 B; pure blue has Cb = 0.5, pure red Cr = 0.5
    red, blue, gray = (torch.tensor(rgb).view(1, 3, 1, 1) for rgb in ([1.0, 0, 0], [0.0, 0, 1], [0.4, 0.4, 0.4]))
    assert rgb_to_ycbcr(red).flatten().tolist() == pytest.approx([0.299, -0.168736, 0.5])
    assert rgb_to_ycbcr(blue).flatten().tolist() == pytest.approx([0.114, 0.5, -0.081312])
    assert rgb_to_ycbcr(gray).flatten().tolist() == pytest.approx([0.4, 0, 0], abs=1e-6)


def test_ycbcr_inverse(generator):
    rgb = torch.rand(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb)
    torch.testing.assert_close(rgb_to_ycbcr(ycbcr_to_rgb(rgb)), rgb)


def test_straight_through_rounds_and_passes_the_gradient():
    x = torch.tensor([0.2, 0.5, 1.7, -2.4], requires_grad=True)
    rounded = straight_through(x)
    assert rounded.tolist() == [0, 0, 2, -2]
    (gradient,) = torch.autograd.grad(rounded.sum(), x)
    assert gradient.tolist() == [1, 1, 1, 1]


def test_fourier_round_by_hand():
    """At whole and half numbers every sine is 0; the slope at 0 is 1 - 2 (1 - 1 + 1 …), that of nine terms -1."""
    x = torch.tensor([0.0, 0.5, 3.0, 0.25], dtype=torch.float64, requires_grad=True)
    value = fourier_round(x)
    quarter = 0.25 - (1 - 1 / 3 + 1 / 5 - 1 / 7 + 1 / 9) / torch.pi
    assert value.tolist() == pytest.approx([0, 0.5, 3, quarter], abs=1e-9)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert gradient[0].item() == pytest.approx(1 - 2)
    assert torch.autograd.gradcheck(fourier_round, x)
    far = torch.tensor([0.8, 7.3, -1.2])
    assert (fourier_round(far) - far.round()).abs().max() < 0.06


@pytest.mark.parametrize(("rounding", "levels"), [(straight_through, 1e-3), (fourier_round, 1.5)])
def test_differentiable_jpeg_is_close_to_the_real_one(rounding, levels):
    pictures = as_tensor(crops(48, 48)).requires_grad_()
    quality, subsampling = torch.full((3,), 90.0), torch.tensor([0, 1, 2])
    result = jpeg(pictures, quality, subsampling, rounding)
    reference = jpeg(pictures.detach(), quality, subsampling)
    assert ((result - reference).abs().mean() * 255).item() < levels
    (gradient,) = torch.autograd.grad(result.square().sum(), pictures)
    assert gradient.isfinite().all()
    through = torch.autograd.grad(jpeg(pictures, quality, subsampling, straight_through).square().sum(), pictures)[0]
    assert 0.5 < gradient.norm() / through.norm() < 10  # rounded once, it stays of one order


def test_block_statistics_value():
    """A cosine of one frequency: its band holds one coefficient that is not zero, the others none."""
    k = torch.arange(8.0)
    wave = torch.cos(torch.pi * (2 * k + 1) * 3 / 16) / 2  # of unit length
    luma = 100 + 80 * wave[None].expand(8, 8) / 8**0.5  # a coefficient of 80 at (0, 3): a third of the band 3 to 4
    found = block_statistics((luma / 255).expand(1, 3, 8, 8).repeat(1, 1, 2, 3))
    assert found.shape == (1, STATISTICS_COUNT, 2, 3)
    levels, near, nearer_than_a_step = found.split(STATISTICS_COUNT // 3, 1)
    inside = 4 + 5  # frequencies with a sum of 3, and of 4
    assert levels[0, 1].mean().item() == pytest.approx(math.log(80 / inside + LEAST_COEFFICIENT), rel=1e-4)
    assert near[0, 1].mean().item() == pytest.approx(1 - 1 / inside)
    assert torch.equal(near, nearer_than_a_step)
    others = [band for band in range(STATISTICS_COUNT // 3) if band != 1]
    torch.testing.assert_close(
        levels[:, others], torch.full_like(levels[:, others], math.log(LEAST_COEFFICIENT)), atol=1e-2, rtol=0
    )
    torch.testing.assert_close(near[:, others], torch.ones_like(near[:, others]))


def test_block_statistics_tell_quality():
    """The lower it is, the more coefficients are zero; shifted blocks hide that."""
    noise = 20 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) / 255
    pictures = [jpeg(0.5 + noise, torch.tensor([float(quality)]), torch.tensor([0])) for quality in (95, 85, 75)]
    zeros = [block_statistics(picture)[:, STATISTICS_COUNT // 3 + 4].mean().item() for picture in pictures]
    assert zeros[0] < zeros[1] - 0.1 < zeros[2] - 0.2
    shifted = block_statistics(pictures[2].roll((3, 3), (-2, -1)))[:, STATISTICS_COUNT // 3 + 4].mean().item()
    assert shifted < zeros[2] / 3


def test_statistics_for_a_user_leave_training_alone():
    """Nothing that inference mode made is kept for a gradient."""
    with torch.inference_mode():
        block_statistics(torch.rand(1, 3, 16, 16))
        jpeg(torch.rand(1, 3, 16, 16), torch.tensor([80.0]), torch.tensor([2]))
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    jpeg(picture, torch.tensor([80.0]), torch.tensor([2]), straight_through).sum().backward()
    assert picture.grad is not None
