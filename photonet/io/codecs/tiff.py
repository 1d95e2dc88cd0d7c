"""TIFF with 8 or 16 bits or float, through tifffile.

A float TIFF holds linear light unless it carries a color profile, which then says how it is encoded: that is also
how it is written. Of EXIF, a TIFF keeps make, model, dates, description, copyright, the Exif directory (exposure,
lens, comments) and GPS, but neither maker notes, whose offsets break when moved, nor the thumbnail.
"""

import io
import logging
import struct
from typing import Any, BinaryIO

import numpy as np

from photonet.color import ColorState
from photonet.errors import InputError
from photonet.io.codecs import opencv, pillow
from photonet.io.frame import Encoded, Frame, Header
from photonet.io.metadata import exif_block
from photonet.io.metadata.ifd import MalformedError, open_tiff, read_directory, write_tree

XMP_TAG, ORIENTATION_TAG, ICC_TAG = 700, 274, 34675
MINISWHITE, MINISBLACK, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
ASSOCIATED_ALPHA = 1
BYTE_TYPE = 1
FIX = "Save it as an 8- or 16-bit RGB or gray TIFF, or as a float one."


def probe(stream: BinaryIO) -> Header:
    """Size and orientation of the first page."""
    with _open(stream) as file:
        page = file.pages[0]
        return Header(int(page.imagewidth), int(page.imagelength), _orientation(page))


def decode(stream: BinaryIO) -> Frame:
    """The first page: gray, RGB, palette, 1-bit or CMYK, chunky or planar; half becomes float."""
    with _open(stream) as file:
        page, pages = file.pages[0], len(file.pages)
        icc, xmp = _bytes_of(page, ICC_TAG), _bytes_of(page, XMP_TAG)
        orientation, premultiplied = _orientation(page), ASSOCIATED_ALPHA in page.extrasamples[:1]
        pixels, alpha, notes = _pixels(page, stream)
    if page.photometric == CMYK:
        icc = None  # converted to sRGB
    if pages > 1:
        notes += (f"first page of {pages}",)
    if premultiplied and alpha is not None:
        notes += ("alpha is premultiplied: colors are kept as they are",)
    state = ColorState.LINEAR if pixels.dtype == np.float32 and icc is None else ColorState.SRGB
    exif = exif_block.from_tiff(stream)
    return Frame(pixels, alpha, state, exif=exif, xmp=xmp, icc=icc, orientation=orientation, notes=notes)


def encode(frame: Frame, quality: int) -> Encoded:
    """Uncompressed, in the depth of the frame, with ICC, XMP and the part of EXIF that can move."""
    import tifffile

    del quality  # no loss
    stream = io.BytesIO()
    samples = frame.samples
    tifffile.imwrite(
        stream,
        samples if samples.shape[2] > 1 else samples[..., 0],
        photometric="rgb" if frame.pixels.shape[2] == 3 else "minisblack",
        planarconfig="contig" if samples.shape[2] > 1 else None,
        extrasamples=None if frame.alpha is None else ["unassalpha"],
        metadata=None,
        software=False,
        iccprofile=frame.icc,
        extratags=[(XMP_TAG, BYTE_TYPE, len(frame.xmp), frame.xmp, True)] if frame.xmp else [],
    )
    notes = append_exif(stream, frame.exif) if frame.exif else ()
    return Encoded(stream.getvalue(), notes)


def _open(stream: BinaryIO) -> Any:
    import tifffile

    logger = logging.getLogger("tifffile")
    if not logger.handlers:  # it would print on standard error what we raise, or can live with
        logger.addHandler(logging.NullHandler())
    stream.seek(0)
    return tifffile.TiffFile(stream)


def _orientation(page: Any) -> int:
    value = int(page.tags.valueof(ORIENTATION_TAG, 1))
    return value if 1 <= value <= 8 else 1


def _bytes_of(page: Any, tag: int) -> bytes | None:
    value = page.tags.valueof(tag)
    return bytes(value) if value else None


