"""RAW files as the sensor recorded them, in float32, black subtracted, 1.0 = white level, signed."""

import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from photonet.color import ColorState
from photonet.errors import InputError, UsageError
from photonet.io.codecs.rawkind import MAX_SUB_IFDS
from photonet.io.frame import QUARTER_TURNS, Header
from photonet.io.metadata import exif_block
from photonet.io.metadata.dngtags import SUB_IFDS, XMP
from photonet.io.metadata.ifd import Directory, MalformedError, open_tiff, read_directory
from photonet.io.metadata.sensor import Told, sensor_of, sensor_told
from photonet.photo import Exposure, Metadata, Photo, Sensor

COLORS = 3
SMALLEST_SIDE = 3  # of a mosaic that can be interpolated
FLIP_TO_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's codes for half and quarter turns


def probe(stream: BinaryIO) -> Header:
    """Size of the active area, and how the camera was held."""
    with _open(stream) as raw:
        sizes = raw.sizes
        orientation = FLIP_TO_ORIENTATION.get(sizes.flip, 1)
        return Header(sizes.iwidth, sizes.iheight, orientation if orientation in QUARTER_TURNS else 1)


def recorded(stream: BinaryIO, source: Path | None, told: Told) -> Photo:
    """The active area, turned upright: a mosaic, H W 1, or of a linear DNG camera RGB, H W 3.

    Its notes say what had to be assumed.

    EXIF comes from the file where it is built like a TIFF, XMP too, else EXIF from the JPEG inside it.
    """
    exif = exif_block.from_tiff(stream)
    with _open(stream) as raw:
        exif = exif or _preview_exif(raw)  # before the pixels: LibRaw crashes on some files the other way round
        values = raw.raw_image_visible
        if values is None or raw.num_colors != COLORS or (raw.raw_pattern is None and values.ndim == 2):
            fix = "photonet takes Bayer and X-Trans sensors, and linear DNGs"
            raise InputError("holds neither a mosaic of three colors nor linear RGB", "", fix)
        notes: list[str] = []
        tags = _tags(stream)
        sensor = sensor_of(raw, tags, told, notes)
        pixels = _normalized(values if values.ndim == 2 else values[..., :COLORS], sensor)
        exposure, orientation = _exposure(raw), FLIP_TO_ORIENTATION.get(raw.sizes.flip, 1)
    xmp = exif_block.upright_xmp(tags[XMP].data) if XMP in tags else None
    meta = Metadata(exif=exif, xmp=xmp, exposure=exposure, source=source, notes=tuple(notes))
    state = ColorState.MOSAIC if pixels.shape[2] == 1 else ColorState.CAMERA
    return upright(Photo(pixels, state, meta, sensor), orientation)


def headerless(stream: BinaryIO, source: Path | None, told: Told) -> Photo:
    """Rows of little-endian 16-bit numbers, of a sensor that the user tells about."""
    width, height = told.size or (0, 0)
    data = stream.read()
    if width < 1 or height < 1 or len(data) != 2 * width * height:
        raise UsageError(f"the file holds {len(data) // 2} numbers, not {width}×{height}", "--size")
    notes = ["headerless: taken as little-endian 16-bit numbers"]
    sensor = sensor_told(told, notes)
    pixels = _normalized(np.frombuffer(data, "<u2").reshape(height, width), sensor)
    return Photo(pixels, ColorState.MOSAIC, Metadata(source=source, notes=tuple(notes)), sensor)


def _normalized(values: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Numbers of the file, H W or H W 3, as float32, H W 1 or H W 3: never twice in memory.

    Raises:
        InputError: the picture is smaller than its filter array.
    """
    rows, columns = sensor.cfa.shape
    height, width = values.shape[:2]
    if min(height, width) < max(rows, columns, SMALLEST_SIDE if rows > 1 else 1):
        raise InputError(f"{width}×{height} pixels are too few to tell colors from", "", "give a whole picture")
    pixels = np.empty((height, width, values.shape[2] if values.ndim > 2 else 1), np.float32)
    stacked = values.reshape(pixels.shape)
    for row in range(rows):
        for column in range(columns):
            black, sites = np.float32(sensor.black[row, column]), pixels[row::rows, column::columns]
            np.subtract(stacked[row::rows, column::columns], black, out=sites)
            sites *= 1 / (np.float32(sensor.white) - black)
    return pixels


def upright(photo: Photo, orientation: int) -> Photo:
    """What a sensor recorded, turned upright: a mosaic stays a mosaic, of a turned filter array."""
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    if turns == 0:
        return photo
    assert photo.sensor is not None
    rows, columns = photo.sensor.cfa.shape
    # one period more than the picture's own remainder turns as the picture does
    height, width = photo.height % rows + rows, photo.width % columns + columns
    cfa, black = (
        np.rot90(np.tile(array, (2, 2))[:height, :width], turns)[:rows, :columns]
        for array in (photo.sensor.cfa, photo.sensor.black)
    )
    pixels = np.ascontiguousarray(np.rot90(photo.pixels, turns))
    return photo.with_pixels(pixels, sensor=replace(photo.sensor, cfa=cfa, black=black))


def _tags(stream: BinaryIO) -> Directory:
    """The fields of the main directory and of those below it, where the file is built like a TIFF."""
    try:
        order, offset = open_tiff(stream)
        found = read_directory(stream, order, offset)
        for below in found[SUB_IFDS].numbers[:MAX_SUB_IFDS] if SUB_IFDS in found else ():
            found = {**read_directory(stream, order, int(below)), **found}
    except MalformedError:
        return {}
    return found


def _open(stream: BinaryIO) -> Any:
    import rawpy

    stream.seek(0)
    return rawpy.imread(stream)


def _preview_exif(raw: Any) -> bytes | None:
    """Camera, date and exposure from the JPEG inside a RAW file; where that has none, LibRaw adds what it knows."""
    import rawpy
    from PIL import Image, UnidentifiedImageError

    try:
        preview = raw.extract_thumb()
        if preview.format != rawpy.ThumbFormat.JPEG:
            return None
        with Image.open(BytesIO(preview.data)) as image:
            exif = exif_block.strip_prefix(image.info.get("exif"))
    except (rawpy.LibRawError, UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        return None  # no preview, or a damaged one: the picture itself is there
    return exif_block.of_camera(exif)


def _exposure(raw: Any) -> Exposure:
    """Exposure as LibRaw knows it; without an ISO speed the rest is a placeholder as well (1 s, f/1)."""
    other = getattr(raw, "other", None)  # since rawpy 0.25
    if other is None or not other.iso_speed > 0:
        return Exposure()
    values = (other.shutter_speed, other.iso_speed, other.aperture)
    return Exposure(*(float(value) if math.isfinite(value) and value > 0 else None for value in values))
