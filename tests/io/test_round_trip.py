"""What is written comes back."""

import numpy as np
import pytest

from photonet import io
from photonet.color import ColorState
from photonet.photo import Metadata, Photo

LOSSLESS = [("png", np.uint8), ("png", np.uint16), ("tiff", np.uint8), ("tiff", np.uint16), ("tiff", np.float32)]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "dtype"), LOSSLESS)
def test_value_lossless(noise, name, dtype, channels, alpha):
    state = ColorState.LINEAR if dtype == np.float32 else ColorState.SRGB
    layers = {"alpha": noise(dtype, 1)} if alpha else {}
    photo = Photo(noise(dtype, channels), state, layers=layers)
    back = io.read_bytes(io.encode(photo, name))
    assert back.state is state
    assert back.pixels.dtype == dtype
    np.testing.assert_array_equal(back.pixels, photo.pixels)
    assert back.layers.keys() == layers.keys()
    if alpha:
        np.testing.assert_array_equal(back.layers["alpha"], layers["alpha"])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_value_exr(noise, channels, alpha):
    pixels = 40 * noise(np.float32, channels) - 2
    photo = Photo(pixels, ColorState.LINEAR, layers={"alpha": noise(np.float32, 1)} if alpha else {})
    back = io.read_bytes(io.encode(photo, "exr"))
    assert back.state is ColorState.LINEAR
    np.testing.assert_array_equal(back.pixels, pixels)
    if alpha:
        np.testing.assert_array_equal(back.layers["alpha"], photo.layers["alpha"])
    half = io.read_bytes(io.encode(photo, "exr", bit_depth=16))
    np.testing.assert_array_equal(half.pixels, pixels.astype(np.float16).astype(np.float32))


def test_value_radiance(noise):
    pixels = 100 * noise(np.float32)
    back = io.read_bytes(io.encode(Photo(pixels, ColorState.LINEAR), "hdr"))
    assert back.state is ColorState.LINEAR
    assert np.all(abs(back.pixels - pixels) <= pixels.max(axis=2, keepdims=True) / 128)


@pytest.mark.parametrize(("name", "bound"), [("jpeg", 4), ("webp", 9), ("avif", 6)])
def test_value_lossy(smooth, name, bound):
    back = io.read_bytes(io.encode(Photo(smooth), name))
    assert back.pixels.dtype == np.uint8
    assert abs(back.pixels.astype(int) - smooth).max() <= bound


def test_value_webp_lossless_with_alpha(noise):
    photo = Photo(noise(), layers={"alpha": noise(channels=1)})
    back = io.read_bytes(io.encode(photo, "webp", quality=100))
    np.testing.assert_array_equal(back.pixels, photo.pixels)
    np.testing.assert_array_equal(back.layers["alpha"], photo.layers["alpha"])
    lossy = io.read_bytes(io.encode(photo, "webp", quality=50))
    np.testing.assert_array_equal(lossy.layers["alpha"], photo.layers["alpha"])


def test_value_gray_jpeg(smooth):
    back = io.read_bytes(io.encode(Photo(smooth[..., :1]), "jpeg"))
    assert back.pixels.shape == (*smooth.shape[:2], 1)


def test_value_float_display_tiff_says_so(noise):
    """A float TIFF without a profile means linear light, so display values travel with an sRGB profile."""
    photo = Photo(noise(np.float32))
    back = io.read_bytes(io.encode(photo, "tiff"))
    assert back.state is ColorState.SRGB
    assert back.meta.icc is not None
    np.testing.assert_array_equal(back.pixels, photo.pixels)


def test_value_float_display_gray_tiff_is_linear():
    photo = Photo(np.full((2, 2, 1), 0.5, np.float32))
    back = io.read_bytes(io.encode(photo, "tiff"))
    assert back.state is ColorState.LINEAR
    np.testing.assert_allclose(back.pixels, 0.2140411, rtol=1e-5)  # ((0.5 + 0.055) / 1.055) ** 2.4


def test_value_stripes_join():
    """A picture taller than one stripe of any codec has no seam."""
    y, x = np.mgrid[:1500, :1100]
    pixels = np.stack([x, y, x ^ y], axis=2).astype(np.uint16)
    np.testing.assert_array_equal(io.read_bytes(io.encode(Photo(pixels), "png")).pixels, pixels)


def test_smoke_sizes(noise):
    for height, width in ((1, 1), (1, 7), (7, 1), (3, 5)):
        photo = Photo(noise(height=height, width=width))
        for name in ("jpeg", "png", "tiff", "webp", "avif", "exr", "hdr"):
            assert io.read_bytes(io.encode(photo, name)).pixels.shape == (height, width, 3), name


def test_value_gray_has_no_rgb_profile(smooth, wide_gamut, tmp_path):
    photo = Photo(smooth[..., :1], meta=Metadata(icc=wide_gamut))
    report = io.write(photo, tmp_path / "gray.png")
    assert any("profile" in note for note in report.notes)
    assert io.read(tmp_path / "gray.png").meta.icc is None
