"""EXIF and XMP: orientation, exposure, and what to leave out when less is asked for. Blocks stay raw bytes."""

import io
import math
import re
import struct
from collections.abc import Collection
from typing import BinaryIO, Literal

from photonet.errors import UsageError
from photonet.io.metadata.ifd import Directory, Entry, MalformedError, open_tiff, read_directory, short, write_tree
from photonet.photo import Exposure, Metadata

Keep = Literal["full", "basic", "none"]
KEEP_CHOICES = ("full", "basic", "none")

EXIF_PREFIX = b"Exif\0\0"
TIFF_HEAD = b"II*\0" + struct.pack("<I", 8)

MODEL, ORIENTATION, EXIF_POINTER, GPS_POINTER = 0x0110, 0x0112, 0x8769, 0x8825
MAKER_NOTE, INTEROP_POINTER = 0x927C, 0xA005
EXPOSURE_TIME, F_NUMBER, ISO_SPEED = 0x829A, 0x829D, 0x8827
EVERYWHERE_TAGS = frozenset((ORIENTATION, 0x011A, 0x011B, 0x0128))  # orientation and resolution: any TIFF has them

# Main directory: description, make, model, orientation, resolution, software, date, artist, copyright.
DESCRIPTION, SOFTWARE, LAYOUT_NOTE = 0x010E, 0x0131, b'{"shape"'
MAIN_TAGS = frozenset((DESCRIPTION, 0x010F, 0x0110, 0x0112, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298))
PERSONAL_MAIN_TAGS = frozenset((DESCRIPTION, 0x013B))  # description, artist
# Exif directory: exposure, sensitivity, version, dates, lens; neither serial numbers, owner, comment nor maker note.
# fmt: off
BASIC_EXIF_TAGS = frozenset((
    0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x8831, 0x8832, 0x9000, 0x9003, 0x9004, *range(0x9010, 0x9013),
    *range(0x9201, 0x920B), *range(0x9290, 0x9293), 0xA001, *range(0xA402, 0xA40D), 0xA432, 0xA433, 0xA434,
))
# fmt: on

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8](?=\s*[\"'<])")


def strip_prefix(exif: bytes | None) -> bytes | None:
    """An EXIF block without the `Exif\\0\\0` that JPEG (and some writers of other formats) put before it."""
    return (exif.removeprefix(EXIF_PREFIX) or None) if exif else None


def orientation(exif: bytes | None) -> int:
    """EXIF orientation, 1 to 8; 1 where the block has none, or is damaged."""
    entry = _main(exif).get(ORIENTATION)
    value = int(entry.number or 1) if entry else 1
    return value if 1 <= value <= 8 else 1


def upright_exif(exif: bytes | None) -> bytes | None:
    """The same block with its orientation set to 1 in place, so that maker notes and every other byte survive."""
    entry = _main(exif).get(ORIENTATION)
    if not exif or not entry:
        return exif
    return set_orientation(exif, entry)


def without_orientation(exif: bytes | None) -> bytes | None:
    """The same block less its orientation field: the fields behind it move up by one, no value changes its place."""
    entry = _main(exif).get(ORIENTATION)
    if not exif or not entry:
        return exif
    order, start = open_tiff(io.BytesIO(exif))
    (count,) = struct.unpack_from(order + "H", exif, start)
    first, end = entry.position - 8, start + 2 + 12 * count + 4  # the link to the next directory moves too
    shorter = struct.pack(order + "H", count - 1)
    return exif[:start] + shorter + exif[start + 2 : first] + exif[first + 12 : end] + bytes(12) + exif[end:]


def set_orientation(structure: bytes, entry: Entry) -> bytes:
    """A TIFF structure with its orientation field set to 1."""
    order = "<" if structure[:2] == b"II" else ">"
    patched = bytearray(structure)
    struct.pack_into(order + "HI", patched, entry.position - 6, 3, 1)  # type SHORT, count 1
    struct.pack_into(order + "HH", patched, entry.position, 1, 0)
    return bytes(patched)


def upright_xmp(xmp: bytes | None) -> bytes | None:
    """The same packet with tiff:Orientation, attribute or element, set to 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp) if xmp else xmp


def exposure(exif: bytes | None) -> Exposure:
    """Seconds, ISO speed and f-number, each None where the block does not tell it."""
    fields = _child(exif, EXIF_POINTER)
    return Exposure(*(_positive(fields.get(tag)) for tag in (EXPOSURE_TIME, ISO_SPEED, F_NUMBER)))


def camera_model(exif: bytes | None) -> str:
    """What the camera calls itself; empty where the block does not tell it."""
    entry = _main(exif).get(MODEL)
    return entry.data.split(b"\0")[0].decode("ascii", "replace").strip() if entry else ""


def filtered(meta: Metadata, keep: Keep) -> Metadata:
    """Metadata to write: all, the camera's part of it (neither place, people nor maker notes), or only the profile."""
    if keep not in KEEP_CHOICES:
        raise UsageError(f"metadata is kept {', '.join(KEEP_CHOICES)}, not {keep!r}", "--metadata")
    if keep == "full":
        return meta
    exif = rebuilt(meta.exif, MAIN_TAGS - PERSONAL_MAIN_TAGS, BASIC_EXIF_TAGS) if keep == "basic" else None
    return Metadata(exif=exif, icc=meta.icc, dpi=meta.dpi, exposure=meta.exposure if keep == "basic" else Exposure())


def of_camera(preview: bytes | None) -> bytes | None:
    """What the EXIF block of a RAW file's preview says of the RAW file: neither software nor resolution."""
    return rebuilt(preview, MAIN_TAGS - EVERYWHERE_TAGS - {SOFTWARE}, BASIC_EXIF_TAGS)


def rebuilt(exif: bytes | None, main_tags: Collection[int], exif_tags: Collection[int]) -> bytes | None:
    """A new block with only some fields of the main and Exif directories; no GPS, no thumbnail."""
    main = [entry for tag, entry in _main(exif).items() if tag in main_tags]
    fields = [entry for tag, entry in _child(exif, EXIF_POINTER).items() if tag in exif_tags]
    return TIFF_HEAD + write_tree(main, {EXIF_POINTER: fields}, 8) if main or fields else None


def portable_tree(exif: bytes | None) -> tuple[list[Entry], dict[int, list[Entry]]]:
    """The fields that can move to another file: main ones, and the Exif and GPS directories.

    Maker notes stay behind, because most hold offsets that are valid only where they were written; so does the
    interoperability directory, which says nothing about the picture.
    """
    main = [entry for entry in _main(exif).values() if _moves(entry)]
    fields = [e for tag, e in _child(exif, EXIF_POINTER).items() if tag not in (MAKER_NOTE, INTEROP_POINTER)]
    return main, {EXIF_POINTER: fields, GPS_POINTER: list(_child(exif, GPS_POINTER).values())}


def from_tiff(stream: BinaryIO) -> bytes | None:
    """An EXIF block from a TIFF or a RAW file built like one: main fields, Exif and GPS; orientation set to 1."""
    try:
        order, offset = open_tiff(stream)
        directory = read_directory(stream, order, offset)
    except MalformedError:
        return None
    main = [entry for entry in directory.values() if _moves(entry)]
    children = {tag: _sub_directory(stream, order, directory, tag) for tag in (EXIF_POINTER, GPS_POINTER)}
    children[EXIF_POINTER].pop(MAKER_NOTE, None)
    children[EXIF_POINTER].pop(INTEROP_POINTER, None)
    if not children[EXIF_POINTER] and {entry.tag for entry in main} <= EVERYWHERE_TAGS:
        return None
    main = [entry for entry in main if entry.tag != ORIENTATION] + [short(ORIENTATION, 1)]
    return TIFF_HEAD + write_tree(main, {tag: fields.values() for tag, fields in children.items()}, 8)


def _moves(entry: Entry) -> bool:
    """Whether a field of the main directory is true of another file as well; tifffile's note on the layout is not."""
    return entry.tag in MAIN_TAGS and not (entry.tag == DESCRIPTION and entry.data.startswith(LAYOUT_NOTE))


def _main(exif: bytes | None) -> Directory:
    try:
        stream = io.BytesIO(exif or b"")
        return read_directory(stream, *open_tiff(stream))
    except MalformedError:
        return {}


def _child(exif: bytes | None, pointer: int) -> Directory:
    main = _main(exif)
    if not main:
        return {}
    stream = io.BytesIO(exif or b"")
    return _sub_directory(stream, open_tiff(stream)[0], main, pointer)


def _sub_directory(stream: BinaryIO, order: str, main: Directory, pointer: int) -> Directory:
    entry = main.get(pointer)
    try:
        return read_directory(stream, order, int(entry.number)) if entry and entry.number else {}
    except MalformedError:
        return {}


def _positive(entry: Entry | None) -> float | None:
    value = entry.number if entry else None
    return value if value is not None and math.isfinite(value) and value > 0 else None
