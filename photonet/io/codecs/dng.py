"""DNG out: a mosaic, or linear camera RGB, with all that another program needs to develop it.

Source: Adobe Digital Negative Specification 1.4.
"""

import io
from typing import Any

import numpy as np

from photonet.color import ColorState
from photonet.io.codecs.tiff import append_exif
from photonet.io.frame import Encoded, Frame
from photonet.io.metadata import dngtags, exif_block
from photonet.photo import Sensor

# Levels of the file. Values below black are part of the noise; some sensors go a little beyond their white level.
BLACK, WHITE, LARGEST = 2048, 62000, 65535
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_RATIONAL, DOUBLE = 1, 2, 3, 4, 5, 10, 12
SCALE = 1_000_000  # usual denominator of rationals
LARGEST_NUMERATOR = 2**31 - 1
CAMERA_NAME = "photonet"


def code_values(recorded: np.ndarray) -> np.ndarray:
    """What a sensor recorded, 1.0 = white level, as shares of the largest number of the file."""
    return recorded * np.float32((WHITE - BLACK) / LARGEST) + np.float32(BLACK / LARGEST)


def encode(frame: Frame, quality: int) -> Encoded:
    """A mosaic, or linear camera RGB before white balance, in samples of 16 bits between `BLACK` and `WHITE`."""
    import tifffile

    sensor, is_mosaic = frame.sensor, frame.state == ColorState.MOSAIC
    assert sensor is not None
    tags = _common_tags(sensor, _camera_name(frame.exif), frame.pixels.shape[2])
    if is_mosaic:
        tags += _mosaic_tags(sensor)
    if frame.xmp:
        tags.append((dngtags.XMP, BYTE, len(frame.xmp), frame.xmp, True))
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        frame.pixels[..., 0] if is_mosaic else frame.pixels,
        photometric=dngtags.CFA if is_mosaic else dngtags.LINEAR_RAW,
        planarconfig=None if is_mosaic else "contig",
        metadata=None,
        software=False,
        byteorder="<",
        extratags=tags,
    )
    notes = append_exif(stream, frame.exif) if frame.exif else ()
    return Encoded(stream.getvalue(), notes)


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
    name = exif_block.camera_model(exif) or CAMERA_NAME
    return name.encode("ascii", "replace") + b"\0"
