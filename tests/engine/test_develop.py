"""RAW pictures developed for display."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from photonet.camera.mosaic import BAYER, XTRANS, mosaic
from photonet.color import ColorState, srgb_decode
from photonet.engine import develop as module
from photonet.engine.develop import Development, decoded, develop, displayed, encoded, for_network, linear
from photonet.errors import UsageError
from photonet.io import read
from photonet.photo import Photo, Sensor

LINEAR = Development(exposure=0.0, curve=False)
MATRIX = np.array([[0.9020, -0.2890, -0.0715], [-0.4535, 1.2436, 0.2348], [-0.0934, 0.1919, 0.7086]])


def sensor(cfa=BAYER["RGGB"], **changes):
    fields = {"black": np.zeros(cfa.shape), "white": 1.0, "white_balance": (2.0, 1.0, 1.5), "xyz_to_camera": MATRIX}
    return Sensor(cfa=cfa, **{**fields, **changes})


def gray(value, cfa=BAYER["RGGB"], height=30, width=26):
    """A sensor's picture of a gray wall, under the light that its gains balance."""
    gains = torch.tensor(sensor(cfa).white_balance)
    rgb = (value / gains).view(1, 3, 1, 1).expand(1, 3, height, width)
    return Photo(mosaic(rgb, cfa)[0].permute(1, 2, 0).numpy().copy(), ColorState.MOSAIC, sensor=sensor(cfa))


@pytest.mark.parametrize("cfa", [*BAYER.values(), XTRANS], ids=[*BAYER, "X-Trans"])
def test_value_gray_stays_gray(cfa):
    photo = develop(gray(0.2, cfa), LINEAR, np.float32)
    assert (photo.state, photo.sensor, photo.pixels.shape) == (ColorState.SRGB, None, (30, 26, 3))
    np.testing.assert_allclose(srgb_decode(photo.pixels), 0.2, atol=1e-4)


def test_value_highlights_are_white():
    """Green is clipped first; without clipping red and blue the wall would be magenta."""
    clipped = gray(3.0)
    photo = develop(clipped.with_pixels(clipped.pixels.clip(None, 1)), LINEAR)
    assert photo.pixels.min() >= 65534


@pytest.mark.parametrize("cfa", [BAYER["GRBG"], XTRANS], ids=["GRBG", "X-Trans"])
def test_encoded_is_undone(cfa):
    """Signed values too: noise below black stays."""
    for value in (0.2, -0.01, 1.0):
        photo = encoded(gray(value, cfa))
        assert photo.state == ColorState.SRGB
        assert photo.sensor is not None
        np.testing.assert_allclose(srgb_decode(photo.pixels), value, atol=1e-4)
        back = decoded(photo)
        assert (back.state, back.pixels.dtype) == (ColorState.CAMERA, np.float32)
        np.testing.assert_allclose(back.pixels * [2.0, 1.0, 1.5], value, atol=1e-4)


def test_encoded_keeps_highlights():
    """What is clipped for display is not for the sensor: red at its white level is twice as bright as white."""
    full = gray(3.0)
    full = full.with_pixels(full.pixels.clip(None, 1))
    np.testing.assert_allclose(decoded(encoded(full)).pixels, 1, atol=1e-4)


def test_value_exposure():
    one = srgb_decode(develop(gray(0.1), LINEAR, np.float32).pixels)
    two = srgb_decode(develop(gray(0.1), Development(exposure=1.0, curve=False), np.float32).pixels)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-3)


@pytest.mark.parametrize("cfa", [BAYER["GBRG"], XTRANS, np.roll(XTRANS, 1, 1)], ids=["GBRG", "X-Trans", "shifted"])
def test_automatic_exposure_makes_the_brightest_white(cfa):
    auto = Development(exposure="auto", curve=False)
    np.testing.assert_allclose(develop(gray(0.2, cfa), auto, np.float32).pixels, 1, atol=1e-3)
    bright = gray(1.0, cfa)
    np.testing.assert_array_equal(develop(bright, auto).pixels, develop(bright, LINEAR).pixels)


