"""A burst becomes one picture: frames aligned once, then read, moved and merged window by window."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from photonet.camera.sensor import ShotRead
from photonet.color import ColorState
from photonet.engine.bayer import flips_of, is_bayer
from photonet.engine.noise import reported
from photonet.engine.task import Prepared, Runner, Window
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.burst import noise
from photonet.tasks.burst.frames import Frame, align, named
from photonet.tasks.burst.networks import NETWORKS
from photonet.tasks.burst.options import BurstOptions
from photonet.tasks.burst.training import deviation, noise_maps

COLOR_KPN = "kpn-small-color"
RAW_NETWORKS = {"fusion": "raw-fusion", "average": "raw-average", "hdrplus": "raw-hdrplus"}
LEAST_LEVEL = 0.2 / 255  # of display values: less is rounding


def choose(photos: Sequence[Photo], options: BurstOptions) -> str:
    """The network of a method for what the frames are: mosaics, gray, or color."""
    photo = photos[0]
    if options.method == "kpn" and photo.sensor is not None:
        raise UsageError("kpn is for developed pictures", "--method", "take another for RAW, or develop it before")
    if options.method == "kpn" and photo.pixels.shape[2] == 1:
        return "kpn-small-gray"
    return usual(is_bayer(photo), options)


def usual(raw: bool, options: BurstOptions) -> str:
    """The network of a method for Bayer mosaics, or for color."""
    if options.method == "kpn":
        return COLOR_KPN
    return RAW_NETWORKS[options.method] if raw else options.method


def prepare(photos: Sequence[Photo], options: BurstOptions, runner: Runner) -> Prepared:
    """Motion and noise, once; then windows of the frames as the reference sees them.

    Args:
        photos: the reference first.
    """
    reference, network = photos[0], NETWORKS[runner.network]
    frames, lost = align(photos)
    # linear pictures stay linear for every network: their noise is known there
    state = ColorState.LINEAR if reference.state == ColorState.LINEAR else network.expects
    turned = flips_of(reference, runner.network) if state == ColorState.MOSAIC else ()
    read = _reader(reference, frames, state, runner)
    notes = {"reference": named(reference, 0), "frames": 1 + len(frames), **_report(frames)}

    def complete(result: Photo) -> Photo:
        warnings = tuple(f"{why}, and is left out" for why in lost)
        return replace(result, meta=replace(result.meta, notes=(*result.meta.notes, *warnings)))

    if state == ColorState.SRGB:
        told, origin = noise.level(reference, frames, options)
        levels = ShotRead(torch.zeros(1), torch.tensor([max(told, LEAST_LEVEL) ** 2]))
        notes |= {"noise": round(told * 255, 2), "levels": origin}
    else:
        levels, origin = noise.shot_read(reference, frames, state, options)
        notes |= reported(levels, origin)

    def inputs(window: Window) -> tuple[Tensor, ...]:
        stack = read(window).flip(turned)
        first = stack[:, : network.channels]
        maps = {**noise_maps(levels, first), "noise_map": deviation(first, levels)}
        return stack, *(maps[name] for name in network.maps)

    return Prepared(inputs, notes, finish=lambda output: output.flip(turned), complete=complete, returns=state)


def _reader(reference: Photo, frames: Sequence[Frame], state: ColorState, runner: Runner) -> Any:
    """Window → all frames, 1 N·C H W; what a frame does not show is the reference's."""
    first = runner.picture(reference, runner.network, state)
    others = [runner.picture(frame.photo, runner.network, state, frame.look) for frame in frames]

    def read(window: Window) -> Tensor:
        stack = [first(window)]
        for frame, other in zip(frames, others, strict=True):
            values = other(window)
            stack.append(torch.where(torch.from_numpy(frame.seen), values, stack[0]))
        return torch.cat(stack, 1)

    return read


def _report(frames: Sequence[Frame]) -> dict[str, Any]:
    """How the frames lie: pixels that they are moved by, and the share of each that shows something else."""
    shifts = [round(frame.motion.shift, 1) for frame in frames]
    return {"shifts": shifts, "unlike": [float(np.ceil(1000 * frame.motion.unlike) / 1000) for frame in frames]}
