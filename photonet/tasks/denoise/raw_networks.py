"""Networks for Bayer mosaics: what they see, what they learn from, and how they are scored."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.camera import process
from photonet.camera.mosaic import RGGB, mosaic
from photonet.camera.noise import draw_half, uniform
from photonet.camera.sensor import (
    HIGH_ISO_CAMERAS,
    ShotRead,
    add_high_iso,
    add_shot_read,
    draw_shot_read,
    draw_told,
    noise_at,
    stabilize,
    stabilized_deviation,
    unstabilize,
    variance,
)
from photonet.camera.unprocess import Camera, draw_camera, sensor_of, unprocess
from photonet.color import ColorState, srgb_encode
from photonet.engine.data import Batch
from photonet.engine.losses import decibels, rms_error
from photonet.engine.options import RangeAboveZero
from photonet.engine.task import Network, Options, Tiling
from photonet.engine.trial import Trial
from photonet.nets.brooks import BrooksUNet
from photonet.nets.unet import ResidualUNet
from photonet.photo import Photo

DISPLAY = (ColorState.SRGB, 3)  # of the photos that training pairs and trials are made from
DARKEST_EXPOSURE = 3.0  # stops
HIGH_ISO_WHITE = 15_871.0  # digital numbers between black and white of a sensor of 14 bits


class RawTraining(Options):
    """What the training pairs are made of.

    Args:
        shot: (lowest, highest) shot variance at white level 1, drawn log-uniformly.
        halved: share of batches whose photos are halved in size first, which hides their own noise and compression.
        underexposed: share of pictures that are up to three stops darker.
        high_iso: share of batches with the noise of real cameras at high ISO: rows, heavy tails.
        saturates: share of pictures whose noise is cut off at white.
        told_error: standard deviation of the logarithm of the noise that the network is told, against the true one.
        defects: share of sites that are stuck at any value, in every third picture at most.
    """

    shot: RangeAboveZero = (3e-5, 0.03)
    halved: float = Field(0.5, ge=0, le=1)
    underexposed: float = Field(0.2, ge=0, le=1)
    high_iso: float = Field(0.2, ge=0, le=1)
    saturates: float = Field(0.5, ge=0, le=1)
    told_error: float = Field(0.15, ge=0)
    defects: float = Field(3e-4, ge=0, le=1)


class PublishedTraining(RawTraining):
    """The noise and the photos of Brooks et al., CVPR 2019, section 3."""

    shot: RangeAboveZero = (1e-4, 0.012)
    halved: float = 1.0
    underexposed: float = 0.0
    high_iso: float = 0.0
    saturates: float = 0.0
    told_error: float = 0.0
    defects: float = 0.0


class Domain(NamedTuple):
    """What a network sees of a mosaic.

    Args:
        map: name of the network's map.
        enter: sites B 1 H W and their noise → `input` and the map, by name.
        leave: the network's output, and the noise → sites.
    """

    map: str
    enter: Callable[[Tensor, ShotRead], Batch]
    leave: Callable[[Tensor, ShotRead], Tensor]


def _enter_stabilized(sites: Tensor, noise: ShotRead) -> Batch:
    deviation = stabilized_deviation(noise).view(-1, 1, 1, 1).expand_as(sites)
    return {"input": stabilize(sites, noise), "noise_map": deviation}


STABILIZED = Domain("noise_map", _enter_stabilized, unstabilize)
LINEAR = Domain(
    "variance", lambda sites, noise: {"input": sites, "variance": variance(sites, noise)}, lambda output, noise: output
)
DOMAINS = {"raw-unet": STABILIZED, "raw-brooks": LINEAR}


def _spoil(batch: Batch, generator: Generator, options: RawTraining) -> tuple[Tensor, Tensor, ShotRead, Camera]:
    """Clean display pictures, B 3 H W → noisy and clean mosaics B 1 H/2 W/2, the noise as it is told, the camera."""
    display = draw_half(batch["target"], options.halved, generator)
    count = len(display)
    codes = uniform(display.numel(), -0.5, 0.5, generator).view_as(display) / 255  # 8 bits show steps in the dark
    camera = draw_camera(count, generator)
    light = unprocess((display + codes).clamp(0, 1), camera)
    stops = uniform(count, 0, DARKEST_EXPOSURE, generator)
    dark = 2 ** -torch.where(uniform(count, 0, 1, generator) < options.underexposed, stops, 0)
    clean = mosaic(light, RGGB) * dark.view(-1, 1, 1, 1)
    noisy, noise = _with_noise(clean, generator, options)
    saturates = uniform(count, 0, 1, generator).view(-1, 1, 1, 1) < options.saturates
    noisy = torch.where(saturates, noisy.clamp_max(1), noisy)
    rate = options.defects * (3 * uniform(count, 0, 1, generator) - 2).clamp_min(0)
    broken = uniform(noisy.numel(), 0, 1, generator).view_as(noisy) < rate.view(-1, 1, 1, 1)
    noisy = torch.where(broken, uniform(noisy.numel(), 0, 1, generator).view_as(noisy), noisy)
    told = draw_told(noise, options.told_error, generator)
    return noisy, clean, told, Camera(camera.gains / dark[:, None], camera.matrix)


def _with_noise(clean: Tensor, generator: Generator, options: RawTraining) -> tuple[Tensor, ShotRead]:
    """Noise of the model that all estimates and profiles know; of some batches, that of a real camera at high ISO."""
    if uniform(1, 0, 1, generator) < options.high_iso:
        pick = torch.randint(len(HIGH_ISO_CAMERAS), (1,), generator=generator, device=generator.device)
        return add_high_iso(clean, sorted(HIGH_ISO_CAMERAS)[int(pick)], HIGH_ISO_WHITE, generator)
    noise = draw_shot_read(len(clean), generator, options.shot)
    return add_shot_read(clean, noise, generator), noise


def pair_in(domain: Domain) -> Callable[[Batch, Generator, RawTraining], Batch]:
    """`Network.pair` for a network that sees mosaics in this way."""

    def pair(batch: Batch, generator: Generator, options: RawTraining) -> Batch:
        noisy, clean, told, camera = _spoil(batch, generator, options)
        target = domain.enter(clean, told)["input"]
        return {**domain.enter(noisy, told), "target": target, **told._asdict(), **camera._asdict()}

    return pair


def _developed(domain: Domain, values: Tensor, batch: Batch) -> Tensor:
    """Linear sRGB of what a network gives, clipped for display."""
    sites = domain.leave(values, ShotRead(batch["shot"], batch["read"]))
    return process.mosaic_to_linear(sites, RGGB, batch["gains"], batch["matrix"]).clamp(0, 1)


def developed_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """RMS error of each picture after development, on the scale of 0 to 255."""
    output = net(batch["input"], batch["noise_map"]).float()
    shown = (srgb_encode(_developed(STABILIZED, values, batch)) for values in (output, batch["target"]))
    return {"loss": rms_error(*shown).mean()}


def published_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Absolute error after development: the variant of the paper that is better to look at.

    Source: Brooks et al., CVPR 2019, section 4. Demosaicing is this library's, not bilinear.
    """
    output = net(batch["input"], batch["variance"]).float()
    shown = [process.gamma(_developed(LINEAR, values, batch)) for values in (output, batch["target"])]
    return {"loss": (shown[0] - shown[1]).abs().mean()}


