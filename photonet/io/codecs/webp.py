"""WebP, lossy, or lossless at quality 100; alpha is stored without loss in both."""

import io
from typing import BinaryIO

from photonet.io.codecs import pillow
from photonet.io.frame import Encoded, Frame, Header

LOSSLESS_QUALITY = 100


def probe(stream: BinaryIO) -> Header:
    """Size and EXIF orientation."""
    return pillow.probe(stream, "WEBP")


def decode(stream: BinaryIO) -> Frame:
    """8 bits; the first picture of an animation."""
    with pillow.open_image(stream, "WEBP") as image:
        return pillow.frame_of(image)


def encode(frame: Frame, quality: int) -> Encoded:
    """8-bit RGB with or without alpha; `exact` keeps the colors below transparent pixels."""
    lossless = quality >= LOSSLESS_QUALITY
    stream = io.BytesIO()
    options = pillow.save_options(frame)
    pillow.to_image(frame).save(stream, "WEBP", quality=quality, lossless=lossless, exact=True, **options)
    return Encoded(stream.getvalue())
