"""What is known of the sensor behind a RAW file: from the file, from LibRaw's tables, or from the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from photonet.color import SRGB_TO_XYZ
from photonet.errors import InputError, UsageError
from photonet.io.metadata.dngtags import COLOR_MATRIX_1, COLOR_MATRIX_2, NOISE_PROFILE
from photonet.io.metadata.ifd import Entry
from photonet.photo import Sensor

LETTERS, GREEN = "RGB", 1
LARGEST_GAIN = 1000.0  # of a white balance; what lies beyond is damage
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


def sensor_of(raw: Any, tags: Mapping[int, Entry], told: Told, notes: list[str]) -> Sensor:
    """The sensor of a file that LibRaw has opened.

    Args:
        tags: fields of the file, where it is built like a TIFF.
        told: what the user says, which wins.
        notes: gets what had to be assumed.
    """
    if told.cfa and raw.raw_pattern is None:
        notes.append("--cfa left out: every pixel has three colors")
    cfa = _parsed_cfa(told.cfa) if told.cfa and raw.raw_pattern is not None else _period(raw)
    gains = _told_gains(told) or _white_balance(raw, notes)
    return _checked(
        Sensor(
            cfa=cfa,
            black=np.full(cfa.shape, float(told.black)) if told.black is not None else _black(raw, cfa.shape),
            white=float(told.white if told.white is not None else raw.white_level),
            white_balance=gains,
            xyz_to_camera=_xyz_to_camera(raw, tags, told, gains, notes),
            noise=_noise(tags.get(NOISE_PROFILE)),
        ),
        told,
    )


def sensor_told(told: Told, notes: list[str]) -> Sensor:
    """The sensor of a headerless file; `notes` gets what the user did not tell."""
    if told.cfa is None:
        notes.append("assumed --cfa RGGB")
    if told.black is None:
        notes.append("assumed --black 0")
    if told.white is None:
        notes.append(f"assumed --white {2**BITS - 1}")
    if told.white_balance is None:
        notes.append("assumed --wb 1,1,1")
    cfa = _parsed_cfa(told.cfa or "RGGB")
    return _checked(
        Sensor(
            cfa=cfa,
            black=np.full(cfa.shape, told.black or 0.0),
            white=2.0**BITS - 1 if told.white is None else told.white,
            white_balance=_told_gains(told) or (1.0, 1.0, 1.0),
            xyz_to_camera=_nine(told.matrix) if told.matrix else _unknown(notes),
        ),
        told,
    )


def _told_gains(told: Told) -> tuple[float, float, float] | None:
    """The user's white balance with green at 1; one that is no white balance is left for `_checked`."""
    if told.white_balance is None or not 0 < told.white_balance[1] < np.inf:
        return told.white_balance
    red, green, blue = told.white_balance
    return red / green, 1.0, blue / green


def _period(raw: Any) -> np.ndarray:
    """Color indices of one period, both greens as 1; a single 1 for a file with three colors in every pixel."""
    if raw.raw_pattern is None:
        return np.array([[GREEN]])
    size = raw.raw_pattern.shape
    indices = raw.raw_colors_visible[: size[0], : size[1]]
    letters = raw.color_desc.decode()
    return np.vectorize(lambda index: LETTERS.index(letters[index]))(indices)


def _parsed_cfa(letters: str) -> np.ndarray:
    side = {4: 2, 36: 6}.get(len(letters))
    if side is None or set(letters.upper()) != set(LETTERS):
        raise UsageError(f"{letters!r} is no filter array", "--cfa", "write RGGB, BGGR, GRBG, GBRG, or 36 letters")
    return np.array([LETTERS.index(letter) for letter in letters.upper()]).reshape(side, side)


def _black(raw: Any, shape: tuple[int, ...]) -> np.ndarray:
    levels = np.array(raw.black_level_per_channel, float)
    if raw.raw_pattern is None:
        return levels[:1, None]
    return levels[raw.raw_colors_visible[: shape[0], : shape[1]]]


