"""The file formats: what each can hold, what it is called, and how to tell it from its content."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from photonet.errors import InputError, UsageError
from photonet.io.frame import Codec

# fmt: off
RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)
# fmt: on
HEADERLESS_SUFFIX = ".raw"  # of files with nothing but sensor values, when the user tells their size


@dataclass(frozen=True)
class Format:
    """One file format.

    Args:
        name: as in `--format`.
        suffixes: the usual one first.
        module: the codec, below `photonet.io.codecs`.
        depths: bits per sample that photonet writes; empty for a format that it only reads.
        alpha: whether it has room for alpha.
        gray: whether it has room for a picture with one channel.
        linear: stores linear light, not display values.
        sensor: stores what a sensor recorded, and nothing else.
        keeps: which of exif, xmp, icc it has room for.
        quality: the default of a lossy format, None for a lossless one.
        max_side: the largest width and height that it can store.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    depths: tuple[int, ...] = ()
    alpha: bool = True
    gray: bool = True
    linear: bool = False
    sensor: bool = False
    keeps: tuple[str, ...] = ("exif", "xmp", "icc")
    quality: int | None = None
    max_side: int | None = None

    @property
    def codec(self) -> Codec:
        """The codec's module, imported now: importing `photonet.io` loads no decoder."""
        module: Any = importlib.import_module(f"photonet.io.codecs.{self.module}")
        return cast(Codec, module)


FORMATS = {
    entry.name: entry
    for entry in (
        Format(
            "jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), "jpeg", depths=(8,), alpha=False, quality=95, max_side=65500
        ),
        Format("png", (".png",), "png", depths=(8, 16)),
        Format("tiff", (".tif", ".tiff"), "tiff", depths=(8, 16, 32)),
        Format("webp", (".webp",), "webp", depths=(8,), gray=False, quality=95, max_side=16383),
        Format("avif", (".avif",), "avif", depths=(8,), gray=False, quality=90, max_side=65536),
        Format("exr", (".exr",), "exr", depths=(16, 32), linear=True, keeps=()),
        Format("hdr", (".hdr", ".pic"), "radiance", depths=(32,), alpha=False, gray=False, linear=True, keeps=()),
        Format("heic", (".heic", ".heif", ".hif"), "heic"),
        Format("gif", (".gif",), "legacy"),
        Format("bmp", (".bmp", ".dib"), "legacy"),
        Format("dng", (".dng",), "dng", depths=(16,), alpha=False, sensor=True, keeps=("exif", "xmp")),
        Format("raw", tuple(suffix for suffix in RAW_SUFFIXES if suffix != ".dng"), "raw"),
    )
}
READABLE_SUFFIXES = frozenset(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
WRITABLE_SUFFIXES = frozenset(suffix for entry in FORMATS.values() if entry.depths for suffix in entry.suffixes)
WRITABLE_NAMES = ", ".join(name for name, entry in FORMATS.items() if entry.depths)

_HEAD_BYTES = 64
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_RAW_SIGNATURES = (
    b"FUJIFILMCCD-RAW",
    b"II\x1a\0\0\0HEAPCCDR",  # Canon CRW
    b"IIRO",  # Olympus ORF, three variants
    b"IIRS",
    b"MMOR",
    b"IIU\0",  # Panasonic RW2
    b"\0MRM",  # Minolta MRW
    b"FOVb",  # Sigma X3F
)
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
_RADIANCE_SIGNATURES = (b"#?RADIANCE", b"#?RGBE")
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def suffix_for(name: str) -> str:
    """The usual suffix of a format, with its dot: `jpeg` gives `.jpg`."""
    return named(name).suffixes[0]


def named(name: str) -> Format:
    """A format by its name or by a suffix, with or without the dot, in any case: jpeg, JPG, .tif."""
    key = name.lower().removeprefix(".")
    for entry in FORMATS.values():
        if key == entry.name or f".{key}" in entry.suffixes:
            return entry
    raise UsageError("this file format is unknown", name, f"Choose one of: {WRITABLE_NAMES}.")


def writable(path: Path | None, name: str | None) -> Format:
    """The format to write: the one asked for, else the one that the path's suffix means."""
    if name is None and (path is None or path.suffix.lower() not in READABLE_SUFFIXES):
        what = "no file format follows from this name" if path else "no file format was given"
        raise UsageError(what, path or "", f"Use a suffix of, or --format with, one of: {WRITABLE_NAMES}.")
    chosen = named(name or cast(Path, path).suffix)
    if not chosen.depths:
        raise UsageError(f"photonet reads {chosen.name} but does not write it", path or "", f"Use {WRITABLE_NAMES}.")
    return chosen


def detect(stream: BinaryIO, name: str) -> Format:
    """The format of a file, from its content; the name decides only between a TIFF and a RAW file built like one.

    The stream is left at its start.
    """
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    found = _by_signature(head)
    if found == "tiff":
        from photonet.io.codecs.rawkind import is_raw

        found = "raw" if is_raw(stream, Path(name).suffix.lower() in RAW_SUFFIXES) else "tiff"
        stream.seek(0)
    if found:
        return FORMATS[found]
    fix = f"Give a file in one of: {', '.join(FORMATS)}."
    if name.lower().endswith(HEADERLESS_SUFFIX):
        fix = (
            "Sensor values without a header need --size, and --cfa, --black and --white where they are not as assumed."
        )
    raise InputError(_describe_unknown(head), name, fix)


def _by_signature(head: bytes) -> str | None:
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_RADIANCE_SIGNATURES):
        return "hdr"
    if head.startswith(_RAW_SIGNATURES) or head[4:12] == b"ftypcrx ":
        return "raw"
    if head.startswith(_TIFF_SIGNATURES):
        return "tiff"
    return _by_brand(head) if head[4:8] == b"ftyp" else None


def _by_brand(head: bytes) -> str | None:
    """AVIF and HEIC share one container: the list of compatible brands tells them apart."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "avif"
    return "heic" if any(brand in _HEIF_BRANDS for brand in brands) else None


def _describe_unknown(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in head) and head.decode("utf-8", "ignore"):
        return "the file holds text, not a picture"
    return "the content is no picture in a format that photonet reads"
