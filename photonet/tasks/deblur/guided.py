"""The default network, and what it is told beside the picture: deconvolutions with the kernels that a helper finds."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.camera.deconvolve import mirrored, wiener
from photonet.color import srgb_decode, srgb_encode
from photonet.engine import checkpoint
from photonet.engine.data import Batch
from photonet.engine.device import pick_device
from photonet.engine.loaded import Loaded, load
from photonet.engine.task import Network, Prepared, Runner, Tiling, Window
from photonet.errors import WeightsError
from photonet.nets.unet import ResidualUNet
from photonet.photo import Photo
from photonet.tasks.deblur.kernels import NETWORK, WINDOW
from photonet.tasks.deblur.training import LEARNING, DeblurTraining, make_pair, score_with, staged_loss

# power over that of the picture's gradients, five times less each: of blurs of 5 to 25 px and a sensor's noise the
# strongest is soft but clean, and the weakest as sharp as it gets, with grain and rings
NOISE = (0.1, 0.02, 0.004)
REACH = 32  # pixels that deconvolution sees beyond what it is trusted for
STEP, FADE = 160, 32  # pixels from one deconvolved part to the next, and over which they fade into each other
FIND_STEP, MOST_FOUND = 256, 12  # pixels from kernel to kernel, and most kernels along a side: a hand's blur is smooth
HELPER = "kernels"  # network of the task
AT_ONCE = 8  # windows: keeps memory flat
PLAIN = 2 / 255  # standard deviation of a window, at or below which nothing in it can tell of blur
WEAK = 0.1  # of a kernel's peak, at or below which a value is doubt more than blur
PIXEL = 1 / 6  # variance in square pixels that a point has on the grid


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
        WeightsError: there are no such kernel weights, they are of another network, or of windows of another size.
    """
    pair = make_pair(batch, generator, options)
    blurred = pair["input"]
    with torch.no_grad():
        height, width = blurred.shape[-2:]
        find = _finder(options.kernels, str(blurred.device))
        kernels = _checked(find((_fitted(blurred, WINDOW),))[0])
        sharper = wiener(mirrored(srgb_decode(blurred), REACH), kernels, _noise(blurred.device))
        sharper = srgb_encode(sharper[..., REACH : REACH + height, REACH : REACH + width].clamp_min(0))
    return {**pair, "sharper": sharper.flatten(1, 2)}


def guided_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """`Network.loss`: `staged_loss` of what it makes of the picture and the deconvolved ones."""
    return staged_loss(net(batch["input"], batch["sharper"]).float(), batch["target"], progress)


def _noise(device: torch.device) -> Tensor:
    return torch.tensor(NOISE, device=device)


@lru_cache(maxsize=2)
def _finder(weights: str, device: str) -> Loaded:
    path = checkpoint.find(weights)
    card, tensors = checkpoint.read_tensors(path)
    if (card.task, card.network) != ("deblur", HELPER):
        raise WeightsError(f"these weights are for {card.task} {card.network}, and find no kernels", path)
    with torch.random.fork_rng(devices=[]):  # building draws weights, and a training's own must not depend on that
        module = checkpoint.build_network(NETWORK, card, tensors, path)
    return load(NETWORK, HELPER, card, module, pick_device(device), path)


def _checked(kernels: Tensor) -> Tensor:
    """Kernels B 1 k k as B k k, if there is one for each window."""
    if not torch.allclose(kernels.sum((1, 2, 3)), kernels.new_ones(len(kernels)), atol=1e-2):
        raise WeightsError(f"they do not give one kernel for {WINDOW}×{WINDOW} pixels", f"deblur-{HELPER}")
    return kernels[:, 0]


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
        kernels: h w k k, on the device that deconvolves.
        plain: h w, where there was nothing to be seen.
    """

    rows: Tensor
    columns: Tensor
    kernels: Tensor
    plain: Tensor

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Kernels n k k at n places, interpolated."""
        (top, bottom, down), (left, right, across) = _between(self.rows, rows), _between(self.columns, columns)
        across, down = across.view(-1, 1, 1), down.view(-1, 1, 1)
        above = torch.lerp(self.kernels[top, left], self.kernels[top, right], across)
        below = torch.lerp(self.kernels[bottom, left], self.kernels[bottom, right], across)
        return torch.lerp(above, below, down)

    def length(self) -> float | None:
        """Median over the picture of the kernels' length in pixels, that of an even stroke which is as spread out.

        None for a picture in which nothing is to be seen.
        """
        kernels = self.kernels[~self.plain]
        if not len(kernels):
            return None
        kernels = torch.where(kernels > WEAK * kernels.amax((1, 2), keepdim=True), kernels, 0)
        kernels = kernels / kernels.sum((1, 2), keepdim=True)
        place = torch.arange(kernels.shape[-1], dtype=kernels.dtype, device=kernels.device)
        y, x = place[:, None], place
        mean_y, mean_x = ((kernels * where).sum((1, 2)).view(-1, 1, 1) for where in (y, x))
        across, down, both = (
            (kernels * product).sum((1, 2))
            for product in ((x - mean_x) ** 2, (y - mean_y) ** 2, (x - mean_x) * (y - mean_y))
        )
        longest = (across + down) / 2 + (((across - down) / 2).square() + both.square()).sqrt()
        return (12 * (longest - PIXEL).clamp_min(0)).sqrt().median().item()


