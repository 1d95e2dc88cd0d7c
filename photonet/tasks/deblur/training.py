"""Synthetic blur: what the networks learn from."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Generator, Tensor, nn

from photonet.camera import blur
from photonet.camera.jpeg import jpeg
from photonet.camera.noise import log_uniform, uniform
from photonet.camera.sensor import add_shot_read, draw_shot_read
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.data import Batch
from photonet.engine.losses import rms_error
from photonet.engine.options import Options, RangeAboveZero, RangeFromZero
from photonet.errors import UsageError
from photonet.io import FILM_SUFFIXES
from photonet.tasks.deblur.films import sample

BORDER = 24  # pixels that are cut from every side of a blurred crop: what came in there is made up
KERNEL = 2 * BORDER + 1
LARGEST_EXTENT = 32.0  # pixels of a path in the middle of a photo, of which that border holds nearly all
FEWEST_POSES, POSES_PER_PIXEL = 8, 1.5  # of a path, by the pixels that it draws
UNEVEN = 1.25  # most that the extents of a batch in six degrees of freedom differ from their mean: each needs its poses
SQUARED_FROM = 0.75  # of a training
LOCAL = 32  # side in pixels of the parts whose mean light counts on its own
MOST_OFF_CENTER = 0.7  # of the focal length: how far a crop may be from the middle of its photo


def _fitting(extent: tuple[float, float]) -> tuple[float, float]:
    if extent[1] > LARGEST_EXTENT:
        raise ValueError(
            f"{extent[1]:g} is more than {LARGEST_EXTENT:g} pixels, which is all that a crop's border holds"
        )
    return extent


class DeblurTraining(Options):
    """What blurred pictures are made of.

    Args:
        extent: (lowest, highest) diagonal in pixels of the box that a point draws while the shutter is open, drawn
            log-uniformly.
        focal: (lowest, highest) focal length in pixels.
        shaken: share of batches with a path in six degrees of freedom; in the others all is blurred alike, or a thing.
        moving: of these others, share of pictures in which one thing moves, or stands still before what moves.
        defocused: share of them that are out of focus instead.
        radius: (lowest, highest) radius in pixels of the circle of confusion.
        sharp: share of them that are not blurred at all, nor out of focus.
        lamps: share of pictures whose highlights are brighter than the display shows.
        brighter: (lowest, highest) factor of these at white.
        shot: (lowest, highest) shot variance of the sensor's noise; the read noise is what cameras have there.
        compressed: share of batches that are saved as JPEG; the others are rounded to 8 bits.
        quality: (lowest, highest) quality of JPEG.
    """

    extent: Annotated[RangeAboveZero, AfterValidator(_fitting)] = (2.0, LARGEST_EXTENT)
    focal: RangeAboveZero = (400.0, 3000.0)
    shaken: float = Field(0.3, ge=0, le=1)
    moving: float = Field(0.1, ge=0, le=1)
    defocused: float = Field(0.06, ge=0, le=1)
    radius: RangeAboveZero = (0.7, 5.0)
    sharp: float = Field(0.15, ge=0, le=1)
    lamps: float = Field(0.15, ge=0, le=1)
    brighter: RangeAboveZero = (1.0, 8.0)
    shot: RangeAboveZero = (1e-5, 2e-4)
    compressed: float = Field(0.2, ge=0, le=1)
    quality: RangeFromZero = (85.0, 98.0)


def make_pair(batch: Batch, generator: Generator, options: DeblurTraining) -> Batch:
    """`Network.pair`: clean crops → blurred and sharp ones, smaller by a border; pairs of the user's own stay.

    Args:
        batch: `target` B 3 H W; `input` for pairs, or `blurred`, which a camera has yet to record.

    Raises:
        UsageError: nothing is left of the crops without the border.
    """
    if "input" in batch:
        return batch
    if "blurred" in batch:
        return {"input": _recorded(srgb_decode(batch["blurred"]), generator, options), "target": batch["target"]}
    shown, sharp, _ = blurred(batch["target"], generator, options)
    return {"input": shown, "target": sharp}


def blurred(display: Tensor, generator: Generator, options: DeblurTraining) -> tuple[Tensor, Tensor, Tensor]:
    """Blurred and sharp pictures, smaller by a border, and the kernels B k k in their middle.

    Args:
        display: clean crops B 3 H W.

    Raises:
        UsageError: nothing is left of them without the border.
    """
    if min(display.shape[-2:]) <= 2 * BORDER:
        raise UsageError(f"crops of {min(display.shape[-2:])} pixels are too small for blur", "crop", "64 or more")
    count = len(display)
    lamps = uniform(count, 0, 1, generator) < options.lamps
    brighter = torch.where(lamps, log_uniform(count, *options.brighter, generator), 1.0)
    light = blur.relit(srgb_decode(display), display, brighter)
    make = _shaken if uniform(1, 0, 1, generator) < options.shaken else _alike
    *pictures, kernels = make(light, generator, options)
    exposed, sharp = (values[..., BORDER:-BORDER, BORDER:-BORDER] for values in pictures)
    return _recorded(exposed, generator, options), srgb_encode(sharp.clamp(0, 1)), kernels


def _recorded(light: Tensor, generator: Generator, options: DeblurTraining) -> Tensor:
    """What a camera makes of linear light: its noise, and 8 bits or a JPEG."""
    count = len(light)
    noisy = add_shot_read(light, draw_shot_read(count, generator, options.shot), generator)
    shown = srgb_encode(noisy.clamp(0, 1))
    if uniform(1, 0, 1, generator) < options.compressed:
        subsampling = torch.randint(3, (count,), generator=generator, device=generator.device)
        return jpeg(shown, uniform(count, *options.quality, generator), subsampling)
    return (shown * 255).round() / 255


def _shaken(light: Tensor, generator: Generator, options: DeblurTraining) -> tuple[Tensor, Tensor, Tensor]:
    count = len(light)
    mean = log_uniform(1, *options.extent, generator)
    extent = (mean * log_uniform(count, 1 / UNEVEN, UNEVEN, generator)).clamp(*options.extent)
    focal = log_uniform(count, *options.focal, generator)
    poses = max(FEWEST_POSES, round(POSES_PER_PIXEL * extent.max().item()))
    path = blur.draw_path(extent, focal, poses, generator)
    away = uniform(2 * count, -MOST_OFF_CENTER, MOST_OFF_CENTER, generator).view(count, 2) * focal[:, None]
    size = torch.tensor(light.shape[:-3:-1], device=light.device)
    seen = blur.homographies(path, focal, (size - 1) / 2 + away)
    return blur.shaken(light, seen), light, blur.path_kernels(blur.shifts_at(seen, (size - 1) / 2), KERNEL)


def _alike(light: Tensor, generator: Generator, options: DeblurTraining) -> tuple[Tensor, Tensor, Tensor]:
    """Each picture with one kernel: of all of it, of a thing in it, or of what is behind a thing."""
    count = len(light)
    extent = log_uniform(count, *options.extent, generator)
    poses = max(FEWEST_POSES, round(POSES_PER_PIXEL * options.extent[1]))
    path = blur.draw_path(extent, torch.ones_like(extent), poses, generator)
    kernels = blur.path_kernels(path.shift, KERNEL)
    chosen, moves = uniform(count, 0, 1, generator), uniform(count, 0, 1, generator)
    disks = blur.disk_kernels(uniform(count, *options.radius, generator), KERNEL)
    kernels = torch.where((chosen > 1 - options.defocused).view(-1, 1, 1), disks, kernels)
    still = torch.zeros_like(kernels)
    still[:, BORDER, BORDER] = 1
    kernels = torch.where((chosen < options.sharp).view(-1, 1, 1), still, kernels)
    recorded = blur.convolved(light, kernels)
    if not options.moving:
        return recorded, light, kernels
    mask, thing = blur.object_masks(light, generator), light.roll(1, 0)
    front, whole = blur.moving_object(light, thing, mask, kernels)
    behind, _ = blur.still_object(light, thing, mask, kernels)
    before, after = ((moves < share * options.moving).view(-1, 1, 1, 1) for share in (0.5, 1))
    recorded = torch.where(before, front, torch.where(after, behind, recorded))
    return recorded, torch.where(after, whole, light), kernels


def staged_loss(output: Tensor, target: Tensor, progress: float) -> dict[str, Tensor]:
    """Mean absolute error of B 3 H W; from `SQUARED_FROM` on the RMS error of each picture; on the scale of 0 to 255.

    The absolute error learns faster, but is content with the median of what may have been there, and the squared one
    with the mean of display values; either is darker than the scene. So the error of local light is added: motion moves
    light, and takes none.
    """
    local = 255 * (_local_light(output) - _local_light(target)).abs().mean()
    if progress < SQUARED_FROM:
        return {"loss": 255 * (output - target).abs().mean() + local, "local": local}
    return {"loss": rms_error(output, target).mean() + local, "local": local}


def _local_light(display: Tensor) -> Tensor:
    """The mean light of each part of `LOCAL` pixels, display-encoded again."""
    return srgb_encode(F.avg_pool2d(srgb_decode(display.clamp_min(0)), min(LOCAL, *display.shape[-2:])))


def score_with(*maps: str) -> Callable[[nn.Module, Batch], Tensor]:
    """`Network.score` of a network with these maps: decibels of the mean RMS error.

    In a mean of decibels the sharp pictures would outweigh the blurred ones.
    """

    def score(net: nn.Module, batch: Batch) -> Tensor:
        output = net(batch["input"], *(batch[name] for name in maps))
        return -20 * torch.log10(rms_error(output, batch["target"]).mean() / 255)

    return score


# what all networks of the task learn from, and are chosen by
LEARNING: dict[str, Any] = {
    "crop_multiple": 16,
    "also": FILM_SUFFIXES,
    "sample": sample,
    "pair": make_pair,
    "score": score_with(),
}
