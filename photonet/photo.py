"""A picture and what its numbers mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from photonet.color import SRGB_TO_XYZ, ColorState
from photonet.errors import InputError


@dataclass(frozen=True)
class Exposure:
    """How long and how wide the shutter was open: seconds, ISO speed, f-number; None where unknown."""

    time_s: float | None = None
    iso: float | None = None
    f_number: float | None = None


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels.

    Args:
        exif: raw EXIF block (TIFF structure, without the `Exif\\0\\0` prefix), orientation already normalised to 1.
        xmp: raw XMP packet.
        icc: raw ICC profile; None means sRGB.
        iptc: raw IPTC-IIM records (captions, credits), as TIFF's tag 33723 holds them.
        comment: of a JPEG, GIF or PNG file.
        dpi: horizontal and vertical pixels per inch that the file asks to be printed with.
        text: further named texts, as PNG's tEXt chunks hold them.
        exposure: read from EXIF.
        source: the file that the picture came from.
        notes: what a reader had to assume, for the report ("first page of 3").
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    iptc: bytes | None = None
    comment: str | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    exposure: Exposure = Exposure()
    source: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sensor:
    """The camera behind a RAW file.

    Args:
        cfa: color indices (0 R, 1 G, 2 B) of one period of the filter array, 2×2 (Bayer) or 6×6 (X-Trans).
        black: black level for each color site of the period, in file units.
        white: white level in file units.
        white_balance: gains R, G, B with G = 1.
        xyz_to_camera: 3×3, CIE XYZ to camera RGB under daylight, as in a DNG's ColorMatrix2.
        noise: (shot, read) variances at white level 1, as in a DNG NoiseProfile.
    """

    cfa: np.ndarray
    black: np.ndarray
    white: float
    white_balance: tuple[float, float, float]
    xyz_to_camera: np.ndarray
    noise: tuple[float, float] | None = None

    @property
    def gains(self) -> np.ndarray:
        """White balance R, G, B that never darkens, float32: what was white stays white."""
        gains = np.array(self.white_balance, np.float32)
        return gains / gains.min()

    @property
    def matrix(self) -> np.ndarray:
        """3×3, white-balanced camera RGB to linear sRGB; rows of the inverse add up to 1, so that white stays white.

        Source: dcraw's `cam_xyz_coeff`.
        """
        to_camera = self.xyz_to_camera @ np.array(SRGB_TO_XYZ)
        return np.linalg.inv(to_camera / to_camera.sum(1, keepdims=True))


@dataclass(frozen=True)
class Photo:
    """Pixels and their meaning. Never changed in place: `with_pixels` makes the next one.

    Args:
        pixels: H W C, in the depth they were stored in: uint8, uint16 (full scale = 1.0) or float32 (1.0 = white).
            C is 1 for gray pictures and mosaics, else 3. Orientation is upright.
        state: the color state of the pixels.
        meta: what the file said.
        sensor: the camera, for RAW states.
        layers: named companions with the same height and width; `alpha` is carried through untouched.
    """

    pixels: np.ndarray
    state: ColorState = ColorState.SRGB
    meta: Metadata = field(default_factory=Metadata)
    sensor: Sensor | None = None
    layers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 3) or 0 in self.pixels.shape:
            raise InputError(f"a picture has shape (H, W, 1 or 3), not {self.pixels.shape}", self.meta.source or "")
        if self.state == ColorState.MOSAIC and self.pixels.shape[2] != 1:
            raise InputError("a mosaic has one value in a pixel, not three", self.meta.source or "")
        if self.pixels.dtype not in (np.uint8, np.uint16, np.float32):
            raise InputError(f"pixels are uint8, uint16 or float32, not {self.pixels.dtype}", self.meta.source or "")

    @property
    def height(self) -> int:
        """Rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.pixels.shape[1]

    @property
    def full_scale(self) -> float:
        """The stored value that means 1.0."""
        return full_scale(self.pixels.dtype)

    def with_pixels(self, pixels: np.ndarray, **changes: Any) -> "Photo":
        """The same picture with other pixels (and other fields, by name)."""
        return replace(self, pixels=pixels, **changes)


def full_scale(dtype: np.dtype | type) -> float:
    """The stored value that means 1.0: 255, 65535, or 1 for floating point."""
    dtype = np.dtype(dtype)
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0
