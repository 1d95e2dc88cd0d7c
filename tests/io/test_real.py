"""Real camera files, where $PHOTONET_DATA has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from photonet import io
from photonet.color import ColorState
from photonet.io.metadata.exif_block import camera_model, exposure

DATA = Path(os.environ.get("PHOTONET_DATA", ""))
needs_data = pytest.mark.skipif("PHOTONET_DATA" not in os.environ, reason="PHOTONET_DATA is not set")


def first(pattern):
    return next(iter(sorted(DATA.glob(pattern))), None) or pytest.skip(f"no {pattern}")


@needs_data
@pytest.mark.parametrize("pattern", ["raw/*.CRW", "raw/*.dng"])
def test_smoke_raw(pattern):
    path = first(pattern)
    info, photo = io.identify(path), io.read(path)
    assert (info.format, info.width, info.height) == ("raw", photo.width, photo.height)
    assert (photo.state, photo.pixels.dtype) == (ColorState.MOSAIC, np.float32)
    assert photo.sensor.cfa.tolist() == [[0, 1], [1, 2]]
    assert -0.02 < photo.pixels.min() < photo.pixels.mean() < photo.pixels.max() < 1.1


@needs_data
def test_value_exif_of_a_file_that_is_no_tiff():
    meta = io.read(first("raw/PowerShotS40*.CRW")).meta
    assert camera_model(meta.exif) == "PowerShot S40"
    assert exposure(meta.exif).iso == meta.exposure.iso == 50


@needs_data
def test_value_camera_jpeg(tmp_path):
    photo = io.read(first("burst/*.JPG"))
    assert photo.meta.exposure.iso == 320
    small = photo.with_pixels(np.ascontiguousarray(photo.pixels[:64, :64]))
    io.write(small, tmp_path / "a.jpg")
    back = io.read(tmp_path / "a.jpg").meta
    assert (back.exif, back.icc) == (photo.meta.exif, photo.meta.icc)