def test_value_linear():
    """Light stays proportional: no curve, no exposure."""
    for value in (0.05, 0.2, 0.6):
        photo = linear(gray(value))
        assert (photo.state, photo.pixels.dtype) == (ColorState.LINEAR, np.float32)
        np.testing.assert_allclose(photo.pixels, value, atol=1e-5)


def test_value_16_bit_mosaic():
    photo = gray(0.2)
    whole = photo.with_pixels(np.rint(photo.pixels * 65535).astype(np.uint16))
    np.testing.assert_allclose(develop(whole, LINEAR).pixels, develop(photo, LINEAR).pixels, atol=4)


def test_value_camera_rgb():
    """What a linear DNG holds: the same without demosaicing."""
    gains = np.array(sensor().white_balance, np.float32)
    pixels = np.broadcast_to(0.2 / gains, (9, 7, 3)).astype(np.float32)
    recorded = Photo(pixels, ColorState.CAMERA, sensor=sensor(np.array([[1]])))
    np.testing.assert_allclose(srgb_decode(develop(recorded, LINEAR, np.float32).pixels), 0.2, atol=1e-4)
    auto = develop(recorded, Development(exposure="auto", curve=False), np.float32)
    np.testing.assert_allclose(auto.pixels, 1, atol=1e-3)


@pytest.mark.parametrize("cfa", [BAYER["GBRG"], XTRANS], ids=["GBRG", "X-Trans"])
def test_bands_leave_no_seam(cfa, monkeypatch):
    rng = np.random.default_rng(0)
    photo = replace(gray(0.2, cfa, 61, 37), pixels=rng.random((61, 37, 1), np.float32))
    whole = develop(photo, module.PLAIN)
    monkeypatch.setattr(module, "BAND_PIXELS", 1)
    np.testing.assert_array_equal(develop(photo, module.PLAIN).pixels, whole.pixels)


def test_the_curve_is_the_one_of_cameras():
    plain, curved = (develop(gray(0.2), Development(curve=curve), np.float32).pixels.mean() for curve in (False, True))
    odds = plain / (1 - plain)
    assert curved / (1 - curved) == pytest.approx(odds**1.25 / 0.75, rel=1e-3)


def test_other_photos_are_left_alone(random_photo):
    photo = random_photo(4, 5)
    assert displayed(photo) is photo
    raw = gray(0.3)
    assert for_network(raw, ColorState.MOSAIC) is raw
    assert for_network(raw, ColorState.SRGB).state == ColorState.SRGB
    np.testing.assert_allclose(for_network(raw, ColorState.LINEAR).pixels, 0.3, atol=1e-4)


def test_error_a_display_picture(random_photo):
    with pytest.raises(UsageError, match="give a RAW file"):
        develop(random_photo(4, 5), LINEAR)


@pytest.mark.skipif("PHOTONET_DATA" not in os.environ, reason="PHOTONET_DATA is not set")
@pytest.mark.parametrize("name", ["PowerShotG2_CRW_0304.CRW", "PowerShotS40_CRW_0112.CRW"])
def test_value_beside_libraw(name):
    """Linear sRGB of the whole picture: mean absolute difference below 1 % of white; LibRaw interpolates otherwise."""
    import rawpy

    path = Path(os.environ["PHOTONET_DATA"]) / "raw" / name
    with rawpy.imread(str(path)) as raw:
        theirs = raw.postprocess(
            gamma=(1, 1), no_auto_bright=True, use_camera_wb=True, output_bps=16, adjust_maximum_thr=0
        )
    ours = srgb_decode(develop(read(path), LINEAR, np.float32).pixels)
    assert np.abs(ours - theirs / 65535).mean() < 0.01
    np.testing.assert_allclose(ours.mean((0, 1)), (theirs / 65535).mean((0, 1)), rtol=0.01)
