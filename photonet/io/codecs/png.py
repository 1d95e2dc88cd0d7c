"""PNG: 8 and 16 bits, gray and RGB, with and without alpha, written by a small encoder of our own.

Pillow reads 16-bit RGB as 8 bits and OpenCV cannot write gray with alpha; the format is simple enough to write.

Source: Portable Network Graphics, third edition (W3C, 2023), sections 5, 9 and 11.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from photonet.errors import InputError
from photonet.io.codecs import opencv, pillow
from photonet.io.frame import Encoded, Frame, Header
from photonet.io.metadata import exif_block

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, PALETTE, GRAY_ALPHA = 0, 3, 4
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels
FILTER_UP = 2
XMP_KEYWORD = b"XML:com.adobe.xmp"
PIXEL_CHUNKS = (b"IHDR", b"tRNS", b"IDAT", b"IEND")
MAX_PROFILE_BYTES = 64 << 20
COMPRESSION_LEVEL = 3  # 24 megapixels: 1.0 s and 22 MB; level 6 takes 3.3 s for 21 MB
STRIPE_BYTES = 4 << 20


class _Chunk(NamedTuple):
    kind: bytes
    data: memoryview
    whole: memoryview


def probe(stream: BinaryIO) -> Header:
    """Size, and orientation where the eXIf chunk stands before the pixels."""
    return pillow.probe(stream, "PNG")


def decode(stream: BinaryIO) -> Frame:
    """Pixels in full depth. Every checksum is verified, so a damaged file is an error and never half a picture."""
    stream.seek(0)
    chunks = list(_chunks(stream.read()))
    exif, xmp, icc = _carried(chunks)
    depth, color_type = chunks[0].data[8], chunks[0].data[9]
    if depth < 8 or color_type == PALETTE:
        with pillow.open_image(stream, "PNG") as image:
            frame = pillow.frame_of(image)
        pixels, alpha, notes = frame.pixels, frame.alpha, frame.notes
    else:
        # OpenCV sees the pixels alone: it would turn them by eXIf, and some versions convert by gAMA.
        bare = b"".join([SIGNATURE, *(chunk.whole for chunk in chunks if chunk.kind in PIXEL_CHUNKS)])
        pixels, alpha = _split(opencv.decode(bare), color_type)
        notes = ()
    if any(chunk.kind == b"acTL" for chunk in chunks):
        notes = ("first picture of an animation",)
    return Frame(pixels, alpha, exif=exif, xmp=xmp, icc=icc, orientation=exif_block.orientation(exif), notes=notes)


def encode(frame: Frame, quality: int) -> Encoded:
    """A PNG in the depth of the frame (8 or 16), with eXIf, iTXt (XMP) and iCCP chunks."""
    del quality  # PNG has no loss
    samples = frame.samples
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, COLOR_TYPES[channels], 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header)]
    if frame.icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(frame.icc)))
    if frame.exif:
        parts.append(_chunk(b"eXIf", frame.exif))
    if frame.xmp:
        parts.append(_chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + frame.xmp))
    parts.extend(_chunk(b"IDAT", block) for block in _compressed(samples) if block)
    parts.append(_chunk(b"IEND", b""))
    return Encoded(b"".join(parts))


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """All chunks up to the last, with checksums verified; views of the data, not copies."""
    at, view = len(SIGNATURE), memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        whole = view[at : at + 12 + length]
        if len(whole) < 12 + length or zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
            break
        chunk = _Chunk(bytes(whole[4:8]), whole[8:-4], whole)
        yield chunk
        if chunk.kind == b"IEND":
            return
        at += len(whole)
    raise InputError("the PNG is cut short or damaged", "", "Fetch the file again from where it came.")


def _carried(chunks: list[_Chunk]) -> tuple[bytes | None, bytes | None, bytes | None]:
    exif = xmp = icc = None
    for kind, view, _ in chunks:
        data = b"" if kind in PIXEL_CHUNKS else bytes(view)
        if kind == b"eXIf":
            exif = exif_block.strip_prefix(data)
        elif kind == b"iCCP":
            icc = _inflated(data.partition(b"\0")[2][1:])
        elif kind == b"iTXt" and data.startswith(XMP_KEYWORD + b"\0"):
            xmp = _international_text(data[len(XMP_KEYWORD) + 1 :])
    return exif, xmp, icc


def _international_text(data: bytes) -> bytes | None:
    """The text of an iTXt chunk, behind compression flag and method, language and translated keyword."""
    text = data[2:].partition(b"\0")[2].partition(b"\0")[2]
    return (_inflated(text) if data[:1] == b"\1" else text) or None


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, MAX_PROFILE_BYTES) or None
    except zlib.error:
        return None


def _split(samples: np.ndarray | None, color_type: int) -> tuple[np.ndarray, np.ndarray | None]:
    if samples is None:
        raise InputError("the PNG holds damaged pixels", "", "Fetch the file again from where it came.")
    if color_type in (GRAY, GRAY_ALPHA) and samples.ndim == 3:  # OpenCV repeats gray three times before alpha
        return np.ascontiguousarray(samples[..., :1]), np.ascontiguousarray(samples[..., -1:])
    return opencv.split_bgr(samples)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _compressed(samples: np.ndarray) -> Iterator[bytes]:
    """Compressed rows, each stored as the difference from the row above, in stripes of bounded size."""
    height, width, channels = samples.shape
    row_bytes = width * channels * samples.itemsize
    rows = max(1, STRIPE_BYTES // row_bytes)
    packer = zlib.compressobj(COMPRESSION_LEVEL)
    above = np.zeros((1, row_bytes), np.uint8)
    for top in range(0, height, rows):
        stripe = samples[top : top + rows]
        big_endian = np.ascontiguousarray(stripe, stripe.dtype.newbyteorder(">"))
        raw = big_endian.view(np.uint8).reshape(len(stripe), row_bytes)
        filtered = np.empty((len(stripe), 1 + row_bytes), np.uint8)
        filtered[:, 0] = FILTER_UP
        np.subtract(raw, np.concatenate([above, raw[:-1]]), out=filtered[:, 1:])
        above = raw[-1:]
        yield packer.compress(filtered.data)
    yield packer.flush()
