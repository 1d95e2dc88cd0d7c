"""RAW files as the sensor recorded them: mosaics, with what is known of the sensor.

`raw` develops the same files for display.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from photonet.color import SRGB_TO_XYZ, ColorState
from photonet.errors import InputError, UsageError
from photonet.io import metadata
from photonet.io.ifd import Entry, MalformedError, open_tiff, read_directory
from photonet.io.raw import FLIP_TO_ORIENTATION, exposure_of, open_raw
from photonet.io.rawkind import SUB_IFDS
from photonet.photo import Metadata, Photo, Sensor

COLOR_MATRIX_1, COLOR_MATRIX_2, NOISE_PROFILE = 50721, 50722, 51041
LETTERS = "RGB"
SINGULAR = 1e-6  # determinant of a color matrix that is none
BITS = 14  # of a headerless file whose white level nobody told


@dataclass(frozen=True)
class Told:
    """What the user says of a sensor, in place of what a file says, or fails to say.

    Args:
        cfa: the colors of one period in the order of reading, as in RGGB; 36 letters for X-Trans.
        black, white: levels in the file's units.
        white_balance: gains of red, green and blue.
        matrix: nine numbers, row by row: XYZ to camera RGB, as in a DNG's ColorMatrix.
        size: width and height of a headerless file.
    """

    cfa: str | None = None
    black: float | None = None
    white: float | None = None
    white_balance: tuple[float, float, float] | None = None
    matrix: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None


def read_mosaic(path: Path | str, told: Told | None = None) -> Photo:
    """The mosaic of a RAW file: H W 1, float32, black subtracted, 1.0 = white level, signed, turned upright.

    Its notes say what had to be assumed.

    Raises:
        InputError: not a RAW file, damaged, or levels, gains or a matrix that cannot be.
        UsageError: what was told makes no sense.
    """
    path, told = Path(path), told or Told()
    if told.size is not None:
        return _headerless(path, told)
    try:
        with path.open("rb") as stream, open_raw(stream) as raw:
            return _mosaic(raw, stream, path, told)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path) from error
    except Exception as error:  # LibRaw has many, and all of them mean that the file is not whole
        if type(error).__module__.partition(".")[0] != "rawpy":
            raise
        fix = "for a file without a header, give --size, --white and --cfa"
        raise InputError(f"no RAW file that LibRaw knows, or damaged ({error})", path, fix) from error


def _mosaic(raw: Any, stream: BinaryIO, path: Path, told: Told) -> Photo:
    if raw.raw_image_visible is None or raw.num_colors != 3:
        raise InputError("holds no mosaic of three colors", path, "photonet takes Bayer and X-Trans sensors")
    values = raw.raw_image_visible
    notes: list[str] = []
    tags = _tags(stream)
    cfa = _parsed_cfa(told.cfa) if told.cfa else _period(raw)
    gains = told.white_balance or _white_balance(raw, notes)
    sensor = Sensor(
        cfa=cfa,
        black=np.full(cfa.shape, float(told.black)) if told.black is not None else _black(raw, cfa.shape),
        white=float(told.white if told.white is not None else raw.white_level),
        white_balance=gains,
        xyz_to_camera=_xyz_to_camera(raw, tags, told, gains, notes),
        noise=_noise(tags.get(NOISE_PROFILE)),
    )
    meta = Metadata(exif=metadata.from_tiff(stream), exposure=exposure_of(raw), source=path, notes=tuple(notes))
    return _upright(_photo(values, _checked(sensor, path), meta), FLIP_TO_ORIENTATION.get(raw.sizes.flip, 1))


def _headerless(path: Path, told: Told) -> Photo:
    """Rows of little-endian 16-bit numbers."""
    width, height = told.size or (0, 0)
    try:
        values = np.fromfile(path, "<u2")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path) from error
    if width < 1 or height < 1 or len(values) != width * height:
        raise UsageError(f"{path} holds {len(values)} numbers, not {width}×{height}", "--size")
    notes = ["headerless: taken as little-endian 16-bit numbers"]
    if told.cfa is None:
        notes.append("assumed --cfa RGGB")
    if told.white is None:
        notes.append(f"assumed --white {2**BITS - 1}")
    if told.white_balance is None:
        notes.append("assumed --wb 1 1 1")
    cfa = _parsed_cfa(told.cfa or "RGGB")
    sensor = Sensor(
        cfa=cfa,
        black=np.full(cfa.shape, told.black or 0.0),
        white=told.white or 2.0**BITS - 1,
        white_balance=told.white_balance or (1.0, 1.0, 1.0),
        xyz_to_camera=_nine(told.matrix) if told.matrix else _unknown(notes),
    )
    meta = Metadata(source=path, notes=tuple(notes))
    return _photo(values.reshape(height, width), _checked(sensor, path), meta)


def _photo(values: np.ndarray, sensor: Sensor, meta: Metadata) -> Photo:
    height, width = values.shape
    rows, columns = sensor.cfa.shape
    black = np.tile(sensor.black, (-(-height // rows), -(-width // columns)))[:height, :width]
    pixels = (values - black) / (sensor.white - black)
    return Photo(pixels.astype(np.float32)[..., None], ColorState.MOSAIC, meta, sensor)


def _upright(photo: Photo, orientation: int) -> Photo:
    """A mosaic turned upright stays a mosaic, of a turned filter array."""
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


def _period(raw: Any) -> np.ndarray:
    """Color indices of one period, both greens as 1."""
    size = raw.raw_pattern.shape
    indices = raw.raw_colors_visible[: size[0], : size[1]]
    letters = raw.color_desc.decode()
    return np.vectorize(lambda index: LETTERS.index(letters[index]))(indices)


def _parsed_cfa(letters: str) -> np.ndarray:
    side = {4: 2, 36: 6}.get(len(letters))
    if side is None or set(letters.upper()) - set(LETTERS):
        raise UsageError(f"{letters!r} is no filter array", "--cfa", "write RGGB, BGGR, GRBG, GBRG, or 36 letters")
    return np.array([LETTERS.index(letter) for letter in letters.upper()]).reshape(side, side)


def _black(raw: Any, shape: tuple[int, ...]) -> np.ndarray:
    levels = np.array(raw.black_level_per_channel, float)
    return levels[raw.raw_colors_visible[: shape[0], : shape[1]]]


def _white_balance(raw: Any, notes: list[str]) -> tuple[float, float, float]:
    for gains, note in ((raw.camera_whitebalance, ""), (raw.daylight_whitebalance, "assumed daylight white balance")):
        red, green, blue = gains[:3]
        if min(red, green, blue) > 0:
            if note:
                notes.append(note)
            return red / green, 1.0, blue / green
    notes.append("assumed --wb 1 1 1")
    return 1.0, 1.0, 1.0


def _xyz_to_camera(
    raw: Any, tags: dict[int, Entry], told: Told, gains: Sequence[float], notes: list[str]
) -> np.ndarray:
    """From the user, LibRaw's table, the DNG, or LibRaw's own choice of a camera RGB to sRGB matrix."""
    if told.matrix is not None:
        return _nine(told.matrix)
    known = np.array(raw.rgb_xyz_matrix, float)[:3]
    if known.any():
        return known
    for tag in (COLOR_MATRIX_2, COLOR_MATRIX_1):
        if tag in tags and len(tags[tag].numbers) == 9:
            return _nine(tags[tag].numbers)
    developed = np.array(raw.color_matrix, float)[:3, :3]
    if not developed.any():
        return _unknown(notes)
    # it takes balanced values: the gains that balance daylight are part of a ColorMatrix
    return np.linalg.inv(np.array(SRGB_TO_XYZ) @ developed) / np.array(gains)[:, None]


def _nine(numbers: Sequence[float]) -> np.ndarray:
    if len(numbers) != 9:
        raise UsageError(f"a matrix has 9 numbers, not {len(numbers)}", "--matrix")
    return np.reshape(np.array(numbers, float), (3, 3))


def _unknown(notes: list[str]) -> np.ndarray:
    notes.append("no color matrix is known: camera colors are taken for sRGB")
    return np.linalg.inv(np.array(SRGB_TO_XYZ))


def _noise(entry: Entry | None) -> tuple[float, float] | None:
    """Mean over the planes of a DNG's NoiseProfile."""
    if entry is None or len(entry.numbers) % 2 or not entry.numbers:
        return None
    pairs = np.reshape(entry.numbers, (-1, 2))
    shot, read = pairs.mean(0)
    return (float(shot), float(read)) if np.isfinite(pairs).all() and shot >= 0 and read >= 0 else None


def _tags(stream: BinaryIO) -> dict[int, Entry]:
    """The fields of the main directory and of those below it, where the file is built like a TIFF."""
    try:
        order, offset = open_tiff(stream)
        found = dict(read_directory(stream, order, offset))
        for below in found[SUB_IFDS].numbers if SUB_IFDS in found else ():
            found = {**read_directory(stream, order, int(below)), **found}
    except MalformedError:
        return {}
    return found


def _checked(sensor: Sensor, path: Path) -> Sensor:
    problems = []
    if not (sensor.black < sensor.white).all():
        problems.append(f"black {sensor.black.max():g} is not below white {sensor.white:g}")
    if not all(np.isfinite(sensor.white_balance)) or min(sensor.white_balance) <= 0:
        problems.append(f"white balance {sensor.white_balance} is not positive")
    if not np.isfinite(sensor.xyz_to_camera).all() or abs(np.linalg.det(sensor.xyz_to_camera)) < SINGULAR:
        problems.append("the color matrix cannot be inverted")
    if problems:
        raise InputError("; ".join(problems), path, "--black, --white, --wb and --matrix replace what the file says")
    return sensor
