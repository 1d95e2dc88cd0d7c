"""RAW pictures developed for display, band by band."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import DTypeLike
from pydantic import Field, field_validator
from torch import Tensor

from photonet.camera import process
from photonet.camera.mosaic import colors_of, demosaic
from photonet.color import ColorState, srgb_encode
from photonet.engine.options import Options
from photonet.errors import UsageError
from photonet.photo import Photo, Sensor, full_scale

BAND_PIXELS = 1 << 20  # that are float32 at a time
MARGIN = 12  # rows beyond a band: whole periods of every filter array, more than demosaicing reaches
BRIGHT_SHARE = 0.005  # of the sites that automatic exposure lets become white
MOST_STOPS = 3.0  # that automatic exposure adds


class Development(Options):
    """How a RAW picture is rendered."""

    exposure: float | Literal["auto"] = Field(
        0.0, description="Stops brighter than the camera exposed; auto lets the brightest parts become white."
    )
    curve: bool = Field(True, description="The S-curve of cameras' own JPEGs; without it the rendering is plain sRGB.")

    @field_validator("exposure")
    @classmethod
    def _in_range(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not -10 <= value <= 10:
            raise ValueError("exposure is between -10 and 10 stops")
        return value


PLAIN = Development.model_validate({})


def displayed(photo: Photo) -> Photo:
    """The photo itself, or a mosaic developed as it is by default."""
    return develop(photo, PLAIN) if photo.state == ColorState.MOSAIC else photo


def for_network(photo: Photo, expects: ColorState) -> Photo:
    """The photo, developed where it is a mosaic and the network expects none."""
    return photo if expects == ColorState.MOSAIC else displayed(photo)


def develop(photo: Photo, how: Development, dtype: DTypeLike = np.uint16) -> Photo:
    """A mosaic as a display picture: white balance, demosaicing, color matrix, exposure, sRGB curve, tone.

    White balance never darkens, and what it lifts above the white level is clipped there: highlights stay neutral.

    Args:
        photo: H W 1, in state `mosaic`, with its sensor.
        dtype: of the result, np.uint8, np.uint16 or np.float32.

    Raises:
        UsageError: it is no mosaic.
    """
    if photo.state != ColorState.MOSAIC or photo.sensor is None:
        raise UsageError("only what a sensor recorded can be developed", photo.meta.source or "", "give a RAW file")
    gain = 2.0 ** (_automatic_stops(photo) if how.exposure == "auto" else float(how.exposure))
    pixels: np.ndarray = np.empty((photo.height, photo.width, 3), dtype)
    white = full_scale(pixels.dtype)
    step = max(BAND_PIXELS // photo.width // MARGIN * MARGIN, MARGIN)
    for top in range(0, photo.height, step):
        bottom, first = min(top + step, photo.height), max(top - MARGIN, 0)
        band = photo.pixels[first : min(bottom + MARGIN, photo.height)]
        linear = camera_to_linear(torch.from_numpy(np.ascontiguousarray(band))[None, ..., 0][None], photo.sensor)
        display = srgb_encode(linear * gain)
        display = process.base_curve(display) if how.curve else display
        values = display[0].permute(1, 2, 0)[top - first : bottom - first].clamp(0, 1) * white
        pixels[top:bottom] = (values.round() if white != 1 else values).numpy()
    return photo.with_pixels(pixels, state=ColorState.SRGB, sensor=None)


def camera_to_linear(sites: Tensor, sensor: Sensor) -> Tensor:
    """Linear sRGB of a mosaic.

    Args:
        sites: B 1 H W, 1.0 = white level; its first site is the first of the period.

    Returns:
        B 3 H W, not clipped below 0.
    """
    gains = torch.tensor(sensor.white_balance, dtype=sites.dtype)
    gains = gains / gains.min()
    balanced = sites * gains[colors_of(sensor.cfa, sites.shape[-2:])]
    return process.color_matrix(demosaic(balanced.clamp_max(1), sensor.cfa), torch.from_numpy(sensor.matrix).to(sites))


def _automatic_stops(photo: Photo) -> float:
    """Stops that make the brightest green sites white, none where they are."""
    assert photo.sensor is not None
    bright = float(np.quantile(photo.pixels[::3, ::3], 1 - BRIGHT_SHARE))  # an odd step meets every color
    return float(np.clip(-np.log2(max(bright, 1e-6)), 0, MOST_STOPS))
