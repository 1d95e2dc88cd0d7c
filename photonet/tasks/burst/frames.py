"""The frames of a burst, aligned with their reference."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from photonet.camera.align import Motion, find_motion, sampled
from photonet.camera.mosaic import RGGB
from photonet.color import ColorState
from photonet.engine.bayer import is_bayer
from photonet.engine.task import Window
from photonet.errors import InputError, UsageError
from photonet.io import camera_model
from photonet.photo import Photo
from photonet.tasks.burst.options import BurstOptions

CANDIDATES = 3  # frames at the beginning that may become the reference
LARGEST_VIEW = 3_500_000  # pixels that are compared for alignment
MOST_GAIN = 1.15  # between frames of one exposure, lamps and clouds considered; in display values, too
DARK = 0.01  # of white: brightness that makes no difference
SPARSE = 7  # rows and columns: odd, so that it sees all colors of a mosaic
SMOOTH = 1.5  # pixels: noise is not sharpness


def named(photo: Photo, number: int) -> str:
    """What a message calls a frame."""
    return Path(photo.meta.source).name if photo.meta.source else f"frame {number}"


def arrange(photos: Sequence[Photo], options: BurstOptions) -> list[Photo]:
    """The reference first, the others in their order.

    Raises:
        InputError: a frame is not of the camera or the size of the first.
        UsageError: there is no such reference.
    """
    check_alike(photos)
    chosen = _chosen(photos, options.reference)
    sensor = photos[chosen].sensor
    if sensor is not None:  # white balance and the like of one frame for all
        photos = [replace(photo, sensor=sensor) for photo in photos]
    return [photos[chosen], *photos[:chosen], *photos[chosen + 1 :]]


def check_alike(photos: Sequence[Photo]) -> None:
    """Refuse frames of different sizes or cameras.

    Raises:
        InputError: a frame is not of the camera or the size of the first; there is only one.
    """
    if len(photos) == 1:
        raise InputError("is the only frame", photos[0].meta.source or "", "a burst has two or more")
    for number, photo in enumerate(photos):
        _compare(photos[0], photo, number)


def _compare(first: Photo, photo: Photo, number: int) -> None:
    where, other = photo.meta.source or named(photo, number), named(first, 0)
    sizes = [f"{p.width}×{p.height}" for p in (photo, first)]
    cameras = [camera_model(p.meta.exif) for p in (photo, first)]
    if all(cameras) and cameras[0] != cameras[1]:
        raise InputError(f"is of a {cameras[0]}, and {other} of a {cameras[1]}", where, "a burst is of one camera")
    if sizes[0] != sizes[1]:
        raise InputError(f"is {sizes[0]}, and {other} is {sizes[1]}", where, "the frames of a burst have one size")
    if (photo.state, photo.pixels.dtype, photo.pixels.shape[2]) != (
        first.state,
        first.pixels.dtype,
        first.pixels.shape[2],
    ):
        raise InputError(f"is not the kind of picture that {other} is", where, "the frames of a burst are alike")
    arrays = [p.sensor.cfa for p in (photo, first) if p.sensor is not None]
    if len(arrays) == 2 and not np.array_equal(arrays[0], arrays[1]):
        raise InputError(f"has another filter array than {other}", where, "they are of different cameras")


def _chosen(photos: Sequence[Photo], reference: str) -> int:
    if reference == "auto":
        brightness = np.array([_brightness(photo) + DARK for photo in photos])
        usual = np.maximum(brightness / np.median(brightness), np.median(brightness) / brightness) < MOST_GAIN
        good = [k for k in range(min(len(photos), CANDIDATES)) if usual[k]] or [0]
        return max(good, key=lambda k: _sharpness(view(photos[k])[0]))
    if reference.isdecimal() and int(reference) < len(photos):
        return int(reference)
    paths = [photo.meta.source for photo in photos]
    names = [path and path.name for path in paths]
    if paths.count(Path(reference)) == 1:
        return paths.index(Path(reference))
    if names.count(Path(reference).name) == 1:
        return names.index(Path(reference).name)
    raise UsageError(
        f"{reference!r} is no frame of this burst", "--reference", f"a number below {len(photos)}, or a file name"
    )


def _sharpness(seen: np.ndarray) -> float:
    """Variance of the Laplacian, of what is left when noise is blurred away."""
    return float(cv2.Laplacian(cv2.GaussianBlur(seen, (0, 0), SMOOTH), cv2.CV_32F).var())


def view(photo: Photo) -> tuple[np.ndarray, int]:
    """Brightness H W for alignment, and by how much it is reduced.

    Linear values are compressed, so that a lamp does not outweigh all the rest; noise around black stays as it is.
    """
    period = len(photo.sensor.cfa) if photo.state == ColorState.MOSAIC and photo.sensor is not None else 1
    height, width = (side // period * period for side in photo.pixels.shape[:2])
    factor = period
    while (height // factor) * (width // factor) > LARGEST_VIEW:
        factor *= 2
    size = (max(width // factor, 1), max(height // factor, 1))
    whole = photo.pixels[: size[1] * factor, : size[0] * factor]
    gray = np.empty(whole.shape[:2], np.float32)
    for row in range(len(whole)):  # never the whole picture in float32 colors
        gray[row] = whole[row].mean(1, dtype=np.float32) / photo.full_scale
    reduced = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)
    if photo.state != ColorState.SRGB:
        reduced /= np.abs(reduced) + max(float(reduced.mean()), 1e-6)
    return reduced, factor


class Frame:
    """One frame beside the reference.

    Args:
        photo: the frame.
        number: its place in the burst as it is worked on; the reference is 0.
        motion: where it shows what the reference shows.
    """

    def __init__(self, photo: Photo, number: int, motion: Motion) -> None:
        self.photo, self.number, self.motion = photo, number, motion
        self._period = len(RGGB) if is_bayer(photo) else 1
        self.seen = np.empty((0, 0), bool)

    def look(self, window: Window) -> np.ndarray:
        """H W C of a window of the reference, on the scale of the photo; `seen` then says where it shows anything."""
        columns = np.arange(window.left, window.left + window.width)
        rows = np.arange(window.top, window.top + window.height)
        x, y = np.meshgrid(np.minimum(columns, 2 * self.photo.width), np.minimum(rows, 2 * self.photo.height))
        values, self.seen = sampled(self.photo.pixels, self.motion.at(x, y), self._period)
        return values


def stacked(photos: Sequence[Photo]) -> np.ndarray:
    """All frames as the first sees them, H W N·C on the scale of the photos; what a frame does not show is the first's.

    Raises:
        InputError: the frames are not alike, or none can be aligned.
    """
    first = photos[0]
    check_alike(photos)
    whole, stack = Window(0, 0, first.height, first.width), [first.pixels.astype(np.float32)]
    for frame in align(photos)[0]:
        values = frame.look(whole)
        stack.append(np.where(frame.seen[..., None], values, stack[0]))
    return np.concatenate(stack, 2)


def align(photos: Sequence[Photo]) -> tuple[list[Frame], list[str]]:
    """The other frames aligned with the first; and of those that are left out, why.

    Raises:
        InputError: none can be.
    """
    reference, factor = view(photos[0])
    brightness = _brightness(photos[0])
    found, lost = [], []
    for number, photo in enumerate(photos[1:], 1):
        if not 1 / MOST_GAIN < (_brightness(photo) + DARK) / (brightness + DARK) < MOST_GAIN:
            lost.append(f"{named(photo, number)} is brighter or darker")
            continue
        motion = find_motion(reference, view(photo)[0], factor)
        if motion is None:
            lost.append(f"{named(photo, number)} shows something else, or cannot be aligned")
        else:
            found.append(Frame(photo, number, motion))
    if not found:
        where = photos[0].meta.source or named(photos[0], 0)
        raise InputError(f"no other frame goes with it: {'; '.join(lost)}", where, "take frames of one scene")
    return found, lost


def _brightness(photo: Photo) -> float:
    return float(photo.pixels[::SPARSE, ::SPARSE].mean(dtype=np.float64)) / photo.full_scale
