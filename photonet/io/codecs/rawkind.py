"""Is this TIFF structure a RAW file? Cameras build NEF, ARW, CR2, PEF and DNG files like TIFFs."""

from typing import BinaryIO

from photonet.io.metadata.dngtags import CFA, DNG_VERSION, LINEAR_RAW, MAKE, PHOTOMETRIC, SUB_IFDS
from photonet.io.metadata.ifd import Directory, MalformedError, open_tiff, read_directory

CR2_SIGNATURE = b"CR"  # at byte 8
MAX_SUB_IFDS = 16


def is_raw(stream: BinaryIO, raw_suffix: bool) -> bool:
    """Whether a TIFF-structured stream holds sensor data.

    Args:
        stream: the file.
        raw_suffix: whether it is named like a RAW file; decides for cameras that hide their mosaic in private tags.
    """
    stream.seek(8)
    if stream.read(2) == CR2_SIGNATURE:
        return True
    try:
        order, offset = open_tiff(stream)
        main = read_directory(stream, order, offset)
        subs = main[SUB_IFDS].numbers[:MAX_SUB_IFDS] if SUB_IFDS in main else []
        directories = [main, *(read_directory(stream, order, int(at)) for at in subs)]
    except MalformedError:
        return raw_suffix
    if DNG_VERSION in main or any(_photometric(each) in (CFA, LINEAR_RAW) for each in directories):
        return True
    return raw_suffix and MAKE in main


def _photometric(directory: Directory) -> float | None:
    return directory[PHOTOMETRIC].number if PHOTOMETRIC in directory else None
