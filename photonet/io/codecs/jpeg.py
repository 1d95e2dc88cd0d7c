"""JPEG. Gray and RGB are decoded by OpenCV, which needs 3 bytes per pixel; CMYK, and anything odd, by Pillow.

Chroma is not subsampled at quality 90 and above: halved chroma shows on saturated edges, and who asks for such a
quality is not after small files.
"""

import io
import re
from typing import BinaryIO

from photonet.errors import InputError
from photonet.io.codecs import opencv, pillow
from photonet.io.frame import Encoded, Frame, Header
from photonet.io.metadata import exif_block
from photonet.io.metadata.xmp import MAX_SEGMENT_BYTES

FULL_CHROMA_QUALITY = 90
SUBSAMPLING_444, SUBSAMPLING_420 = 0, 2  # Pillow's numbers

END_OF_IMAGE = 0xD9
MARKERS_WITHOUT_LENGTH = (0x01, 0xD8)
# Inside entropy-coded data FF is followed by 00 or a restart marker (D0 to D7); anything else is a marker.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


def probe(stream: BinaryIO) -> Header:
    """Size and EXIF orientation."""
    return pillow.probe(stream, "JPEG")


def decode(stream: BinaryIO) -> Frame:
    """The main picture of a JPEG; companions behind it (phones store depth or gain maps there) are left alone."""
    import cv2

    data = stream.read()
    if not is_complete(data):
        raise InputError("the JPEG is cut short: its end is missing", "", "Fetch the file again from where it came.")
    with pillow.open_image(stream, "JPEG") as image:
        blocks, gray = pillow.carried(image), image.mode == "L"
        mode = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR_RGB
        plain = image.mode in ("L", "RGB")
        samples = opencv.decode(data, mode | cv2.IMREAD_IGNORE_ORIENTATION) if plain else None
        if samples is None:
            return pillow.frame_of(image)
    pixels = samples[..., None] if gray else samples
    return Frame(pixels, **blocks._asdict(), orientation=exif_block.orientation(blocks.exif))


def encode(frame: Frame, quality: int) -> Encoded:
    """8 bits, gray or RGB, with EXIF, XMP and ICC."""
    options, notes = _fitting_blocks(frame)
    subsampling = SUBSAMPLING_444 if quality >= FULL_CHROMA_QUALITY else SUBSAMPLING_420
    stream = io.BytesIO()
    pillow.to_image(frame).save(stream, "JPEG", quality=quality, subsampling=subsampling, **options)
    return Encoded(stream.getvalue(), notes)


def is_complete(data: bytes) -> bool:
    """Whether the first picture in the data reaches its end marker. Decoders fill what is missing with gray."""
    at = 2
    while found := _MARKER.search(data, at):
        code, at = found[1][0], found.end()
        if code == END_OF_IMAGE:
            return True
        if code not in MARKERS_WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _fitting_blocks(frame: Frame) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Metadata that fits into one segment each (a profile may take many)."""
    options = pillow.save_options(frame)
    notes: tuple[str, ...] = ()
    if len(options.get("exif", b"")) > MAX_SEGMENT_BYTES:
        smaller = exif_block.rebuilt(frame.exif, exif_block.MAIN_TAGS, exif_block.BASIC_EXIF_TAGS)
        options["exif"] = smaller if smaller and len(smaller) <= MAX_SEGMENT_BYTES else b""
        notes += ("EXIF is larger than a JPEG can hold: only its camera and exposure fields were kept",)
    if len(options.get("xmp", b"")) > MAX_SEGMENT_BYTES:
        del options["xmp"]
        notes += ("XMP is larger than a JPEG can hold: dropped",)
    if options.get("exif"):
        options["exif"] = exif_block.EXIF_PREFIX + options["exif"]
    return options, notes
