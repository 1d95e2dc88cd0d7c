"""Synthetic bursts: what the networks learn from."""

from collections.abc import Callable

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from photonet.camera import unprocess
from photonet.camera.handheld import draw_shifts, resampled, translated, with_passers_by
from photonet.camera.mosaic import RGGB, mosaic, pack, unpack
from photonet.camera.noise import camera_jpeg, draw_grain, draw_half, log_uniform, soften, uniform, white
from photonet.camera.sensor import ShotRead, add_shot_read, draw_shot_read, draw_told, from_deviations, variance
from photonet.camera.unprocess import draw_camera
from photonet.engine.data import Batch, Example, Source, as_expected, read_pictures
from photonet.engine.develop import displayed
from photonet.engine.options import Counts, RangeAboveZero, RangeFromZero
from photonet.engine.task import Network, Options
from photonet.io import read
from photonet.tasks.burst.frames import stacked

OWN_FRAMES = 8  # of a burst of the user's own


class BurstTraining(Options):
    """What bursts are made of; the defaults are the published ones, but for alignment.

    Args:
        frames: (fewest, most) of a burst.
        shift: most pixels between a frame and the reference, either way, where frames are not aligned.
        aligned: frames have been aligned; what is left is `missed`, and the blur of interpolation.
        missed: standard deviation in pixels of the error of the alignment.
        lost: share of aligned frames that are somewhere else all the same.
        moving: share of frames in which something moves.
        foreign: share of frames of another scene.
        cut: share of frames that do not show all of the reference: the rest is filled from it.
        read: (lowest, highest) standard deviation of read noise, white level 1.
        shot: (lowest, highest) standard deviation of shot noise at white.
        exposure: (lowest, highest) share of the white level that the picture fills.
        told_error: standard deviation of the logarithm of the noise that the network is told, against the true one.
    """

    frames: Counts = (8, 8)
    shift: float = Field(2.0, ge=0)
    aligned: bool = False
    missed: float = Field(0.2, ge=0)
    lost: float = Field(0.05, ge=0, le=1)
    moving: float = Field(0.0, ge=0, le=1)
    foreign: float = Field(0.0, ge=0, le=1)
    cut: float = Field(0.0, ge=0, le=1)
    read: RangeAboveZero = (10**-3.0, 10**-1.5)
    shot: RangeAboveZero = (10**-2.0, 10**-1.0)
    exposure: RangeAboveZero = (0.1, 1.0)
    told_error: float = Field(0.0, ge=0)


class AlignedTraining(BurstTraining):
    """Bursts after alignment, with people moving through them; the network is not told the noise exactly."""

    frames: Counts = (1, 8)
    aligned: bool = True
    moving: float = Field(0.2, ge=0, le=1)
    foreign: float = Field(0.04, ge=0, le=1)
    cut: float = Field(0.1, ge=0, le=1)
    told_error: float = Field(0.1, ge=0)


class FusionTraining(AlignedTraining):
    """What the bursts for the default network are made of, beside `AlignedTraining`.

    Args:
        display: share of batches in display values, with white noise or the grain of cameras' JPEGs.
        sigma: (lowest, highest) level of white noise on the scale of 0 to 255.
        camera: share of these pictures with camera grain and JPEG compression instead.
        grain: (lowest, highest) luma level of that grain on the scale of 0 to 255.
        gray: share of batches turned to gray.
    """

    read: RangeAboveZero = (10**-3.0, 10**-1.0)
    shot: RangeAboveZero = (10**-2.2, 10**-0.7)
    display: float = Field(0.4, ge=0, le=1)
    sigma: RangeFromZero = (0.0, 60.0)
    camera: float = Field(0.5, ge=0, le=1)
    grain: RangeAboveZero = (1.0, 20.0)
    gray: float = Field(0.12, ge=0, le=1)


class RawFusionTraining(AlignedTraining):
    """What bursts of mosaics are made of, beside `AlignedTraining`.

    Args:
        shot_variance: (lowest, highest) shot variance; the read noise is what cameras have there.
        halved: share of batches whose photos are halved in size first, which hides their own noise and compression.
    """

    exposure: RangeAboveZero = (0.15, 1.0)
    shot_variance: RangeAboveZero = (1e-4, 0.05)
    halved: float = Field(0.5, ge=0, le=1)


