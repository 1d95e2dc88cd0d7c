"""HEIC, read only, when the optional package pi_heif is there."""

from typing import Any, BinaryIO

from photonet.errors import InputError
from photonet.io.codecs import pillow
from photonet.io.frame import Frame, Header


def probe(stream: BinaryIO) -> Header:
    """Size; the opener reports it upright."""
    with _open(stream) as image:
        return Header(*image.size)


def decode(stream: BinaryIO) -> Frame:
    """8 bits, upright: the opener has turned the pixels and set the orientation to 1."""
    with _open(stream) as image:
        return pillow.frame_of(image)


def _open(stream: BinaryIO) -> Any:
    try:
        import pi_heif
    except ImportError as error:
        raise InputError("HEIC needs an optional package", "", "Run: pip install pi-heif.") from error
    pi_heif.register_heif_opener()
    return pillow.open_image(stream, "HEIF")
