"""GIF and BMP, read only, through Pillow."""

from typing import BinaryIO

from photonet.io.codecs import pillow
from photonet.io.frame import Frame, Header

PILLOW_NAMES = ("GIF", "BMP")


def probe(stream: BinaryIO) -> Header:
    """Size."""
    return pillow.probe(stream, *PILLOW_NAMES)


def decode(stream: BinaryIO) -> Frame:
    """8 bits; the first picture of an animation."""
    with pillow.open_image(stream, *PILLOW_NAMES) as image:
        return pillow.frame_of(image)