Record = Callable[[Tensor], Tensor]  # what is before the camera, B C H W → what it records


def burst(
    scene: Tensor, record: Record, generator: Generator, options: BurstTraining, fold: int = 1
) -> tuple[Tensor, Tensor]:
    """Frames B N·C H W of a scene B 3 H W, as they are after alignment or before it; and the first, alone.

    Args:
        fold: pixels per side of the filter array, of mosaics.
    """
    count = len(scene)
    low, high = options.frames
    number = int(torch.randint(low, high + 1, (1,), generator=generator, device=generator.device))
    reference = record(scene)
    frames = [reference]
    shifts = draw_shifts(number, count, generator, options.shift)
    for shift in shifts[1:]:
        part = uniform(count * 2, -fold / 2, fold / 2, generator).view(count, 2) if options.aligned else 0 * shift
        if options.aligned:
            lost = (uniform(count, 0, 1, generator) < options.lost)[:, None]
            shift = part + options.missed * white((count, 2), generator) + lost * shift
        seen = translated(scene, shift)
        if options.moving:
            seen = with_passers_by(seen, options.moving, generator)
        foreign = (uniform(count, 0, 1, generator) < options.foreign).view(-1, 1, 1, 1)
        seen = torch.where(foreign, seen.roll(1, 0).flip(-1), seen)
        frame = record(seen)
        if options.aligned:
            frame = _resampled(frame, -part, fold)
        if options.cut:
            frame = _cut(frame, reference, options.cut, generator)
        frames.append(frame)
    return torch.cat(frames, 1), reference


def _resampled(frame: Tensor, shifts: Tensor, fold: int) -> Tensor:
    return resampled(frame, shifts) if fold == 1 else unpack(resampled(pack(frame, fold), shifts / fold), fold)


def _cut(frame: Tensor, reference: Tensor, share: float, generator: Generator) -> Tensor:
    """Of this share of the frames a band along one side is the reference's."""
    count, _, height, width = frame.shape
    band, side, chosen = (uniform(count, 0, 1, generator).view(-1, 1, 1, 1) for _ in range(3))
    across = torch.linspace(0, 1, width, device=frame.device).expand(1, 1, height, width)
    down = torch.linspace(0, 1, height, device=frame.device)[:, None].expand(1, 1, height, width)
    place = torch.where(side < 0.5, across, down)
    place = torch.where((side * 4).floor() % 2 == 0, place, 1 - place)
    return torch.where((place < band / 3) & (chosen < share), reference, frame)


def linear_pair(batch: Batch, generator: Generator, options: BurstTraining) -> Batch:
    """`Network.pair` of networks for linear frames: display pictures made linear, exposed, with shot and read noise."""
    scene = batch["target"]
    count = len(scene)
    exposure = log_uniform(count, *options.exposure, generator).view(-1, 1, 1, 1)
    noise = from_deviations(log_uniform(count, *options.shot, generator), log_uniform(count, *options.read, generator))

    def record(seen: Tensor) -> Tensor:
        return add_shot_read(unprocess.gamma(seen.clamp(0, 1)) * exposure, noise, generator)

    frames, reference = burst(scene, record, generator, options)
    told = draw_told(noise, options.told_error, generator)
    return {
        "input": frames,
        "target": unprocess.gamma(scene) * exposure,
        "exposure": exposure.flatten(),
        "noise_map": deviation(reference, told),
        **noise_maps(told, reference),
    }


def deviation(reference: Tensor, noise: ShotRead) -> Tensor:
    """Standard deviation of the noise of each pixel of the reference, over its channels, B 1 H W."""
    return variance(reference, noise).mean(1, keepdim=True).sqrt()


def noise_maps(noise: ShotRead, frame: Tensor) -> Batch:
    """Shot and read variance as maps of a frame's size, B 1 H W each."""
    return {
        name: level.view(-1, 1, 1, 1).expand_as(frame[:, :1]).contiguous() for name, level in noise._asdict().items()
    }


