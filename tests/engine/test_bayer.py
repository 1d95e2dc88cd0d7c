"""Bayer mosaics, told from others and turned so that they begin with red."""

import numpy as np
import pytest

from photonet.camera.mosaic import BAYER, RGGB, XTRANS
from photonet.color import ColorState
from photonet.engine.bayer import flips_of, is_bayer
from photonet.errors import UsageError
from photonet.photo import Photo, Sensor


def mosaic_of(cfa: np.ndarray, state: ColorState = ColorState.MOSAIC) -> Photo:
    sensor = Sensor(cfa, np.zeros(cfa.shape), 1.0, (2.0, 1.0, 1.5), np.eye(3))
    return Photo(np.zeros((12, 12, 1), np.float32), state, sensor=sensor)


@pytest.mark.parametrize("phase", BAYER)
def test_turned_it_begins_with_red(phase: str):
    photo = mosaic_of(BAYER[phase])
    assert is_bayer(photo)
    np.testing.assert_array_equal(np.flip(BAYER[phase], flips_of(photo, "raw-unet")), RGGB)


@pytest.mark.parametrize("photo", [mosaic_of(XTRANS), Photo(np.zeros((12, 12, 1), np.float32))])
def test_error_others(photo: Photo):
    assert not is_bayer(photo)
    with pytest.raises(UsageError, match="raw-unet is for Bayer mosaics"):
        flips_of(photo, "raw-unet")


def test_developed_it_is_none():
    assert not is_bayer(mosaic_of(RGGB, ColorState.CAMERA))
