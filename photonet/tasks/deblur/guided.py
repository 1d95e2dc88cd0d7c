"""What the default network is told beside the picture: deconvolutions with the kernels that its helper finds."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Generator, Tensor

from photonet.camera.deconvolve import mirrored, wiener
from photonet.color import srgb_decode, srgb_encode
from photonet.engine import checkpoint
from photonet.engine.data import Batch
from photonet.engine.device import pick_device
from photonet.engine.loaded import Loaded, load
from photonet.engine.task import Prepared, Runner, Window
from photonet.errors import WeightsError
from photonet.photo import Photo
from photonet.tasks.deblur.kernels import NETWORK, WINDOW
from photonet.tasks.deblur.training import DeblurTraining, make_pair

NOISE = (0.1, 0.02, 0.004)  # power over that of the picture's gradients: deconvolved gently, and less so
REACH = 32  # pixels that deconvolution sees beyond what it is trusted for
STEP = 96  # pixels from one deconvolved part to the next; each is two steps wide, and they fade into each other
FIND_STEP, MOST_FOUND = 192, 16  # pixels from kernel to kernel, and most kernels along a side: a hand's blur is smooth
GUIDED = {"unet"}  # networks that want it
AT_ONCE = 8  # windows: keeps memory flat


class GuidedTraining(DeblurTraining):
    """As `DeblurTraining`, and with which weights kernels are found.

    Args:
        kernels: name or file of weights of the helper network; when the result runs, `--weights` must name them, too.
    """

    kernels: str = Field("deblur-kernels", min_length=1)


def make_guided(batch: Batch, generator: Generator, options: GuidedTraining) -> Batch:
    """`Network.pair`: blurred and sharp crops as `make_pair`, and `sharper`: the blurred ones deconvolved.

    That is B 3·levels H W, display-encoded, gentlest level first, not below 0; it may exceed 1.

    Raises:
        UsageError: as `make_pair`.
        WeightsError: there are no such kernel weights, or they are of another network.
    """
    pair = make_pair(batch, generator, options)
    blurred = pair["input"]
    with torch.no_grad():
        height, width = blurred.shape[-2:]
        find = _finder(options.kernels, str(blurred.device))
        kernels = find((_fitted(blurred, WINDOW),))[0][:, 0]
        sharper = wiener(mirrored(srgb_decode(blurred), REACH), kernels, _noise(blurred.device))
        sharper = srgb_encode(sharper[..., REACH : REACH + height, REACH : REACH + width].clamp_min(0))
    return {**pair, "sharper": sharper.flatten(1, 2)}


def _noise(device: torch.device) -> Tensor:
    return torch.tensor(NOISE, device=device)


@lru_cache(maxsize=2)
def _finder(weights: str, device: str) -> Loaded:
    path = checkpoint.find(weights)
    card, tensors = checkpoint.read_tensors(path)
    if (card.task, card.network) != ("deblur", "kernels"):
        raise WeightsError(f"these weights are for {card.task} {card.network}, and find no kernels", path)
    if card.config.get("window", WINDOW) != WINDOW:
        raise WeightsError(f"its windows have {card.config['window']} pixels, not {WINDOW}", path)
    with torch.random.fork_rng(devices=[]):  # building draws weights, and a training's own must not depend on that
        module = NETWORK.build(card.config)
    checkpoint.load_strictly(module, tensors, path)
    return load(NETWORK, "kernels", card, module, pick_device(device), path)


def _fitted(pictures: Tensor, side: int) -> Tensor:
    """The middle of pictures B C H W, side × side; smaller ones are continued in the mirror."""
    missing = max(side - min(pictures.shape[-2:]), 0)
    whole = mirrored(pictures, ceil(missing / 2)) if missing else pictures
    top, left = ((length - side) // 2 for length in whole.shape[-2:])
    return whole[..., top : top + side, left : left + side]


class KernelField(NamedTuple):
    """Kernels that change over a picture.

    Args:
        rows, columns: h and w, the places in pixels that they were found for.
        kernels: h w k k.
    """

    rows: Tensor
    columns: Tensor
    kernels: Tensor

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Kernels n k k at n places, interpolated."""
        (top, bottom, down), (left, right, across) = _between(self.rows, rows), _between(self.columns, columns)
        across, down = across.view(-1, 1, 1), down.view(-1, 1, 1)
        above = torch.lerp(self.kernels[top, left], self.kernels[top, right], across)
        below = torch.lerp(self.kernels[bottom, left], self.kernels[bottom, right], across)
        return torch.lerp(above, below, down)

    def extent(self) -> float:
        """Median over the picture of the kernels' diameter in pixels: four standard deviations along the longer way."""
        side = self.kernels.shape[-1]
        place = torch.arange(side, dtype=torch.float32)
        sums = self.kernels.sum(2), self.kernels.sum(3)
        variance = [(line * place.square()).sum(2) - (line * place).sum(2).square() for line in sums]
        return 4 * torch.stack(variance).amax(0).clamp_min(0).sqrt().median().item()


