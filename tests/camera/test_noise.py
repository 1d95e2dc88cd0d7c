"""Noise: measured on flat cards, beside what was asked for."""

import math
from dataclasses import fields, replace

import pytest
import torch

from photonet.camera.jpeg import rgb_to_ycbcr
from photonet.camera.noise import (
    CURVE_KNOTS,
    SHARPENING_RADIUS,
    Grain,
    camera_jpeg,
    correlated,
    draw_grain,
    draw_half,
    log_uniform,
    soften,
    uniform,
    white,
)


def plain_grain(batch=1, **changes):
    """Grain of one strength at all brightness levels, in luma only, not compressed."""
    values = {field.name: torch.zeros(batch) for field in fields(Grain)}
    values |= {
        "luma": torch.full((batch,), 0.03),
        "stretch": torch.ones(batch),
        "curve": torch.ones(batch, CURVE_KNOTS),
    }
    values |= {"subsampling": torch.zeros(batch, dtype=torch.long)}
    return replace(Grain(**values), **changes)


@pytest.mark.parametrize("radius", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("width", [128, 129])
def test_correlated_has_standard_deviation_1(radius, width, generator):
    noise = correlated((16, 1, 128, width), torch.full((16,), radius), generator)
    assert noise.shape == (16, 1, 128, width)
    assert noise.square().mean().sqrt().item() == pytest.approx(1, abs=0.01 + 0.01 * radius)


@pytest.mark.parametrize("width", [4, 5])
@pytest.mark.parametrize("radius", [0.0, 0.5, 1.0])
def test_correlated_of_small_pictures(width, radius, generator):
    """Where the highest frequency, which even widths have once and odd ones do not, counts for much."""
    noise = correlated((4000, 1, 4, width), torch.full((4000,), radius), generator)
    assert noise.square().mean().sqrt().item() == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize("radius", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize("axis", [-2, -1])
def test_correlated_neighbors(radius, distance, axis, generator):
    """A Gaussian blur of radius r leaves white noise with the correlation exp(-d²/(4 r²))."""
    noise = correlated((16, 1, 128, 96), torch.full((16,), radius), generator)
    measured = (noise * noise.roll(distance, axis)).mean() / noise.square().mean()
    assert measured.item() == pytest.approx(math.exp(-(distance**2) / (4 * radius**2)), abs=0.02)


def test_correlated_sharpening(generator):
    """White noise, sharpened: a spectrum of (1 + a (1 - blur))², normalised; its neighbors are negative."""
    amount = 1.5
    noise = correlated((16, 1, 128, 128), torch.zeros(16), generator, torch.full((16,), amount))
    assert noise.square().mean().sqrt().item() == pytest.approx(1, abs=0.01)
    # autocorrelation of (1 + a) δ - a g: g is a Gaussian of SHARPENING_RADIUS, g * g one of twice its variance
    spread = 2 * SHARPENING_RADIUS**2
    blur = [math.exp(-(d**2) / spread) / (math.pi * spread) for d in (0, 1, 2)]
    twice = [math.exp(-(d**2) / (2 * spread)) / (2 * math.pi * spread) for d in (0, 1, 2)]
    power = (1 + amount) ** 2 - 2 * amount * (1 + amount) * blur[0] + amount**2 * twice[0]
    for distance in (1, 2):
        expected = (amount**2 * twice[distance] - 2 * amount * (1 + amount) * blur[distance]) / power
        assert expected < -0.02
        measured = (noise * noise.roll(distance, -1)).mean()
        assert measured.item() == pytest.approx(expected, abs=0.01)


def test_uniform_ranges(generator):
    values = uniform(4000, 2, 5, generator)
    assert 2 <= values.min() < 2.05
    assert 4.95 < values.max() <= 5
    logs = log_uniform(4000, 0.1, 10, generator)
    assert logs.min() >= 0.1 * (1 - 1e-6)
    assert logs.max() <= 10 * (1 + 1e-6)
    assert logs.log().mean().item() == pytest.approx(0, abs=0.1)  # the middle of the logarithms


def test_white(generator):
    noise = white((4, 3, 64, 64), generator)
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)


def test_determinism():
    clean = torch.full((2, 3, 32, 32), 0.5)

    def picture(seed):
        generator = torch.Generator().manual_seed(seed)
        return camera_jpeg(clean, draw_grain(2, 0.01, 0.05, generator), generator)

    assert torch.equal(picture(1), picture(1))
    assert not torch.equal(picture(1), picture(2))


def test_draw_grain_ranges(generator):
    grain = draw_grain(3000, 0.004, 0.08, generator)
    ranges = {
        "luma": (0.004, 0.08),
        "chroma": (0.2, 2.0),
        "luma_radius": (0.3, 1.6),
        "chroma_radius": (0.3, 3.0),
        "sharpening": (0, 5.0),
        "clumps": (0, 0.6),
        "stretch": (1.0, 4.0),
        "patch_radius": (0.5, 3.0),
        "coarse": (0, 0.5),
        "curve": (0.4, 1.6),
        "subsampling": (0, 2),
    }
    for name, (low, high) in ranges.items():
        values = getattr(grain, name).double()
        assert low - 1e-6 <= values.min(), name
        assert values.max() <= high + 1e-6, name
        assert (values.max() - values.min()) > 0.9 * (high - low), name
    assert grain.curve.shape == (3000, CURVE_KNOTS)
    assert (grain.chroma_radius >= grain.luma_radius - 1e-6).all()
    assert (grain.white <= 0.8 * grain.luma).all()
    assert (grain.white > 0).float().mean().item() == pytest.approx(0.35, abs=0.04)
    compressed = grain.quality > 0
    assert compressed.float().mean().item() == pytest.approx(0.9, abs=0.03)
    assert set(grain.quality[compressed].tolist()) == set(map(float, range(80, 100)))


@pytest.mark.parametrize("coarse", [0.0, 0.4])
def test_camera_luma_level_on_a_gray_card(coarse, generator):
    card = torch.full((2, 3, 256, 256), 0.5)
    levels = torch.tensor([0.02, 0.05])
    radius = torch.full((2,), 0.7)
    shape = {"luma_radius": radius, "chroma_radius": radius, "coarse": torch.full((2,), coarse)}
    noisy = camera_jpeg(card, plain_grain(2, luma=levels, **shape), generator)
    luma = rgb_to_ycbcr(noisy)[:, 0].std((1, 2))
    torch.testing.assert_close(luma, levels, rtol=0.03, atol=0)
    assert rgb_to_ycbcr(noisy)[:, 1:].abs().max() < 1e-5  # no chroma was asked for


def test_camera_chroma_and_white_level(generator):
    card = torch.full((1, 3, 256, 256), 0.5)
    chroma = rgb_to_ycbcr(camera_jpeg(card, plain_grain(chroma=torch.tensor([1.5])), generator))
    assert chroma[:, 0].std().item() == pytest.approx(0.03, rel=0.03)
    assert chroma[:, 1].std().item() == pytest.approx(0.045, rel=0.03)
    assert chroma[:, 2].std().item() == pytest.approx(0.045, rel=0.03)
    only_white = plain_grain(luma=torch.zeros(1), white=torch.tensor([0.04]))
    assert camera_jpeg(card, only_white, generator).std().item() == pytest.approx(0.04, rel=0.03)


def test_camera_strength_follows_the_curve(generator):
    curve = torch.tensor([[0.4, 1.6, 0.8, 1.0, 0.5]])
    # a quarter, a half and three quarters are knots; 0.375 lies between the second and the third
    expected = {0.25: 1.6, 0.375: 1.2, 0.5: 0.8, 0.75: 1.0}
    for brightness, strength in expected.items():
        card = torch.full((1, 3, 192, 192), brightness)
        noisy = camera_jpeg(card, plain_grain(curve=curve), generator)
        assert (noisy - card).std().item() == pytest.approx(0.03 * strength, rel=0.03), brightness


def test_camera_clumps(generator):
    """Strength exp(s z - s²) with normal z: the level stays, and the kurtosis is 3 exp(4 s²)."""
    card = torch.full((1, 3, 512, 512), 0.5)
    clumps = {"clumps": torch.tensor([0.3]), "patch_radius": torch.tensor([1.0])}
    noise = (camera_jpeg(card, plain_grain(**clumps), generator) - card).double()
    assert noise.square().mean().sqrt().item() == pytest.approx(0.03, rel=0.03)
    kurtosis = noise.pow(4).mean() / noise.square().mean().square()
    assert kurtosis.item() == pytest.approx(3 * math.exp(4 * 0.3**2), rel=0.06)


def test_camera_stretch(generator):
    """A blur of radius r and stretch s correlates neighbors with exp(-1/(4 r² s)) along, and exp(-s/(4 r²)) across."""
    card = torch.full((1, 3, 512, 512), 0.5)
    lines = {"luma_radius": torch.tensor([1.0]), "stretch": torch.tensor([4.0]), "patch_radius": torch.tensor([40.0])}
    noise = (camera_jpeg(card, plain_grain(**lines), generator) - card)[0, 0].double()
    power = noise.square().mean()
    assert power.sqrt().item() == pytest.approx(0.03, rel=0.05)
    expected = (math.exp(-1 / 16) + math.exp(-1)) / 2  # lying in one half, upright in the other
    for axis in (0, 1):
        assert ((noise * noise.roll(1, axis)).mean() / power).item() == pytest.approx(expected, abs=0.15)
    blocks = noise.unfold(0, 32, 32).unfold(1, 32, 32)
    along, across = ((blocks * blocks.roll(1, axis)).mean((-2, -1)) for axis in (-1, -2))
    local = ((along - across) / blocks.square().mean((-2, -1))).abs()
    assert local.median().item() == pytest.approx(math.exp(-1 / 16) - math.exp(-1), abs=0.15)


def test_camera_compression(generator):
    card = torch.rand(2, 3, 32, 32, generator=generator)
    grain = plain_grain(2, luma=torch.zeros(2), quality=torch.tensor([0.0, 60.0]))
    noisy = camera_jpeg(card, grain, generator)
    torch.testing.assert_close(noisy[0], card[0], rtol=0, atol=1e-6)
    codes = noisy[1] * 255
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert (noisy[1] - card[1]).abs().mean() > 0.02


def test_camera_range(generator):
    clean = torch.rand(4, 3, 24, 40, generator=generator)
    noisy = camera_jpeg(clean, draw_grain(4, 0.3, 0.5, generator), generator)
    assert noisy.shape == clean.shape
    assert noisy.min() == 0
    assert noisy.max() == 1


def test_soften_by_1_is_the_identity(generator):
    clean = torch.rand(2, 3, 17, 24, generator=generator)
    torch.testing.assert_close(soften(clean, torch.zeros(2), torch.ones(2)), clean, rtol=0, atol=1e-4)


def test_soften_takes_fine_grain_away(generator):
    """A blur of radius r leaves 1 / (4 π r²) of the power of white noise, and the mean."""
    grain = torch.randn(1, 1, 128, 128, generator=generator) + 3
    result = soften(grain, torch.tensor([1.5]), torch.ones(1))
    assert result.mean().item() == pytest.approx(grain.mean().item(), abs=1e-3)
    assert result.var().item() == pytest.approx(1 / (4 * math.pi * 1.5**2), rel=0.15)


def test_soften_value():
    """Magnified by 2 about its center, a ramp has half its slope and the same middle."""
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    middle = 15.5
    expected = middle + (torch.arange(32.0) - middle) / 2
    result = soften(ramp, torch.zeros(1), torch.tensor([2.0]))
    torch.testing.assert_close(result[0, 0, 10], expected, rtol=0, atol=0.05)  # torch's bicubic is not exact on ramps


def test_soften_each_picture_by_its_own_factor(generator):
    clean = torch.rand(2, 1, 16, 16, generator=generator)
    together = soften(clean, torch.tensor([0.5, 1.0]), torch.tensor([1.3, 1.9]))
    alone = soften(clean[1:], torch.tensor([1.0]), torch.tensor([1.9]))
    torch.testing.assert_close(together[1:], alone)


def test_half_of_the_size(generator):
    """Averages of four pixels; or a corner, softened, whose mean is left."""
    photos = torch.rand(2, 3, 36, 51, generator=generator)
    torch.testing.assert_close(
        draw_half(photos, 1.0, generator), photos[..., :50].unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    )
    corner = draw_half(photos, 0.0, generator)
    assert corner.shape == (2, 3, 18, 25)
    assert corner.min() >= 0
    assert corner.max() <= 1
    assert (corner.var((1, 2, 3)) < photos[..., :18, :25].var((1, 2, 3))).all()
    torch.testing.assert_close(corner.mean((1, 2, 3)), photos[..., :18, :25].mean((1, 2, 3)), rtol=0, atol=0.01)
