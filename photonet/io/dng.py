"""DNG out: a mosaic, or linear camera RGB, with all that another program needs to develop it.

Source: Adobe Digital Negative Specification 1.4.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from photonet.color import ColorState
from photonet.errors import UsageError
from photonet.io import dngtags, metadata
from photonet.io.atomic import check_target, write_atomic
from photonet.io.quantize import refuse_non_finite, stripes
from photonet.io.tiff import append_exif
from photonet.io.writing import Packed, WriteReport
from photonet.photo import Photo, Sensor

# Levels of the file. Values below black are part of the noise; some sensors go a little beyond their white level.
BLACK, WHITE, LARGEST = 2048, 62000, 65535
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL, DOUBLE = 1, 2, 3, 4, 5, 10, 12
SCALE = 1_000_000  # usual denominator of rationals
LARGEST_NUMERATOR = 2**31 - 1
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
    samples, clipped = _levels(photo.pixels, photo.full_scale)
    mosaic = photo.state == ColorState.MOSAIC
    tags = _common_tags(sensor, _camera_name(photo.meta.exif), photo.pixels.shape[2])
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples[..., 0] if mosaic else samples,
        photometric=dngtags.CFA if mosaic else dngtags.LINEAR_RAW,
        planarconfig=None if mosaic else "contig",
        metadata=None,
        software=False,
        byteorder="<",
        extratags=[*tags, *(_mosaic_tags(sensor) if mosaic else ())],
    )
    notes = append_exif(stream, photo.meta.exif) if photo.meta.exif else ()
    return Packed(stream.getvalue(), clipped, notes)


def _levels(pixels: np.ndarray, full_scale: float) -> tuple[np.ndarray, int]:
    """Numbers of the file, and how many pixels lay outside of its range."""
    refuse_non_finite(pixels)
    samples, clipped = np.empty(pixels.shape, np.uint16), 0
    for part in stripes(pixels):
        values = np.rint(pixels[part] * np.float32((WHITE - BLACK) / full_scale) + np.float32(BLACK))
        clipped += int(((values < 0) | (values > LARGEST)).any(axis=2).sum())
        samples[part] = np.clip(values, 0, LARGEST)
    return samples, clipped


Tag = tuple[int, int, int, Any, bool]


def _common_tags(sensor: Sensor, camera: bytes, channels: int) -> list[Tag]:
    neutral = [1 / gain for gain in sensor.white_balance]
    tags: list[Tag] = [
        (dngtags.DNG_VERSION, BYTE, 4, (1, 4, 0, 0), True),
        (dngtags.DNG_BACKWARD_VERSION, BYTE, 4, (1, 1, 0, 0), True),
        (dngtags.UNIQUE_CAMERA_MODEL, ASCII, len(camera), camera, True),
        (dngtags.BLACK_LEVEL, SHORT, channels, (BLACK,) * channels, True),
        (dngtags.WHITE_LEVEL, LONG, channels, (WHITE,) * channels, True),
        (dngtags.COLOR_MATRIX_1, SIGNED_RATIONAL, 9, _rationals(sensor.xyz_to_camera.flatten()), True),
        (dngtags.AS_SHOT_NEUTRAL, RATIONAL, 3, _rationals(neutral), True),
        (dngtags.ILLUMINANT_1, SHORT, 1, dngtags.D65, True),
        (dngtags.ORIENTATION, SHORT, 1, 1, True),
    ]
    if sensor.noise is not None:
        tags.append((dngtags.NOISE_PROFILE, DOUBLE, 2, tuple(map(float, sensor.noise)), True))
    return tags


def _mosaic_tags(sensor: Sensor) -> list[Tag]:
    rows, columns = sensor.cfa.shape
    return [
        (dngtags.CFA_REPEAT, SHORT, 2, (rows, columns), True),
        (dngtags.CFA_PATTERN, BYTE, rows * columns, bytes(int(color) for color in sensor.cfa.flatten()), True),
        (dngtags.CFA_LAYOUT, SHORT, 1, 1, True),  # rectangular
    ]


def _rationals(values: Any) -> tuple[int, ...]:
    """Numerators and denominators, as fine as 32 bits allow."""
    numbers = [float(value) for value in values]
    scales = [min(SCALE, int(LARGEST_NUMERATOR / max(abs(number), 1))) for number in numbers]
    return tuple(part for pair in zip(numbers, scales, strict=True) for part in (round(pair[0] * pair[1]), pair[1]))


def _camera_name(exif: bytes | None) -> bytes:
    """Model of the camera, as DNG wants it: with a zero at its end."""
    name = metadata.camera_model(exif) or CAMERA_NAME
    return name.encode("ascii", "replace") + b"\0"
