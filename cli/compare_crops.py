"""What the page of `--compare` shows of a picture: display values, a preview, and the places worth a close look."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from photonet.color import ColorState, srgb_encode
from photonet.photo import Photo

MAX_CROPS = 4
CROP_SIDE = 256  # pixels
MIN_CROP_SIDE = 32  # pixels; a picture that cannot hold four such crops is one crop itself
CELLS = 4  # detail is measured in cells of a quarter of a crop
BAND_PIXELS = 1 << 21  # pixels that are converted at a time

Box = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclass(frozen=True)
class Crop:
    """A place to look at closely: its box, and why it was chosen."""

    box: Box
    reason: str


def display(photo: Photo, rows: slice, columns: slice = slice(None), channels: slice = slice(None)) -> np.ndarray:
    """A window as 8-bit display values, H W C; what is below 0 or above 1 is clipped, what is no number is black."""
    window = photo.pixels[rows, columns, channels]
    if window.dtype == np.uint8 and photo.state is ColorState.SRGB:
        return window
    values = window.astype(np.float32) / photo.full_scale
    values = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
    if photo.state is not ColorState.SRGB:
        values = srgb_encode(values)
    return (values * 255.0 + 0.5).astype(np.uint8)


def cut(photo: Photo, box: Box) -> Image.Image:
    """The pixels of a box, one to one."""
    left, top, width, height = box
    return _image(display(photo, slice(top, top + height), slice(left, left + width)))


def preview(photo: Photo, side: int) -> Image.Image:
    """The whole picture, at most `side` pixels long; averaged band by band, so that no second copy exists."""
    block = max(1, max(photo.width, photo.height) // side)
    bands = (_image(display(photo, rows)).reduce(block) for rows in _bands(photo, block, photo.height))
    reduced = Image.fromarray(np.concatenate([np.asarray(band) for band in bands]))
    # the last column and row of blocks may be incomplete: the box says where the picture ends
    return _resize(reduced, side, (photo.width / block, photo.height / block))


def shrink(image: Image.Image, side: int) -> Image.Image:
    """The picture at most `side` pixels long; never made larger."""
    return _resize(image, side, image.size)


def _resize(image: Image.Image, side: int, extent: tuple[float, float]) -> Image.Image:
    scale = side / max(extent)
    if scale >= 1.0:
        return image
    size = (max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, box=(0, 0, *extent))


def _bands(photo: Photo, multiple: int, end: int) -> Iterator[slice]:
    """Row ranges up to `end`, each but the last a multiple of `multiple` high, small enough to convert at once."""
    step = max(1, BAND_PIXELS // (photo.width * multiple)) * multiple
    return (slice(top, min(top + step, end)) for top in range(0, end, step))


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def crop_side(size: tuple[int, int]) -> int:
    """Side of the crops of a picture (width, height): small enough for several; 0 if the picture is one crop itself."""
    side = min(CROP_SIDE, max(size) // 4, min(size) // 2) // 16 * 16
    return side if side >= MIN_CROP_SIDE else 0


def measure_detail(photo: Photo) -> np.ndarray | None:
    """Mean squared step between neighboring pixels in every cell, in squared 8-bit levels: rows × columns of cells.

    Only green is looked at: it carries most of what the eye takes for detail. None if the picture is too small.
    """
    cell = crop_side((photo.width, photo.height)) // CELLS
    if not cell:
        return None
    across, middle = photo.width // cell, photo.pixels.shape[2] // 2
    grids = []
    for rows in _bands(photo, cell, photo.height // cell * cell):
        values = display(photo, rows, channels=slice(middle, middle + 1))[:, :, 0].astype(np.float32)
        steps = np.diff(values, axis=0, append=values[-1:]) ** 2 + np.diff(values, axis=1, append=values[:, -1:]) ** 2
        cells = steps[:, : across * cell].reshape(-1, cell, across, cell)
        grids.append(cells.mean(axis=(1, 3)))
    return np.concatenate(grids)


def choose_crops(size: tuple[int, int], before: np.ndarray | None, after: np.ndarray | None) -> list[Crop]:
    """Up to four places that do not overlap: the center, where most detail changed, something flat, more change.

    Args:
        size: width and height of the pictures.
        before: `measure_detail` of the input.
        after: `measure_detail` of the result.
    """
    width, height = size
    side = crop_side(size)
    if before is None or after is None:
        wide, high = min(width, CROP_SIDE), min(height, CROP_SIDE)
        return [Crop(((width - wide) // 2, (height - high) // 2, wide, high), "center")]
    levels_before, levels_after = _window_levels(before), _window_levels(after)
    change = np.abs(levels_before - levels_after)
    # A flat place that was noisy, not a burnt-out one: much has changed against what is left. One level is nothing.
    flatness = change / (levels_after + 1.0)
    crops = [Crop(((width - side) // 2, (height - side) // 2, side, side), "center")]
    _add_best(crops, change, side, "largest change")
    _add_best(crops, flatness, side, "flat area")
    while len(crops) < MAX_CROPS and _add_best(crops, change, side, "large change"):
        pass
    return crops


def _window_levels(detail: np.ndarray) -> np.ndarray:
    """Root mean square step in every window of `CELLS`×`CELLS` cells, in 8-bit levels."""
    windows = np.lib.stride_tricks.sliding_window_view(detail.astype(np.float64), (CELLS, CELLS))
    return np.sqrt(windows.mean(axis=(2, 3)))


def _add_best(crops: list[Crop], score: np.ndarray, side: int, reason: str) -> bool:
    """Add the free window with the highest score, the first of equals; False if no window is free."""
    free = score.copy()
    cell = side // CELLS
    tops, lefts = np.indices(score.shape) * cell
    for left, top, *_ in (crop.box for crop in crops):
        free[(np.abs(tops - top) < side) & (np.abs(lefts - left) < side)] = -np.inf
    row, column = np.unravel_index(np.argmax(free), free.shape)
    if free[row, column] == -np.inf:
        return False
    crops.append(Crop((int(column) * cell, int(row) * cell, side, side), reason))
    return True
