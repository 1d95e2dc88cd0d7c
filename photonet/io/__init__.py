"""Files in and out: the only place that knows file formats.

`read` gives a Photo, `write` takes one. No decoder is imported before it is needed, and torch never.
"""

from photonet.io.atomic import OutputError, write_atomic
from photonet.io.formats import FORMATS, RAW_SUFFIXES, READABLE_SUFFIXES, WRITABLE_SUFFIXES, suffix_for
from photonet.io.metadata import Keep
from photonet.io.reading import MAX_MEGAPIXELS, FormatInfo, identify, read, read_bytes
from photonet.io.writing import WriteReport, encode, write

__all__ = [
    "FORMATS",
    "MAX_MEGAPIXELS",
    "RAW_SUFFIXES",
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "FormatInfo",
    "Keep",
    "OutputError",
    "WriteReport",
    "encode",
    "identify",
    "read",
    "read_bytes",
    "suffix_for",
    "write",
    "write_atomic",
]
