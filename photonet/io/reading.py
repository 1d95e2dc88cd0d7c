"""Reading a picture of any format into a Photo: upright, finite, checked."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from photonet.errors import InputError, PhotonetError
from photonet.io.codecs import raw
from photonet.io.formats import FORMATS, HEADERLESS_SUFFIX, Format, detect
from photonet.io.frame import Frame, Header
from photonet.io.metadata import exif_block
from photonet.io.metadata import icc as profiles
from photonet.io.metadata.sensor import Told
from photonet.io.quantize import count_non_finite
from photonet.photo import Exposure, Metadata, Photo

MAX_MEGAPIXELS = 512  # four times the largest camera sensor; a larger claim is a mistake or an attack
NOTHING_TOLD = Told()

Result = TypeVar("Result")


@dataclass(frozen=True)
class FormatInfo:
    """What a file is, from its header: format name, and upright width and height in pixels."""

    format: str
    width: int
    height: int


def read(path: Path | str, told: Told = NOTHING_TOLD) -> Photo:
    """Read a picture.

    The format follows from the content. Pixels keep their stored depth and are turned upright; alpha becomes the
    layer `alpha`; EXIF, XMP and ICC come along as raw bytes. A RAW file gives a mosaic, with its sensor.

    Args:
        path: of the file.
        told: what replaces a RAW file's own words on its sensor; with a size, `.raw` files have no header.

    Raises InputError for anything that is not one whole picture.
    """
    path = Path(path)
    with _opened(path) as stream:
        return _read(stream, str(path), path, told)


def read_bytes(data: bytes, name: str = "<data>", told: Told = NOTHING_TOLD) -> Photo:
    """Read a picture from memory. The name is for messages, and a hint for RAW files."""
    return _read(io.BytesIO(data), name, None, told)


def identify(path: Path | str, told: Told = NOTHING_TOLD) -> FormatInfo:
    """Format and size of a picture, without decoding it."""
    path = Path(path)
    with _opened(path) as stream:
        if told.size and _is_headerless(stream, str(path), told):
            return FormatInfo("raw", *told.size)
        kind = detect(stream, str(path))
        return FormatInfo(kind.name, *_probe(kind, stream, str(path)).upright)


def _opened(path: Path) -> BinaryIO:
    """The file, opened; each way in which that fails has its own message."""
    if path.is_fifo():  # opening it would wait for somebody who writes
        raise InputError("this is a pipe, not a file", path, "Give a file, or - for stdin.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        what = "the link points to a file that does not exist" if path.is_symlink() else "the file does not exist"
        raise InputError(what, path, "Check the name.") from error
    except IsADirectoryError as error:
        raise InputError("this is a folder, not a picture", path, "Give a file in it.") from error
    except PermissionError as error:
        if path.is_dir():  # how Windows says it
            raise InputError("this is a folder, not a picture", path, "Give a file in it.") from error
        raise InputError("you may not read this file", path, "Change its permissions.") from error
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror or error}", path, "Check the name and the disk."
        ) from error


def _read(stream: BinaryIO, name: str, source: Path | None, told: Told) -> Photo:
    if _is_headerless(stream, name, told):
        return _guarded(lambda: raw.headerless(stream, source, told), FORMATS["raw"], name)
    kind = detect(stream, name)
    _probe(kind, stream, name)
    stream.seek(0)
    if kind.name == "raw":
        return _guarded(lambda: raw.recorded(stream, source, told), kind, name)
    frame = _guarded(lambda: kind.codec.decode(stream), kind, name)
    _check_finite(frame, name)
    if told != NOTHING_TOLD:
        frame = replace(frame, notes=(*frame.notes, "no RAW file: what was told of a sensor has no effect"))
    return _photo(frame, source)


def _is_headerless(stream: BinaryIO, name: str, told: Told) -> bool:
    """Whether to take a stream for bare sensor values: the user told their size, and they are no known file."""
    if not told.size or name.lower().endswith(HEADERLESS_SUFFIX):
        return told.size is not None
    try:
        detect(stream, name)
    except InputError:
        stream.seek(0)
        return True
    return False


def _probe(kind: Format, stream: BinaryIO, name: str) -> Header:
    header = _guarded(lambda: kind.codec.probe(stream), kind, name)
    if header.width * header.height > MAX_MEGAPIXELS * 1_000_000:
        what = f"the header claims {header.width} x {header.height} pixels, more than {MAX_MEGAPIXELS} megapixels"
        raise InputError(what, name, "If it really is that large, cut it into parts first.")
    return header


def _guarded(action: Callable[[], Result], kind: Format, name: str) -> Result:
    """Run a decoder. Decoders raise anything on damaged files; we raise InputError that names the file."""
    try:
        return action()
    except PhotonetError as error:
        raise type(error)(error.what, error.where or name, error.fix) from error
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        words = error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else error
        reason = str(words).strip().partition("\n")[0] or type(error).__name__
        what = f"the {kind.name.upper()} is cut short or damaged ({reason})"
        raise InputError(what, name, "Fetch the file again from where it came.") from error


def _check_finite(frame: Frame, name: str) -> None:
    for values in (frame.pixels, frame.alpha):
        if values is not None and (bad := count_non_finite(values)):
            what = f"{bad} of {values.shape[0] * values.shape[1]} pixels are NaN or infinite"
            raise InputError(what, name, "Mend them where the picture was made.")


def _photo(frame: Frame, source: Path | None) -> Photo:
    icc, notes = profiles.fitting(frame.icc, frame.pixels.shape[2])
    layers = {} if frame.alpha is None else {"alpha": turned(frame.alpha, frame.orientation)}
    meta = Metadata(
        exif=exif_block.upright_exif(frame.exif),
        xmp=exif_block.upright_xmp(frame.xmp),
        icc=icc,
        iptc=frame.iptc,
        comment=frame.comment,
        dpi=frame.dpi,
        text=frame.text,
        exposure=_merged(exif_block.exposure(frame.exif), frame.exposure),
        source=source,
        notes=frame.notes + notes,
    )
    return Photo(turned(frame.pixels, frame.orientation), frame.state, meta, layers=layers)


def _merged(first: Exposure, second: Exposure) -> Exposure:
    """The first exposure, with gaps filled from the second."""
    gaps = {name: value for name, value in vars(second).items() if getattr(first, name) is None}
    return replace(first, **gaps)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """H W C pixels turned upright by their EXIF orientation (1 to 8).

    Source: Exif 2.32, tag 0x0112: the number says where row 0 and column 0 of the stored picture belong.
    """
    if orientation == 1:
        return np.ascontiguousarray(pixels)
    import cv2  # its turns are several times faster than a strided copy

    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        2: lambda image: cv2.flip(image, 1),
        3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
        4: lambda image: cv2.flip(image, 0),
        5: cv2.transpose,
        6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
        7: lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180),
        8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
    }
    upright = turns[orientation](np.ascontiguousarray(pixels))
    return upright if upright.ndim == 3 else upright[..., None]
