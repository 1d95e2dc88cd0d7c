"""TIFF directories (IFDs): the structure of EXIF blocks, TIFF files and most RAW files, read and written without loss.

Source: TIFF 6.0, section 2; Exif 2.32, section 4.6.
"""

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
WORD_BYTES = TYPE_BYTES | {5: 4, 10: 4}  # a rational is two words
NUMBER_FORMATS = {
    1: "<u1",
    3: "<u2",
    4: "<u4",
    5: "<u4",
    6: "<i1",
    8: "<i2",
    9: "<i4",
    10: "<i4",
    11: "<f4",
    12: "<f8",
    13: "<u4",
}
RATIONALS = (5, 10)
SHORT, LONG = 3, 4
MAX_ENTRIES = 4096  # a damaged count must not make us read the whole file as a directory
MAX_VALUE_BYTES = 64 << 20


class MalformedError(ValueError):
    """A directory that points outside of its file, or is none."""


@dataclass(frozen=True)
class Entry:
    """One field of a directory.

    Args:
        tag: its number.
        type: its TIFF type.
        count: how many values.
        data: the values, little-endian whatever the file was.
        position: where in the stream its inline value (or the pointer to it) lies.
    """

    tag: int
    type: int
    count: int
    data: bytes
    position: int = 0

    @property
    def numbers(self) -> list[float]:
        """The values as numbers; a rational with denominator 0 becomes NaN; text gives an empty list."""
        if self.type not in NUMBER_FORMATS:
            return []
        values = np.frombuffer(self.data, NUMBER_FORMATS[self.type]).astype(np.float64)
        if self.type in RATIONALS:
            top, bottom = values[0::2], values[1::2]
            values = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
        return [float(value) for value in values]

    @property
    def number(self) -> float | None:
        """The first value, or None where there is none."""
        return self.numbers[0] if self.numbers else None


Directory = dict[int, Entry]


def short(tag: int, value: int) -> Entry:
    """A field with one 16-bit value."""
    return Entry(tag, SHORT, 1, struct.pack("<H", value))


def open_tiff(stream: BinaryIO) -> tuple[str, int]:
    """Byte order (`<` or `>`) and the offset of the first directory. BigTIFF is refused."""
    stream.seek(0)
    head = stream.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        raise MalformedError("not a classic TIFF structure")
    return order, struct.unpack(order + "I", head[4:])[0]


def read_directory(stream: BinaryIO, order: str, offset: int) -> Directory:
    """The directory at an offset. Fields of unknown type, and fields that point outside the file, are left out."""
    stream.seek(offset)
    raw_count = stream.read(2)
    if offset < 8 or len(raw_count) < 2:
        raise MalformedError("the directory lies outside the file")
    (count,) = struct.unpack(order + "H", raw_count)
    table = stream.read(12 * min(count, MAX_ENTRIES))
    entries: Directory = {}
    for at in range(0, len(table) - 11, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", table, at)
        size = TYPE_BYTES.get(kind, 0) * number
        if not 0 < size <= MAX_VALUE_BYTES:
            continue
        data = table[at + 8 : at + 8 + size]
        if size > 4:
            stream.seek(struct.unpack_from(order + "I", table, at + 8)[0])
            data = stream.read(size)
        if len(data) == size:
            entries[tag] = Entry(tag, kind, number, _swapped(data, kind, order), offset + 2 + at + 8)
    return entries


def write_directory(entries: Iterable[Entry], offset: int) -> bytes:
    """A little-endian directory and its values, to be placed at an (even) offset; no directory follows it."""
    ordered = sorted(entries, key=lambda entry: entry.tag)
    table = io.BytesIO()
    values = io.BytesIO()
    values_at = offset + 2 + 12 * len(ordered) + 4
    table.write(struct.pack("<H", len(ordered)))
    for entry in ordered:
        table.write(struct.pack("<HHI", entry.tag, entry.type, entry.count))
        if len(entry.data) <= 4:
            table.write(entry.data.ljust(4, b"\0"))
        else:
            table.write(struct.pack("<I", values_at + values.tell()))
            values.write(entry.data + b"\0" * (len(entry.data) % 2))  # TIFF wants even offsets
    table.write(b"\0\0\0\0")
    return table.getvalue() + values.getvalue()


def write_tree(main: Iterable[Entry], children: Mapping[int, Iterable[Entry]], offset: int) -> bytes:
    """A directory with sub-directories behind it, to be placed at an even offset.

    Args:
        main: its own fields.
        children: the fields of each sub-directory, by the tag that points to it; empty ones are left out.
        offset: where the result will lie in its file.
    """
    present = {tag: list(fields) for tag, fields in children.items()}
    present = {tag: fields for tag, fields in present.items() if fields}
    own = [entry for entry in main if entry.tag not in children]
    pointers = dict.fromkeys(present, 0)
    size = len(write_directory([*own, *_pointer_entries(pointers)], offset))
    blocks = []
    at = offset + size
    for tag, fields in present.items():
        block = write_directory(fields, at)
        pointers[tag] = at
        blocks.append(block)
        at += len(block)
    return write_directory([*own, *_pointer_entries(pointers)], offset) + b"".join(blocks)


def _pointer_entries(pointers: dict[int, int]) -> list[Entry]:
    return [Entry(tag, LONG, 1, struct.pack("<I", at)) for tag, at in pointers.items()]


def _swapped(data: bytes, kind: int, order: str) -> bytes:
    word = WORD_BYTES[kind]
    if order == "<" or word == 1:
        return data
    return np.frombuffer(data, f">u{word}").astype(f"<u{word}").tobytes()
