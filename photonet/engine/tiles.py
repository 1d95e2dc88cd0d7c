"""The only code that pads, or that loops over tiles.

The picture is thought of as padded on the right and at the bottom to a multiple of the network's stride. Windows never
reach further than that, so that a tile at a border sees exactly what the whole picture would have seen there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import torch
from torch import Tensor

from photonet.engine.task import Tiling, Window


@dataclass(frozen=True)
class Tile:
    """One step of the loop.

    Args:
        read: what the network sees; height and width are multiples of the stride.
        core: what it is trusted for; the cores of all tiles cover the picture without overlap.
    """

    read: Window
    core: Window

    def crop(self, output: Tensor, scale: Fraction = Fraction(1)) -> Tensor:
        """The core's part of an output (… H W) that covers `read` at `scale`; part of a pixel counts as one."""
        top, left = int((self.core.top - self.read.top) * scale), int((self.core.left - self.read.left) * scale)
        return output[..., top : top + ceil(self.core.height * scale), left : left + ceil(self.core.width * scale)]


def round_up(length: int, multiple: int) -> int:
    """The next multiple."""
    return -(-length // multiple) * multiple


def halo(tiling: Tiling) -> int:
    """Pixels that a tile sees beyond its core: a multiple of the stride that covers the radius."""
    return round_up(tiling.radius, tiling.stride)


def plan_tiles(height: int, width: int, size: int, tiling: Tiling) -> list[Tile]:
    """Tiles that cover a picture.

    Args:
        height, width: of the picture.
        size: largest side of a tile's core, in pixels; 0 for the whole picture at once.
    """
    margin = halo(tiling)
    return [
        Tile(Window(top, left, bottom - top, right - left), Window(*core))
        for core in _cores(height, width, size, tiling.stride)
        for top, bottom in [_grown(core[0], core[2], margin, round_up(height, tiling.stride), tiling.stride)]
        for left, right in [_grown(core[1], core[3], margin, round_up(width, tiling.stride), tiling.stride)]
    ]


def _cores(height: int, width: int, size: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    for top, rows in _even_parts(height, size, stride):
        for left, columns in _even_parts(width, size, stride):
            yield top, left, rows, columns


def _even_parts(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(start, length) of parts of nearly equal size, starting at multiples of the stride."""
    if size <= 0 or size >= length:
        return [(0, length)]
    count = ceil(length / max(size // stride * stride, stride))
    step = round_up(ceil(length / count), stride)
    return [(start, min(step, length - start)) for start in range(0, length, step)]


def _grown(start: int, length: int, margin: int, limit: int, stride: int) -> tuple[int, int]:
    return max(start - margin, 0), min(round_up(start + length, stride) + margin, limit)


def read_window(pixels: np.ndarray, window: Window) -> np.ndarray:
    """H W C of a window; beyond the border the picture is reflected, as often as it takes: a mosaic stays one."""
    height, width = pixels.shape[:2]
    bottom, right = window.top + window.height, window.left + window.width
    if min(window.top, window.left) >= 0 and bottom <= height and right <= width:
        return pixels[window.top : bottom, window.left : right]
    rows = _reflected(window.top, bottom, height)
    columns = _reflected(window.left, right, width)
    first_row, first_column = rows.min(), columns.min()
    near = pixels[first_row : rows.max() + 1, first_column : columns.max() + 1]
    return near[rows - first_row][:, columns - first_column]


def _reflected(start: int, stop: int, length: int) -> np.ndarray:
    period = max(2 * (length - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if length > 1 else index


def magnify_window(cells: Tensor, cell: int, window: Window) -> Tensor:
    """A window of a coarse map, interpolated bilinearly; the same values whichever window they are read through.

    Args:
        cells: 1 1 h w, one value for each `cell` × `cell` pixels.
        window: of the picture, in pixels.

    Returns:
        1 1 H W.
    """
    rows = _lerp(cells[0, 0], cell, window.top, window.height)
    return _lerp(rows.T, cell, window.left, window.width).T.contiguous()[None, None]


def _lerp(rows: Tensor, cell: int, start: int, length: int) -> Tensor:
    position = ((torch.arange(start, start + length, device=rows.device) + 0.5) / cell - 0.5).clamp(
        0, rows.shape[0] - 1
    )
    low = position.floor().long()
    high = (low + 1).clamp_max(rows.shape[0] - 1)
    return torch.lerp(rows[low], rows[high], (position - low)[:, None].to(rows))
