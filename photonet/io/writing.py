"""Writing a Photo: the only place that clips, dithers and rounds."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from photonet.color import SENSOR_STATES, ColorState, srgb_decode, srgb_encode
from photonet.errors import PhotonetError, UsageError
from photonet.io.atomic import check_target, write_atomic
from photonet.io.formats import Format, writable
from photonet.io.frame import Frame
from photonet.io.metadata import icc as profiles
from photonet.io.metadata.exif_block import Keep, filtered
from photonet.io.metadata.xmp import is_needed, is_own
from photonet.io.quantize import Curve, quantize, refuse_non_finite
from photonet.photo import Metadata, Photo

PHOTO_DEPTHS = {"uint8": 8, "uint16": 16, "float32": 32}
DISPLAY_DTYPES: dict[int, type] = {8: np.uint8, 16: np.uint16, 32: np.float32}
LINEAR_DTYPES: dict[int, type] = {16: np.float16, 32: np.float32}
LINEAR_STATES = (ColorState.LINEAR, ColorState.HDR)
WRITABLE_STATES = (ColorState.SRGB, *LINEAR_STATES)


@dataclass(frozen=True)
class WriteReport:
    """What became of a picture.

    Args:
        path: where it lies.
        clipped: pixels with a channel outside the range of the file.
        bytes: size of the file.
        notes: what the file could not hold.
    """

    path: Path
    clipped: int
    bytes: int
    notes: tuple[str, ...] = ()


class Packed(NamedTuple):
    """A finished file in memory, with the clipped pixels and the notes of a `WriteReport`."""

    data: bytes
    clipped: int
    notes: tuple[str, ...]


def write(
    photo: Photo,
    path: Path | str,
    *,
    format: str | None = None,
    bit_depth: int | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    metadata: Keep = "full",
) -> WriteReport:
    """Write a picture, atomically.

    Args:
        photo: display-encoded or linear, of which the format decides what is stored; or, for a DNG, a mosaic or camera
            RGB with its sensor.
        path: its suffix chooses the format, unless `format` does.
        format: jpeg, png, tiff, webp, avif, exr, hdr or dng.
        bit_depth: 8, 16 or 32 (float; in EXR 16 is half). By default the depth of the photo where the format has
            it, else the next one that it has.
        quality: 1 to 100 for JPEG, WebP (100 is lossless) and AVIF.
        overwrite: replace an existing file.
        metadata: `full` keeps EXIF, XMP and ICC; `basic` keeps camera, exposure, date and ICC, but neither place nor
            maker notes nor XMP; `none` keeps ICC, without which colors would be wrong.
    """
    path = Path(path)
    chosen = writable(path, format)
    check_target(path, overwrite)
    packed = _located(photo, chosen, bit_depth, quality, metadata, path)
    write_atomic(path, packed.data, overwrite)
    return WriteReport(path, packed.clipped, len(packed.data), packed.notes)


def encode(
    photo: Photo,
    format: str,
    *,
    bit_depth: int | None = None,
    quality: int | None = None,
    metadata: Keep = "full",
) -> bytes:
    """The file that `write` would write, in memory."""
    return pack(photo, format, bit_depth=bit_depth, quality=quality, metadata=metadata).data


def pack(
    photo: Photo,
    format: str,
    *,
    bit_depth: int | None = None,
    quality: int | None = None,
    metadata: Keep = "full",
) -> Packed:
    """As `encode`, with what became of the picture."""
    return _located(photo, writable(None, format), bit_depth, quality, metadata, format)


def check_writable(
    path: Path | None, *, format: str | None = None, bit_depth: int | None = None, quality: int | None = None
) -> None:
    """Raise a UsageError where `write` would refuse these arguments, whatever the photo. No path stands for memory."""
    kind = writable(path, format)
    _check_depth(kind, bit_depth)
    _quality(kind, quality)


def working_dtype(photo: Photo, path: Path | None, *, format: str | None, bit_depth: int | None) -> np.dtype:
    """The depth to compute in for a file: its own where it keeps more bits than the photo has, and never fewer."""
    kind = writable(path, format)
    depth = 32 if kind.linear or kind.sensor else _depth(photo, kind, bit_depth)
    # sensors have 10 to 14 bits, whatever they are held in
    own = np.dtype(np.uint16) if photo.state in SENSOR_STATES else photo.pixels.dtype
    return max(own, np.dtype(DISPLAY_DTYPES[depth]), key=lambda dtype: dtype.itemsize)


def _located(
    photo: Photo, kind: Format, bit_depth: int | None, quality: int | None, keep: Keep, where: object
) -> Packed:
    """Pack a photo; errors name the output."""
    try:
        return _pack(photo, kind, bit_depth, quality, keep)
    except PhotonetError as error:
        raise type(error)(error.what, error.where or where, error.fix) from error


def _pack(photo: Photo, kind: Format, bit_depth: int | None, quality: int | None, keep: Keep) -> Packed:
    _refuse_unfit(photo, kind)
    depth = _depth(photo, kind, bit_depth)
    if kind.sensor:
        return _pack_recorded(photo, kind, quality, keep)
    meta, channels = filtered(photo.meta, keep), photo.pixels.shape[2]
    icc, notes = profiles.fitting(meta.icc, channels)
    linear = kind.linear or (depth == 32 and icc is None and (photo.state in LINEAR_STATES or channels == 1))
    if depth == 32 and not linear and icc is None:
        icc = profiles.srgb_profile()  # a float TIFF without profile is linear: say that this one is not
    dtype = (LINEAR_DTYPES if kind.linear else DISPLAY_DTYPES)[depth]
    pixels, clipped = quantize(photo.pixels, dtype, _curve(photo, linear), signed=kind.name != "hdr")
    if channels == 1 and not kind.gray:
        pixels, icc = np.repeat(pixels, 3, axis=2), None
        notes += (f"{kind.name} has no gray: written as RGB",)
    frame = Frame(
        pixels,
        _alpha(photo, kind, dtype),
        exif=meta.exif if "exif" in kind.keeps else None,
        xmp=meta.xmp if "xmp" in kind.keeps else None,
        icc=icc if "icc" in kind.keeps else None,
        iptc=meta.iptc,
        comment=meta.comment,
        dpi=meta.dpi,
        text=meta.text,
        exposure=meta.exposure,
    )
    encoded = kind.codec.encode(frame, _quality(kind, quality))
    return Packed(encoded.data, clipped, notes + _lost(photo, kind, meta, quality) + encoded.notes)


def _pack_recorded(photo: Photo, kind: Format, quality: int | None, keep: Keep) -> Packed:
    """What a sensor recorded, in the depth and with the levels of a DNG."""
    from photonet.io.codecs.dng import code_values

    meta = filtered(photo.meta, keep)
    samples, clipped = quantize(photo.pixels, np.uint16, code_values)
    frame = Frame(samples, state=photo.state, sensor=photo.sensor, exif=meta.exif, xmp=meta.xmp)
    encoded = kind.codec.encode(frame, _quality(kind, quality))
    return Packed(encoded.data, clipped, _lost(photo, kind, meta, quality) + encoded.notes)


def _refuse_unfit(photo: Photo, kind: Format) -> None:
    if kind.sensor:
        if photo.state not in SENSOR_STATES or photo.sensor is None:
            what = f"a {kind.name.upper()} holds what a sensor recorded, and this is a finished picture"
            raise UsageError(f"{what} ({photo.state.value})", "", "Write a TIFF.")
        return
    if photo.state not in WRITABLE_STATES:
        fix = "Write a DNG, or develop it first." if photo.sensor else "Convert it to linear first."
        raise UsageError(f"a picture in state {photo.state.value} cannot be written", "", fix)
    if kind.max_side and max(photo.width, photo.height) > kind.max_side:
        what = f"{kind.name} holds no more than {kind.max_side} pixels a side, not {photo.width} x {photo.height}"
        raise UsageError(what, "", "Write a PNG or a TIFF.")


def _depth(photo: Photo, kind: Format, wanted: int | None) -> int:
    """The depth asked for, else the smallest of the format that holds the photo's, else its largest."""
    _check_depth(kind, wanted)
    if wanted is not None:
        return wanted
    own = 16 if photo.state in SENSOR_STATES else PHOTO_DEPTHS[photo.pixels.dtype.name]
    if kind.linear and own == 16:
        own = 32  # half has 11 significant bits: too few for 16-bit pixels
    return min((depth for depth in kind.depths if depth >= own), default=max(kind.depths))