def sample(source: Source, network: Network) -> Example:
    """A clean picture (`target`), or a burst (`input`, its frames aligned with the first) and its target.

    Every burst gets `OWN_FRAMES`; in place of missing ones stands the first.

    Raises:
        InputError: the frames are not alike, or show different scenes.
    """
    if len(source.files) == 1:
        return read_pictures(source, network)
    *frames, target = (displayed(read(file)) for file in source.files)
    frames = [frame.with_pixels(as_expected(frame, network)) for frame in frames[:OWN_FRAMES]]
    stack = stacked(frames).clip(0, frames[0].full_scale) / frames[0].full_scale
    missing = OWN_FRAMES - stack.shape[2] // network.channels
    stack = np.concatenate([stack, *[stack[..., : network.channels]] * missing], 2)
    return {"input": np.rint(stack * 65535).astype(np.uint16), "target": as_expected(target, network)}


def _own_pair(batch: Batch, generator: Generator, options: BurstTraining) -> Batch:
    """A burst of the user's own, and the noise of its first frame."""
    frames, target = batch["input"], batch["target"]
    return {**batch, **_white_noise(frames[:, : target.shape[1]] - target, options.told_error, generator)}


def _white_noise(difference: Tensor, error: float, generator: Generator) -> Batch:
    """Noise as it is told of display pictures: the same in the dark and in the light."""
    level = difference.square().mean((1, 2, 3))
    return noise_maps(draw_told(ShotRead(torch.zeros_like(level), level), error, generator), difference)


def fusion_pair(batch: Batch, generator: Generator, options: FusionTraining) -> Batch:
    """`Network.pair` of the default network: stabilized linear bursts, and bursts of JPEGs."""
    if "input" in batch:
        return _own_pair(batch, generator, options)
    if uniform(1, 0, 1, generator) < options.gray:
        gray = batch["target"].mean(1, keepdim=True)
        made = _either(gray, generator, options)
        channels = made["input"].shape[1]
        made["input"] = made["input"].repeat_interleave(3, 1).reshape(len(gray), channels * 3, *gray.shape[-2:])
        made["target"] = made["target"].expand(-1, 3, -1, -1)
        return made
    return _either(batch["target"], generator, options)


def _either(scene: Tensor, generator: Generator, options: FusionTraining) -> Batch:
    if uniform(1, 0, 1, generator) < options.display:
        return _display_pair(scene, generator, options)
    return linear_pair({"target": scene}, generator, options)


def _display_pair(scene: Tensor, generator: Generator, options: FusionTraining) -> Batch:
    count = len(scene)
    cameras = round(count * options.camera) if scene.shape[1] == 3 else 0
    radius = uniform(count, -0.6, 1.2, generator).clamp_min(0)
    radius[cameras:] = 0
    scene = soften(scene, radius, torch.ones_like(radius)).clamp(0, 1)
    grain = draw_grain(cameras, options.grain[0] / 255, options.grain[1] / 255, generator)
    sigma = uniform(count - cameras, *options.sigma, generator).view(-1, 1, 1, 1) / 255

    def record(seen: Tensor) -> Tensor:
        seen = seen.clamp(0, 1)
        plain = seen[cameras:] + white(seen[cameras:].shape, generator) * sigma
        return torch.cat([camera_jpeg(seen[:cameras], grain, generator), plain]) if cameras else plain

    frames, reference = burst(scene, record, generator, options)
    return {"input": frames, "target": scene, **_white_noise(reference - scene, options.told_error, generator)}


def raw_pair(batch: Batch, generator: Generator, options: RawFusionTraining) -> Batch:
    """`Network.pair` of the network for mosaics."""
    display = draw_half(batch["target"], options.halved, generator)
    count = len(display)
    camera = draw_camera(count, generator)
    exposure = log_uniform(count, *options.exposure, generator).view(-1, 1, 1, 1)
    noise = draw_shot_read(count, generator, options.shot_variance)

    def sites(seen: Tensor) -> Tensor:
        return mosaic(unprocess.unprocess(seen.clamp(0, 1), camera), RGGB) * exposure

    frames, reference = burst(
        display, lambda seen: add_shot_read(sites(seen), noise, generator), generator, options, fold=2
    )
    told = draw_told(noise, options.told_error, generator)
    return {
        "input": frames,
        "target": sites(display),
        "gains": camera.gains / exposure.view(-1, 1),
        "matrix": camera.matrix,
        **noise_maps(told, reference),
    }