def _white_balance(raw: Any, notes: list[str]) -> tuple[float, float, float]:
    for gains, note in ((raw.camera_whitebalance, ""), (raw.daylight_whitebalance, "assumed daylight white balance")):
        red, green, blue = gains[:3]
        if min(red, green, blue) > 0:
            if note:
                notes.append(note)
            return red / green, 1.0, blue / green
    notes.append("assumed --wb 1,1,1")
    return 1.0, 1.0, 1.0


def _xyz_to_camera(
    raw: Any, tags: Mapping[int, Entry], told: Told, as_shot: Sequence[float], notes: list[str]
) -> np.ndarray:
    """From the user, the DNG, LibRaw's table, or LibRaw's own choice of a camera RGB to sRGB matrix."""
    if told.matrix is not None:
        return _nine(told.matrix)
    for tag in (COLOR_MATRIX_2, COLOR_MATRIX_1):
        if tag in tags and len(tags[tag].numbers) == 9:
            return _nine(tags[tag].numbers)
    known = np.array(raw.rgb_xyz_matrix, float)[:3]
    if known.any():
        return known
    developed = np.array(raw.color_matrix, float)[:3, :3]
    if not developed.any():
        return _unknown(notes)
    # it takes balanced values: the gains that balance daylight are part of a ColorMatrix
    daylight = np.array(raw.daylight_whitebalance[:3], float)
    gains = daylight / daylight[1] if (daylight > 0).all() else np.array(as_shot)
    return np.linalg.inv(np.array(SRGB_TO_XYZ) @ developed) / gains[:, None]


def _nine(numbers: Sequence[float]) -> np.ndarray:
    if len(numbers) != 9:
        raise UsageError(f"a matrix has 9 numbers, not {len(numbers)}", "--matrix")
    return np.reshape(np.array(numbers, float), (3, 3))


def _unknown(notes: list[str]) -> np.ndarray:
    notes.append("no color matrix is known: camera colors are taken for sRGB")
    return np.linalg.inv(np.array(SRGB_TO_XYZ))


def _noise(entry: Entry | None) -> tuple[float, float] | None:
    """Mean over the planes of a DNG's NoiseProfile; one without any noise, or with more than there can be, is none."""
    if entry is None or len(entry.numbers) % 2 or not entry.numbers:
        return None
    pairs = np.reshape(entry.numbers, (-1, 2))
    shot, read = pairs.mean(0)
    sound = np.isfinite(pairs).all() and pairs.min() >= 0 and pairs.max() <= 1 and pairs.any()
    return (float(shot), float(read)) if sound else None


def flaws(sensor: Sensor) -> list[str]:
    """What cannot be right about a sensor, in words; nothing where all can."""
    problems = []
    if sensor.cfa.ndim != 2 or not sensor.cfa.size or not set(sensor.cfa.flatten()) <= {0, 1, 2}:
        problems.append("the filter array is none")
    elif sensor.cfa.size > 1 and len(set(sensor.cfa.flatten())) < 3:
        problems.append("the filter array lacks a color")
    if not (np.isfinite(sensor.black).all() and np.isfinite(sensor.white)):
        problems.append("black or white is not a finite number")
    elif not (sensor.black < sensor.white).all():
        problems.append(f"black {sensor.black.max():g} is not below white {sensor.white:g}")
    if not all(1 / LARGEST_GAIN <= gain <= LARGEST_GAIN for gain in sensor.white_balance):
        problems.append(f"white balance {sensor.white_balance} is none")
    if sensor.xyz_to_camera.shape != (3, 3):
        problems.append("the color matrix has not 3 rows of 3 numbers")
    elif not np.isfinite(sensor.xyz_to_camera).all() or abs(np.linalg.det(sensor.xyz_to_camera)) < SINGULAR:
        problems.append("the color matrix cannot be inverted")
    return problems


def _checked(sensor: Sensor, told: Told) -> Sensor:
    """The sensor.

    Raises:
        UsageError: it cannot be right, and the user told something of it.
        InputError: it cannot be right, as the file has it.
    """
    problems = flaws(sensor)
    if not problems:
        return sensor
    was_told = told != Told(size=told.size)
    fix = "check what you told" if was_told else "--black, --white, --wb and --matrix replace what the file says"
    raise (UsageError if was_told else InputError)("; ".join(problems), "", fix)
