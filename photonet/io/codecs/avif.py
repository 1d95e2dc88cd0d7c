"""AVIF with 8 bits, through Pillow. Its alpha is lossy below quality 100, like its colors."""

import io
from dataclasses import replace
from typing import BinaryIO

from photonet.io.codecs import pillow
from photonet.io.frame import Encoded, Frame, Header
from photonet.io.metadata import exif_block

FULL_CHROMA_QUALITY = 90


def probe(stream: BinaryIO) -> Header:
    """Size and orientation; Pillow translates AVIF's own rotation and mirror properties to EXIF."""
    return pillow.probe(stream, "AVIF")


def decode(stream: BinaryIO) -> Frame:
    """8 bits (deeper files are rounded by Pillow); the first picture of a sequence."""
    with pillow.open_image(stream, "AVIF") as image:
        return pillow.frame_of(image)


def encode(frame: Frame, quality: int) -> Encoded:
    """8-bit RGB with or without alpha, chroma in full at quality 90 and above."""
    subsampling = "4:4:4" if quality >= FULL_CHROMA_QUALITY else "4:2:0"
    stream = io.BytesIO()
    # Pillow would move the orientation into properties of AVIF and write EXIF anew, which breaks maker notes.
    options = pillow.save_options(replace(frame, exif=exif_block.without_orientation(frame.exif)))
    pillow.to_image(frame).save(stream, "AVIF", quality=quality, subsampling=subsampling, **options)
    return Encoded(stream.getvalue())
