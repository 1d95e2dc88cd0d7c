"""DNG out: a mosaic, or linear camera RGB, with all that another program needs to develop it.

Source: Adobe Digital Negative Specification 1.4.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from photonet.color import ColorState
from photonet.errors import UsageError
from photonet.io import metadata
from photonet.io.atomic import check_target, write_atomic
from photonet.io.quantize import refuse_non_finite, stripes
from photonet.io.tiff import append_exif
from photonet.io.writing import Packed, WriteReport
from photonet.photo import Photo, Sensor

# Levels of the file. Values below black are part of the noise; some sensors go a little beyond their white level.
BLACK, WHITE, LARGEST = 2048, 62000, 65535
CFA, LINEAR_RAW, D65 = 32803, 34892, 21
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL, DOUBLE = 1, 2, 3, 4, 5, 10, 12
SCALE = 1_000_000  # denominator of rationals
CAMERA_NAME = "photonet"


def write_dng(photo: Photo, path: Path | str, *, overwrite: bool = False) -> WriteReport:
    """Write a mosaic or linear camera RGB as a 16-bit DNG, atomically.

    Args:
        photo: in state `mosaic`, or `camera` before white balance; with its sensor.
        overwrite: replace an existing file.
    """
    path = Path(path)
    check_target(path, overwrite)
    packed = encode_dng(photo)
    write_atomic(path, packed.data, overwrite)
    return WriteReport(path, packed.clipped, len(packed.data), packed.notes)


def encode_dng(photo: Photo) -> Packed:
    """The file that `write_dng` would write, with what became of the picture."""
    import tifffile

    sensor = photo.sensor
    if photo.state not in (ColorState.MOSAIC, ColorState.CAMERA) or sensor is None:
        raise UsageError(
            f"a DNG holds what a sensor saw, not a picture in state {photo.state.value}", "", "Write a TIFF."
        )
    samples, clipped = _levels(photo.pixels)
    mosaic = photo.state == ColorState.MOSAIC
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples[..., 0] if mosaic else samples,
        photometric=CFA if mosaic else LINEAR_RAW,
        planarconfig=None if mosaic else "contig",
        metadata=None,
        software=False,
        byteorder="<",
        extratags=[*_common_tags(sensor, _camera_name(photo.meta.exif)), *(_mosaic_tags(sensor) if mosaic else ())],
    )
    notes = append_exif(stream, photo.meta.exif) if photo.meta.exif else ()
    return Packed(stream.getvalue(), clipped, notes)


def _levels(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers of the file, and how many pixels lay outside of its range."""
    refuse_non_finite(pixels)
    samples, clipped = np.empty(pixels.shape, np.uint16), 0
    for part in stripes(pixels):
        values = np.rint(pixels[part] * np.float32(WHITE - BLACK) + np.float32(BLACK))
        clipped += int(((values < 0) | (values > LARGEST)).any(axis=2).sum())
        samples[part] = np.clip(values, 0, LARGEST)
    return samples, clipped


Tag = tuple[int, int, int, Any, bool]


def _common_tags(sensor: Sensor, camera: bytes) -> list[Tag]:
    neutral = [1 / gain for gain in sensor.white_balance]
    tags: list[Tag] = [
        (50706, BYTE, 4, (1, 4, 0, 0), True),  # DNGVersion
        (50707, BYTE, 4, (1, 1, 0, 0), True),  # DNGBackwardVersion
        (50708, ASCII, len(camera), camera, True),  # UniqueCameraModel
        (50714, SHORT, 1, BLACK, True),  # BlackLevel
        (50717, LONG, 1, WHITE, True),  # WhiteLevel
        (50721, SIGNED_RATIONAL, 9, _rationals(sensor.xyz_to_camera.flatten()), True),  # ColorMatrix1
        (50728, RATIONAL, 3, _rationals(neutral), True),  # AsShotNeutral
        (50778, SHORT, 1, D65, True),  # CalibrationIlluminant1
        (274, SHORT, 1, 1, True),  # Orientation
    ]
    if sensor.noise is not None:
        tags.append((51041, DOUBLE, 2, tuple(map(float, sensor.noise)), True))  # NoiseProfile
    return tags


def _mosaic_tags(sensor: Sensor) -> list[Tag]:
    rows, columns = sensor.cfa.shape
    return [
        (33421, SHORT, 2, (rows, columns), True),  # CFARepeatPatternDim
        (33422, BYTE, rows * columns, bytes(int(color) for color in sensor.cfa.flatten()), True),  # CFAPattern
        (50711, SHORT, 1, 1, True),  # CFALayout: rectangular
    ]


def _rationals(values: Any) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(float(value) * SCALE), SCALE))


def _camera_name(exif: bytes | None) -> bytes:
    """Model of the camera, as DNG wants it: with a zero at its end."""
    name = metadata.camera_model(exif) or CAMERA_NAME
    return name.encode("ascii", "replace") + b"\0"
