"""RAW pictures developed for display, band by band."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import DTypeLike
from pydantic import Field, field_validator
from torch import Tensor

from photonet.camera import process
from photonet.camera.mosaic import GREEN, demosaic_finely, mosaic
from photonet.color import SENSOR_STATES, ColorState, srgb_decode, srgb_encode
from photonet.engine.options import Options
from photonet.errors import UsageError
from photonet.io import writable
from photonet.photo import Photo, Sensor, full_scale

BAND_PIXELS = 1 << 20  # that are float32 at a time
MARGIN = 12  # rows beyond a band: whole periods of every filter array, more than demosaicing reaches
BRIGHT_SHARE = 0.005  # of the green values that automatic exposure lets become white
DARK = 1e-6  # of white: a picture without light
NEARLY_WHITE = 0.995  # of the white level: from there on a value counts as saturated, more and more
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
    """The photo itself, or what a sensor recorded, developed as it is by default."""
    return develop(photo, PLAIN) if photo.state in SENSOR_STATES else photo


def for_network(photo: Photo, expects: ColorState) -> Photo:
    """The photo, developed where it is what a sensor recorded and the network expects something else.

    For a linear network that is linear sRGB, without curve or exposure.
    """
    if photo.state not in SENSOR_STATES or photo.state == expects:
        return photo
    return linear(photo) if expects == ColorState.LINEAR else displayed(photo)


def develop(photo: Photo, how: Development, dtype: DTypeLike = np.uint16) -> Photo:
    """A RAW picture as a display picture, in 0 to 1: `linear`, then exposure, the sRGB curve and tone.

    Args:
        photo: in state `mosaic`, H W 1, or `camera`, H W 3, with its sensor.
        dtype: of the result, np.uint8, np.uint16 or np.float32.

    Raises:
        UsageError: it is no RAW picture.
    """
    gain = 2.0 ** (_automatic_stops(photo) if how.exposure == "auto" else float(how.exposure))

    def render(light: Tensor) -> Tensor:
        display = srgb_encode(light * gain)
        return (process.base_curve(display) if how.curve else display).clamp(0, 1)

    matrix = _sensor_of(photo).matrix
    return photo.with_pixels(_by_bands(photo, matrix, render, np.dtype(dtype)), state=ColorState.SRGB, sensor=None)


def fitting(photo: Photo, path: Path | None, format: str | None, bit_depth: int | None) -> Photo:
    """The photo as a file can hold it: what a sensor recorded stays that in a DNG, and is developed for all others.

    Args:
        path, format, bit_depth: as `photonet.io.write` takes them.
    """
    kind = writable(path, format)
    if kind.sensor or photo.state not in SENSOR_STATES:
        return photo
    return linear(photo) if kind.linear else develop(photo, PLAIN, np.float32 if bit_depth == 32 else np.uint16)


def linear(photo: Photo) -> Photo:
    """A RAW picture in linear sRGB, float32: white balance, demosaicing, color matrix; clipped at white only.

    Args:
        photo: in state `mosaic`, H W 1, or `camera`, H W 3, with its sensor.

    Raises:
        UsageError: it is no RAW picture.
    """
    pixels = _by_bands(photo, _sensor_of(photo).matrix, lambda light: light, np.dtype(np.float32))
    return photo.with_pixels(pixels, state=ColorState.LINEAR, sensor=None)


def encoded(photo: Photo) -> Photo:
    """A RAW picture in values like a display's that can be undone: linear sRGB on the sRGB curve, nothing clipped.

    Networks for display pictures can take it. It is float32, in state `srgb`, and keeps its sensor.
    """
    pixels = _by_bands(photo, _sensor_of(photo).matrix, srgb_encode, np.dtype(np.float32), clip=False)
    return photo.with_pixels(pixels, state=ColorState.SRGB)


def decoded(photo: Photo, before: Photo | None = None) -> Photo:
    """The inverse of `encoded`: linear camera RGB, as it was before white balance.

    Args:
        before: the encoded picture that a network was given: what was saturated stays exactly as it was.
    """
    assert photo.sensor is not None
    back = (np.linalg.inv(photo.sensor.matrix) / photo.sensor.gains[:, None]).T.astype(np.float32)
    pixels = np.empty(photo.pixels.shape, np.float32)
    for row in range(photo.height):
        pixels[row] = srgb_decode(photo.pixels[row]) @ back
        if before is not None:
            own = srgb_decode(before.pixels[row]) @ back
            saturated = ((own - NEARLY_WHITE) / (1 - NEARLY_WHITE)).clip(0, 1)
            pixels[row] += saturated * (own - pixels[row])
    return photo.with_pixels(pixels, state=ColorState.CAMERA)


def mosaiced(photo: Photo) -> Photo:
    """Of camera RGB, H W 3, what its sensor's filter array keeps; a sensor without one keeps all."""
    assert photo.sensor is not None
    if photo.sensor.cfa.size == 1:
        return photo
    sites = mosaic(torch.from_numpy(photo.pixels).permute(2, 0, 1)[None], photo.sensor.cfa)
    return photo.with_pixels(sites[0].permute(1, 2, 0).contiguous().numpy(), state=ColorState.MOSAIC)


def _by_bands(
    photo: Photo,
    matrix: np.ndarray,
    render: Callable[[Tensor], Tensor],
    dtype: np.dtype,
    clip: bool = True,
) -> np.ndarray:
    """Pixels H W 3: bands of balanced camera RGB, clipped at white or not, times a matrix, rendered."""
    sensor = _sensor_of(photo)
    gains, to_color = torch.from_numpy(sensor.gains), torch.from_numpy(matrix)
    pixels: np.ndarray = np.empty((photo.height, photo.width, 3), dtype)
    white = full_scale(dtype)
    step = max(BAND_PIXELS // photo.width // MARGIN * MARGIN, MARGIN)
    for top in range(0, photo.height, step):
        bottom, first = min(top + step, photo.height), max(top - MARGIN, 0)
        band = np.ascontiguousarray(photo.pixels[first : min(bottom + MARGIN, photo.height)], np.float32)
        values = torch.from_numpy(band).permute(2, 0, 1)[None] / photo.full_scale
        if photo.state == ColorState.MOSAIC:
            light = process.mosaic_to_linear(values, sensor.cfa, gains, to_color, clip, demosaic_finely)
        else:
            light = process.camera_to_linear(values, gains, to_color, clip)
        shown = render(light)[0].permute(1, 2, 0)[top - first : bottom - first] * white
        pixels[top:bottom] = (shown.round() if white != 1 else shown).numpy()
    return pixels


def _sensor_of(photo: Photo) -> Sensor:
    if photo.state not in SENSOR_STATES or photo.sensor is None:
        raise UsageError("only what a sensor recorded can be developed", photo.meta.source or "", "give a RAW file")
    return photo.sensor


def _automatic_stops(photo: Photo) -> float:
    """Stops that make the brightest green values white, none where they are."""
    sensor = _sensor_of(photo)
    if photo.state == ColorState.MOSAIC:
        rows, columns = sensor.cfa.shape
        greens = np.argwhere(sensor.cfa == GREEN)
        values = np.concatenate([photo.pixels[row :: 2 * rows, column::columns].ravel() for row, column in greens])
    else:
        values = photo.pixels[::2, :, GREEN].ravel()
    bright = float(np.quantile(values, 1 - BRIGHT_SHARE) * sensor.gains[GREEN]) / photo.full_scale
    return float(np.clip(-np.log2(max(bright, DARK)), 0, MOST_STOPS))