def score_in(domain: Domain) -> Callable[[nn.Module, Batch], Tensor]:
    """`Network.score`: decibels after development."""

    def score(net: nn.Module, batch: Batch) -> Tensor:
        output = net(batch["input"], batch[domain.map]).float()
        return decibels(*(srgb_encode(_developed(domain, values, batch)) for values in (output, batch["target"])))

    return score


def raw_trial(name: str, shot: float, told: bool) -> Trial:
    """A mosaic of an unprocessed picture with a camera's noise; torch seed = number of the picture.

    Args:
        told: the file has a noise profile; else the noise is estimated.
    """

    def degrade(clean: np.ndarray, number: int) -> tuple[Photo, Photo]:
        generator = torch.Generator().manual_seed(number)
        camera = draw_camera(1, generator)
        sites = mosaic(unprocess(torch.from_numpy(clean).permute(2, 0, 1)[None], camera), RGGB)
        noise = noise_at(shot)
        noisy = add_shot_read(sites, noise, generator)
        sensor = sensor_of(camera, RGGB, (noise.shot.item(), noise.read.item()) if told else None)
        recorded = [one[0].permute(1, 2, 0).contiguous().numpy() for one in (noisy, sites)]
        return tuple(Photo(pixels, ColorState.MOSAIC, sensor=sensor) for pixels in recorded)  # type: ignore[return-value]

    return Trial(f"{name} ISO, shot {shot:g}{', told' if told else ''}", degrade, developed=True)


def for_mosaics(domain: Domain, **own: Any) -> Network:
    """A network that takes and gives Bayer mosaics; what is its own comes by name."""
    return Network(
        expects=ColorState.MOSAIC,
        returns=ColorState.MOSAIC,
        channels=1,
        maps=(domain.map,),
        reads=DISPLAY,
        pairs=False,
        pair=pair_in(domain),
        score=score_in(domain),
        **own,
    )


RAW_UNET = for_mosaics(
    STABILIZED,
    summary="U-Net on Bayer mosaics, told their noise, 1.9 M parameters",
    build=lambda config: ResidualUNet(**config),
    config={"channels": 1, "widths": (48, 96, 192), "blocks": (1, 1, 2)},
    tiling=lambda net: Tiling(net.unet.stride, net.unet.radius, bytes_per_pixel=100),
    crop_multiple=16,
    training=RawTraining,
    loss=developed_loss,
)

RAW_BROOKS = for_mosaics(
    LINEAR,
    summary="U-Net of Brooks et al. as published, on Bayer mosaics, 11.8 M parameters",
    build=lambda config: BrooksUNet(**config),
    config={"widths": (32, 64, 128, 256, 512)},
    tiling=lambda net: Tiling(net.stride, net.radius, bytes_per_pixel=200),
    crop_multiple=64,
    training=PublishedTraining,
    loss=published_loss,
)