def _between(known: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the known places before and after each wanted one, and how far it is on the way between them."""
    last = len(known) - 1
    before = (torch.searchsorted(known, wanted, right=True) - 1).clamp(0, last)
    after = (before + 1).clamp_max(last)
    way = (wanted - known[before]) / (known[after] - known[before]).clamp_min(1)
    return before, after, way.clamp(0, 1)


def find_kernels(height: int, width: int, picture: Callable[[Window], Tensor], find: Any) -> KernelField:
    """The kernels of a picture, in windows that cover it evenly.

    Args:
        picture: window → 1 C H W.
        find: pictures B C WINDOW WINDOW → kernels B 1 k k.
    """
    tops, lefts = (_evenly(side) for side in (height, width))
    windows = [Window(top, left, WINDOW, WINDOW) for top in tops for left in lefts]
    parts = [windows[start : start + AT_ONCE] for start in range(0, len(windows), AT_ONCE)]
    found = torch.cat([find(torch.cat([picture(window) for window in part])).cpu() for part in parts])
    kernels = found.view(len(tops), len(lefts), *found.shape[-2:])
    rows, columns = (torch.tensor(starts) + WINDOW / 2 for starts in (tops, lefts))
    return KernelField(rows, columns, kernels)


def _evenly(side: int) -> list[int]:
    """Where windows begin along a side."""
    if side <= WINDOW:
        return [(side - WINDOW) // 2]
    count = min(1 + ceil((side - WINDOW) / FIND_STEP), MOST_FOUND)
    return [round(number * (side - WINDOW) / (count - 1)) for number in range(count)]


def prepare(photos: Sequence[Photo], options: Any, runner: Runner) -> Prepared:
    """For the networks that want it, the kernels of the picture, once; then windows of it, as it is and deconvolved."""
    photo = photos[0]
    picture = runner.picture(photo, runner.network)
    if runner.network not in GUIDED:
        return Prepared(lambda window: (picture(window),))
    field = find_kernels(photo.height, photo.width, picture, lambda windows: runner.apply("kernels", windows))

    def inputs(window: Window) -> tuple[Tensor, ...]:
        return picture(window), deconvolved(picture, field, window)

    return Prepared(inputs, {"blur": round(field.extent(), 1)})


def deconvolved(picture: Callable[[Window], Tensor], field: KernelField, window: Window) -> Tensor:
    """A window of the picture, deconvolved at each level of noise, 1 N·C H W, the same through any window.

    Args:
        picture: window → 1 C H W, display-encoded.
    """
    rows, columns = _steps(window.top, window.height), _steps(window.left, window.width)
    top, left = rows[0] * STEP, columns[0] * STEP
    side, whole = 2 * STEP, 2 * STEP + 2 * REACH
    size = (rows[-1] - rows[0] + 2) * STEP, (columns[-1] - columns[0] + 2) * STEP
    light = srgb_decode(picture(Window(top - REACH, left - REACH, size[0] + 2 * REACH, size[1] + 2 * REACH)))
    fade = torch.hann_window(side)
    total = light.new_zeros(len(NOISE), light.shape[1], *size)
    for row in rows:
        y = (row - rows[0]) * STEP
        for start in range(0, len(columns), AT_ONCE):
            some = columns[start : start + AT_ONCE]
            places = [(column - columns[0]) * STEP for column in some]
            parts = torch.cat([light[..., y : y + whole, x : x + whole] for x in places])
            middle = torch.tensor([(column + 1) * STEP for column in some], dtype=torch.float32)
            kernels = field.at(torch.full_like(middle, (row + 1) * STEP), middle)
            sharper = wiener(parts, kernels, _noise(light.device))[..., REACH : REACH + side, REACH : REACH + side]
            for x, values in zip(places, sharper * (fade[:, None] * fade), strict=True):
                total[..., y : y + side, x : x + side] += values
    y, x = window.top - top, window.left - left
    part = total[..., y : y + window.height, x : x + window.width]
    return srgb_encode(part.clamp_min(0)).flatten(0, 1)[None]


def _steps(start: int, length: int) -> range:
    """Numbers of the parts, each two steps wide, that a stretch of pixels lies in."""
    return range(start // STEP - 1, (start + length - 1) // STEP + 1)
