"""What passes between a codec and the rest of `io`: the content of one file, before or after `Photo` semantics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from photonet.color import ColorState
from photonet.photo import Exposure, Sensor

QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class Header(NamedTuple):
    """What can be known without decoding: size as stored, and how to turn it."""

    width: int
    height: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after turning."""
        return (self.height, self.width) if self.orientation in QUARTER_TURNS else (self.width, self.height)


@dataclass(frozen=True)
class Frame:
    """The content of a file, as a codec decodes or encodes it.

    Args:
        pixels: H W C with C = 1 or 3, in stored depth and stored orientation.
        alpha: H W 1 in the same depth, or None.
        state: SRGB or LINEAR; MOSAIC or CAMERA for what a sensor recorded.
        sensor: that recorded it.
        exif: TIFF-structured block without prefix.
        xmp: raw packet.
        icc: raw profile.
        iptc, comment, dpi, text: as `Metadata` has them.
        orientation: how to turn the pixels upright, as in EXIF; always 1 when encoding.
        exposure: only where it is known from elsewhere than EXIF.
        notes: what had to be assumed.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    state: ColorState = ColorState.SRGB
    sensor: Sensor | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    iptc: bytes | None = None
    comment: str | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    orientation: int = 1
    exposure: Exposure = field(default_factory=Exposure)
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> np.ndarray:
        """Pixels with alpha behind them, H W (C or C + 1), in one block of memory."""
        if self.alpha is None:
            return np.ascontiguousarray(self.pixels)
        return np.concatenate([self.pixels, self.alpha], axis=2)


class Encoded(NamedTuple):
    """A finished file, and what it could not hold."""

    data: bytes
    notes: tuple[str, ...] = ()


class Codec(Protocol):
    """The three functions that every codec module has (`encode` only where photonet writes the format).

    What a sensor recorded is read by `raw.recorded`, whatever the format, and written by `dng.encode`.
    """

    def probe(self, stream: BinaryIO) -> Header:
        """Size and orientation from the header alone."""

    def decode(self, stream: BinaryIO) -> Frame:
        """The whole file. Raises anything on damage: `reading` turns it into an InputError."""

    def encode(self, frame: Frame, quality: int) -> Encoded:
        """A file in memory. `quality` is 1 to 100, and ignored by formats without loss."""


def split_alpha(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H W C) and alpha (H W 1 or None) from samples of shape H W, or H W with 1 to 4 channels."""
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.shape[2] in (1, 3):
        return samples, None
    return np.ascontiguousarray(samples[..., :-1]), np.ascontiguousarray(samples[..., -1:])
