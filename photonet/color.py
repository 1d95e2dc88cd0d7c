"""Color states, and the transfer curves between them.

The functions take NumPy arrays and torch tensors alike, and import neither more than they need: torch is never
imported here.

Source: IEC 61966-2-1 (sRGB); ITU-R BT.709 primaries, D65 white.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np

from photonet.errors import UsageError

LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)  # BT.709, for linear RGB
ENCODED_LUMA = (0.299, 0.587, 0.114)  # BT.601, for code values: what JPEG and the gray test pictures use
# CIE XYZ of linear sRGB, D65
SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
SRGB_TOE = 0.0031308  # linear value where the straight toe of the sRGB curve ends


class ColorState(StrEnum):
    """What the numbers of a picture mean."""

    MOSAIC = "mosaic"  # sensor values, black subtracted, 1.0 = white level, signed
    CAMERA = "camera"  # linear camera RGB
    LINEAR = "linear"  # linear sRGB primaries, scene-referred, may exceed 1
    SRGB = "srgb"  # display-encoded
    HDR = "hdr"  # linear, absolute scale known


SENSOR_STATES = (ColorState.MOSAIC, ColorState.CAMERA)  # what a sensor recorded, before any rendering


def _select(condition: Any, yes: Any, no: Any) -> Any:
    return np.where(condition, yes, no) if isinstance(yes, np.ndarray) else yes.where(condition, no)


def _signed(sign_of: Any, magnitude: Any) -> Any:
    return _select(sign_of < 0, -magnitude, magnitude)


def srgb_encode(linear: Any) -> Any:
    """Linear light to sRGB code values; odd-symmetric below 0 and continued above 1, so that nothing is clipped.

    Args:
        linear: array or tensor of any shape, 1.0 = display white.

    Source: IEC 61966-2-1.
    """
    magnitude = abs(linear)
    curve = 1.055 * magnitude.clip(SRGB_TOE, None) ** (1 / 2.4) - 0.055
    return _select(magnitude <= SRGB_TOE, 12.92 * linear, _signed(linear, curve))


def srgb_decode(encoded: Any) -> Any:
    """sRGB code values to linear light, the inverse of `srgb_encode`.

    Args:
        encoded: array or tensor of any shape, 1.0 = display white.

    Source: IEC 61966-2-1.
    """
    magnitude = abs(encoded)
    curve = ((magnitude.clip(12.92 * SRGB_TOE, None) + 0.055) / 1.055) ** 2.4
    return _select(magnitude <= 12.92 * SRGB_TOE, encoded / 12.92, _signed(encoded, curve))


_TRANSFER: dict[tuple[ColorState, ColorState], Callable[[Any], Any]] = {
    (ColorState.LINEAR, ColorState.SRGB): srgb_encode,
    (ColorState.SRGB, ColorState.LINEAR): srgb_decode,
}


def transfer(source: ColorState, target: ColorState) -> Callable[[Any], Any]:
    """The function that turns values of one color state into another.

    Raises:
        UsageError: there is none.
    """
    if source == target:
        return lambda values: values
    if (source, target) not in _TRANSFER:
        raise UsageError(f"a picture in {source.value} values cannot be turned into {target.value}")
    return _TRANSFER[source, target]