def _between(known: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the known places before and after each wanted one, and how far it is on the way between them."""
    last = len(known) - 1
    before = (torch.searchsorted(known, wanted, right=True) - 1).clamp(0, last)
    after = (before + 1).clamp_max(last)
    way = (wanted - known[before]) / (known[after] - known[before]).clamp_min(1)
    return before, after, way.clamp(0, 1)


def find_kernels(
    height: int, width: int, picture: Callable[[Window], Tensor], find: Callable[[Tensor], Tensor]
) -> KernelField:
    """The kernels of a picture, in windows that cover it evenly.

    Args:
        picture: window → 1 C H W.
        find: pictures B C WINDOW WINDOW → kernels B 1 k k.

    Raises:
        WeightsError: that is not what it gives.
    """
    tops, lefts = (_evenly(side) for side in (height, width))
    windows = [Window(top, left, WINDOW, WINDOW) for top in tops for left in lefts]
    found, plain = [], []
    for start in range(0, len(windows), AT_ONCE):
        seen = torch.cat([picture(window) for window in windows[start : start + AT_ONCE]])
        found.append(_checked(find(seen)))
        plain.append(seen.flatten(2).std(2).amax(1) <= PLAIN)
    grid = len(tops), len(lefts)
    kernels = torch.cat(found)
    rows, columns = (torch.tensor(starts, device=kernels.device) + WINDOW / 2 for starts in (tops, lefts))
    return KernelField(rows, columns, kernels.unflatten(0, grid), torch.cat(plain).to(kernels.device).view(grid))


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
    if runner.network not in NETWORKS:
        return Prepared(lambda window: (picture(window),))
    field = find_kernels(photo.height, photo.width, picture, lambda windows: runner.apply(HELPER, windows))
    length = field.length()

    def inputs(window: Window) -> tuple[Tensor, ...]:
        return picture(window), deconvolved(picture, field, window)

    notes = {} if length is None else {"blur in px": round(length, 1)}
    return Prepared(inputs, notes, marks={"Helper": f"{HELPER} {runner.weights_of(HELPER)}"})


def deconvolved(picture: Callable[[Window], Tensor], field: KernelField, window: Window) -> Tensor:
    """A window of the picture, deconvolved at each level of noise, 1 N·C H W, the same through any window.

    Args:
        picture: window → 1 C H W, display-encoded.
    """
    rows, columns = _steps(window.top, window.height), _steps(window.left, window.width)
    top, left = rows[0] * STEP, columns[0] * STEP
    side, whole = STEP + FADE, STEP + FADE + 2 * REACH
    size = len(rows) * STEP + FADE, len(columns) * STEP + FADE
    device = field.kernels.device
    seen = picture(Window(top - REACH, left - REACH, size[0] + 2 * REACH, size[1] + 2 * REACH))
    light = srgb_decode(seen.to(device))
    noise, fade = _noise(device), _fade(device)
    total = light.new_zeros(len(NOISE), light.shape[1], *size)
    for row in rows:
        y = (row - rows[0]) * STEP
        for start in range(0, len(columns), AT_ONCE):
            some = columns[start : start + AT_ONCE]
            places = [(column - columns[0]) * STEP for column in some]
            parts = torch.cat([light[..., y : y + whole, x : x + whole] for x in places])
            middle = torch.tensor([column * STEP + side / 2 for column in some], device=device)
            kernels = field.at(torch.full_like(middle, row * STEP + side / 2), middle)
            sharper = wiener(parts, kernels, noise)[..., REACH : REACH + side, REACH : REACH + side]
            for x, values in zip(places, sharper * fade, strict=True):
                total[..., y : y + side, x : x + side] += values
    y, x = window.top - top, window.left - left
    part = total[..., y : y + window.height, x : x + window.width]
    for level in part:  # one at a time: encoding takes several times the memory of what it encodes
        level.copy_(srgb_encode(level.clamp_min(0)))
    return part.flatten(0, 1)[None].contiguous(memory_format=torch.channels_last)  # and the whole is free again


def _fade(device: torch.device) -> Tensor:
    """The share of a part in the result, square; those of neighbors add up to 1."""
    place = torch.arange(STEP + FADE, device=device) + 0.5
    share = (torch.minimum(place, STEP + FADE - place) / FADE).clamp_max(1)
    return share[:, None] * share


def _steps(start: int, length: int) -> range:
    """Numbers of the parts, each a step and a fade wide, that a stretch of pixels lies in."""
    return range((start - FADE) // STEP, (start + length - 1) // STEP + 1)


UNET = Network(
    summary="U-Net told of deconvolutions with the kernels it finds, 1.7 M parameters",
    build=lambda config: ResidualUNet(maps=3 * len(NOISE), **config),
    config={"channels": 3, "widths": (64, 128, 144), "blocks": (1, 1, 2)},
    tiling=lambda net: Tiling(net.unet.stride, net.unet.radius, bytes_per_pixel=250),
    maps=("sharper",),
    map_channels=3 * len(NOISE),
    training=GuidedTraining,
    loss=guided_loss,
    **{**LEARNING, "pair": make_guided, "score": score_with("sharper")},
)
NETWORKS = {"unet": UNET}
