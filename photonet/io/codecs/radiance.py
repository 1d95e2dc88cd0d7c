"""Radiance HDR (RGBE): linear light in 32 bits per pixel, without alpha, sign or metadata."""

from typing import BinaryIO

import numpy as np

from photonet.color import ColorState
from photonet.errors import InputError
from photonet.io.codecs import opencv
from photonet.io.frame import Encoded, Frame, Header

MAX_HEADER_BYTES = 1 << 16


def probe(stream: BinaryIO) -> Header:
    """Size from the resolution line, which must be the usual one: top row first, left column first."""
    stream.seek(0)
    head = stream.read(MAX_HEADER_BYTES)
    text, _, rest = head.partition(b"\n\n")
    if b"FORMAT=32-bit_rle_xyze" in text:
        raise InputError("an HDR file in XYZE is not supported", "", "Convert it to RGBE.")
    words = rest.partition(b"\n")[0].split()
    if len(words) != 4 or words[0] != b"-Y" or words[2] != b"+X":
        raise InputError("the HDR file has no usual resolution line", "", "Convert it to the usual row order.")
    return Header(width=int(words[3]), height=int(words[1]))


def decode(stream: BinaryIO) -> Frame:
    """float32, linear, 1.0 = white."""
    stream.seek(0)
    samples = opencv.decode(stream.read())
    if samples is None:
        raise InputError("the HDR file is cut short or damaged", "", "Fetch the file again from where it came.")
    pixels, _ = opencv.split_bgr(samples)
    return Frame(pixels.astype(np.float32, copy=False), state=ColorState.LINEAR)


def encode(frame: Frame, quality: int) -> Encoded:
    """RGBE: the channels of a pixel share one exponent, an error of at most 1/256 of the brightest."""
    import cv2

    del quality  # has no such setting
    _, data = cv2.imencode(".hdr", cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))
    return Encoded(data.tobytes())