def _check_depth(kind: Format, wanted: int | None) -> None:
    if wanted is not None and wanted not in kind.depths:
        choices = " or ".join(map(str, kind.depths))
        raise UsageError(f"{kind.name} has no {wanted} bits", "--bit-depth", f"Use {choices}, or another format.")


def _quality(kind: Format, wanted: int | None) -> int:
    if wanted is not None and not 1 <= wanted <= 100:
        raise UsageError(f"quality is 1 to 100, not {wanted}", "--quality")
    return wanted or kind.quality or 100


def _curve(photo: Photo, linear: bool) -> Curve | None:
    if linear == (photo.state in LINEAR_STATES):
        return None
    return srgb_decode if linear else srgb_encode


def _alpha(photo: Photo, kind: Format, dtype: type) -> np.ndarray | None:
    """Alpha in the depth of the file. It is coverage, not light: no curve ever applies."""
    alpha = photo.layers.get("alpha")
    if alpha is None or not kind.alpha:
        return None
    refuse_non_finite(alpha)
    return quantize(alpha, dtype).samples


def _lost(photo: Photo, kind: Format, meta: Metadata, quality: int | None) -> tuple[str, ...]:
    """What this format has no room for."""
    notes = []
    if "alpha" in photo.layers and not kind.alpha:
        notes.append(f"{kind.name} has no alpha: dropped")
    blocks = {"exif": meta.exif, "xmp": None if is_own(meta.xmp) else meta.xmp, "icc": meta.icc}
    dropped = [name for name, block in blocks.items() if block and name not in kind.keeps]
    if dropped:
        notes.append(f"{kind.name} has no room for {', '.join(dropped).upper()}: dropped")
    if is_needed(photo.meta.xmp) and not ("xmp" in kind.keeps and is_needed(meta.xmp)):
        notes.append("written without the XMP that is needed for turning it back")
    if quality is not None and kind.quality is None:
        notes.append(f"{kind.name} is lossless: quality has no effect")
    return tuple(notes)
