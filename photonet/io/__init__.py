"""Files in and out: the only place that knows file formats.

`read` gives a Photo, `write` takes one. No decoder is imported before it is needed, and torch never.
"""

from photonet.io.atomic import OutputError, check_folder, check_target, make_folder, write_atomic
from photonet.io.formats import FORMATS, RAW_SUFFIXES, READABLE_SUFFIXES, WRITABLE_SUFFIXES, named, suffix_for, writable
from photonet.io.kernels import read_kernels
from photonet.io.metadata.exif_block import Keep, camera_model
from photonet.io.metadata.sensor import Told, flaws
from photonet.io.metadata.xmp import carries_note, read_note, with_note
from photonet.io.reading import MAX_MEGAPIXELS, FormatInfo, identify, read, read_bytes
from photonet.io.video import FILM_SUFFIXES, read_frames
from photonet.io.writing import Packed, WriteReport, check_writable, encode, pack, working_dtype, write

__all__ = [
    "FILM_SUFFIXES",
    "FORMATS",
    "MAX_MEGAPIXELS",
    "RAW_SUFFIXES",
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "FormatInfo",
    "Keep",
    "OutputError",
    "Packed",
    "Told",
    "WriteReport",
    "camera_model",
    "carries_note",
    "check_folder",
    "check_target",
    "check_writable",
    "encode",
    "flaws",
    "identify",
    "make_folder",
    "named",
    "pack",
    "read",
    "read_bytes",
    "read_frames",
    "read_kernels",
    "read_note",
    "suffix_for",
    "with_note",
    "working_dtype",
    "writable",
    "write",
    "write_atomic",
]