def _pixels(page: Any, stream: BinaryIO) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Pixels, alpha and notes of a page."""
    if page.photometric == CMYK:
        frame = _by_pillow(stream)
        return frame.pixels, frame.alpha, frame.notes
    try:
        samples = page.asarray()
    except (ValueError, KeyError) as error:
        if "imagecodecs" not in str(error):
            raise
        return _by_libtiff(page, stream)
    if page.photometric not in (MINISWHITE, MINISBLACK, RGB, PALETTE):
        raise InputError(f"a TIFF in {page.photometric.name} is not supported", "", FIX)
    if page.photometric == PALETTE:
        samples = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)[samples]
    if page.axes == "SYX":
        samples = np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    samples = _in_known_depth(samples, page)
    if page.photometric == MINISWHITE:
        samples = np.iinfo(samples.dtype).max - samples if samples.dtype.kind == "u" else 1 - samples
    return _split(samples)


def _in_known_depth(samples: np.ndarray, page: Any) -> np.ndarray:
    """uint8, uint16 or float32 in native byte order; fewer than 8 bits are spread over 0 to 255."""
    bits = page.bitspersample
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype.kind in "bu" and bits < 8:
        return samples.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
    if samples.dtype.kind == "u" and samples.dtype.itemsize <= 2:
        return samples.astype(samples.dtype.newbyteorder("="), copy=False)
    raise InputError(f"a TIFF with {bits}-bit {samples.dtype.name} samples is not supported", "", FIX)


def _split(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Colors and alpha; samples beyond those are left out, with a note."""
    if samples.ndim == 2:
        return samples[..., None], None, ()
    if samples.ndim != 3:
        raise InputError(f"a TIFF with {samples.ndim} dimensions is not a picture", "", FIX)
    channels = 3 if samples.shape[2] >= 3 else 1
    extra = samples.shape[2] - channels
    if not extra:
        return samples, None, ()
    notes = (f"left out {extra - 1} extra channels",) if extra > 1 else ()
    alpha = np.ascontiguousarray(samples[..., channels : channels + 1])
    return np.ascontiguousarray(samples[..., :channels]), alpha, notes


def _by_libtiff(page: Any, stream: BinaryIO) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Compressions that tifffile cannot undo without imagecodecs (LZW, JPEG, fax): Pillow, or OpenCV above 8 bits."""
    if page.bitspersample <= 8:
        frame = _by_pillow(stream)
        return frame.pixels, frame.alpha, frame.notes
    samples = opencv.decode(_without_orientation(stream))
    if samples is None:
        what = f"the TIFF is damaged, or its {page.compression.name} compression needs an optional package"
        raise InputError(what, "", "Run: pip install imagecodecs. Or save it with Deflate or without compression.")
    return *opencv.split_bgr(samples), ()


def _by_pillow(stream: BinaryIO) -> Frame:
    with pillow.open_image(io.BytesIO(_without_orientation(stream)), "TIFF") as image:
        return pillow.frame_of(image)


def _without_orientation(stream: BinaryIO) -> bytes:
    """The whole file with its orientation set to 1: OpenCV and Pillow turn TIFFs on their own."""
    order, offset = open_tiff(stream)
    entry = read_directory(stream, order, offset).get(ORIENTATION_TAG)
    stream.seek(0)
    data = stream.read()
    return exif_block.set_orientation(data, entry) if entry else data


def append_exif(stream: io.BytesIO, exif: bytes) -> tuple[str, ...]:
    """Replace the first directory of a finished little-endian TIFF by one that also holds EXIF, at the end."""
    try:
        _, offset = open_tiff(stream)
    except MalformedError:
        return ("EXIF was left out: a TIFF over 4 GB has no room for it",)
    main = read_directory(stream, "<", offset)
    fields, children = exif_block.portable_tree(exif)
    merged = {entry.tag: entry for entry in fields} | main
    end = stream.seek(0, io.SEEK_END)
    stream.write(b"\0" * (end % 2))
    at = end + end % 2
    stream.write(write_tree(merged.values(), children, at))
    stream.seek(4)
    stream.write(struct.pack("<I", at))
    return ()
