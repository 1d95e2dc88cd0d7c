"""Display pictures: DnCNN, and a faster U-Net that is told the noise level."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.camera.jpeg import BLOCK, STATISTICS_COUNT, block_statistics
from photonet.camera.noise import Grain, camera_jpeg, draw_grain, soften, uniform, white
from photonet.camera.sensor import ShotRead, stabilize, stabilized_deviation, unstabilize
from photonet.color import ColorState
from photonet.engine.data import Batch
from photonet.engine.losses import rms_error
from photonet.engine.noise import of_floats
from photonet.engine.options import Range, RangeAboveZero, RangeFromZero
from photonet.engine.task import Network, Options, Prepared, Runner, Tiling, Window
from photonet.engine.tiles import magnify_window
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.nets.dncnn import DnCNN, fold_batch_norm
from photonet.nets.noise_level import (
    CELL,
    NoiseLevel,
    local_noise_level,
    negative_log_likelihood,
    pool_levels,
    pooled_error,
)
from photonet.nets.unet import ResidualUNet
from photonet.photo import Photo
from photonet.tasks.denoise.classical import noise_rms
from photonet.tasks.denoise.options import DenoiseOptions

STRONGEST = 95 / 255  # level that the denoiser is told at most: far beyond what it was trained with, it goes wild
MAP_ERROR = 0.15  # the denoiser learns with a map that is wrong by up to this share
# of camera grain the map may miss this share: real grain looks more like texture than any that is made, is estimated
# too low, and a denoiser that trusts its map leaves it in the picture
GRAIN_MISSED = 0.5
CAMERA_LEVELS = {"weak": 3.0, "middle": 6.0, "strong": 12.0}  # luma grain of the trials, on the scale of 0 to 255


class DenoiseTraining(Options):
    """What the training pairs are made of.

    Args:
        sigma: (lowest, highest) level of white noise on the scale of 0 to 255.
        skew: exponent of the uniform number that the level is drawn with: above 1, weak noise comes more often.
        camera: share of pictures with camera grain and JPEG compression instead.
        grain: (lowest, highest) luma level of that grain on the scale of 0 to 255.
        blur: (least, most) in pixels, of the photos that get camera grain: takes away what grain they have themselves.
            Below 0 is none.
        cropped: share of batches whose JPEG blocks begin anywhere, as those of a file that was cropped since.
        gray: share of pictures turned to gray.
    """

    sigma: RangeFromZero = (0.0, 75.0)
    skew: float = Field(1.0, gt=0)
    camera: float = Field(0.5, ge=0, le=1)
    grain: RangeAboveZero = (1.0, 20.0)
    blur: Range = (0.25, 1.3)
    cropped: float = Field(0.15, ge=0, le=1)
    gray: float = Field(0.06, ge=0, le=1)


class DnCNNTraining(DenoiseTraining):
    """As `DenoiseTraining`, and what DnCNN's error is.

    Args:
        error: "squared" as published, or "rms": that of each picture, so that the noisiest do not decide alone.
    """

    error: Literal["squared", "rms"] = "squared"


def add_noise(batch: Batch, generator: Generator, options: DenoiseTraining) -> Batch:
    """Clean crops → noisy, clean and the noise map; pairs of the user's own keep their own noise.

    Args:
        batch: `target` B C H W, and `input` for pairs.
    """
    clean = batch["target"]
    if "input" in batch:
        return _with_map(batch["input"], clean, 0, generator)
    cameras = round(len(clean) * options.camera) if clean.shape[1] == 3 else 0
    magnification = uniform(cameras, 0, 2, generator).clamp_min(1)  # half of them are as sharp as they came
    radius = uniform(cameras, *options.blur, generator).clamp_min(0)
    photos = soften(clean[:cameras], radius, magnification).clamp(0, 1)
    grain = draw_grain(cameras, options.grain[0] / 255, options.grain[1] / 255, generator)
    low, high = options.sigma
    share = uniform(len(clean) - cameras, 0, 1, generator) ** options.skew
    sigma = (low + (high - low) * share).view(-1, 1, 1, 1) / 255
    plain = clean[cameras:] + white(clean[cameras:].shape, generator) * sigma
    taken = camera_jpeg(photos, grain, generator) if cameras else photos
    if uniform(1, 0, 1, generator) < options.cropped:
        shifts = torch.randint(BLOCK, (2,), generator=generator, device=generator.device).tolist()
        taken, photos = (pictures.roll(shifts, (-2, -1)) for pictures in (taken, photos))
    noisy, clean = torch.cat([taken, plain]), torch.cat([photos, clean[cameras:]])
    gray = uniform(len(clean), 0, 1, generator).view(-1, 1, 1, 1) < options.gray  # one channel is a gray picture too
    noisy, clean = (torch.where(gray, pictures[:, :1], pictures) for pictures in (noisy, clean))
    return _with_map(noisy, clean, cameras, generator)


def _with_map(noisy: Tensor, clean: Tensor, cameras: int, generator: Generator) -> Batch:
    """Add the true noise level of each cell, and a map for the denoiser that is wrong by up to `MAP_ERROR`.

    Args:
        cameras: so many pictures at the beginning have camera grain.
    """
    level = local_noise_level(noisy - clean)
    whole = level.square().mean((-2, -1), keepdim=True).sqrt()
    told = uniform(len(level), 0, 1, generator).view(-1, 1, 1, 1) < 0.4  # users give one number for all of a picture
    share = uniform(len(level), 0, 1, generator)
    lowest = torch.full_like(share, -MAP_ERROR)
    lowest[:cameras] = -GRAIN_MISSED
    error = (1 + torch.lerp(lowest, torch.full_like(share, MAP_ERROR), share)).view(-1, 1, 1, 1)
    noise_map = F.interpolate(torch.where(told, whole, level) * error, size=noisy.shape[-2:], mode="bilinear")
    return {"input": noisy, "target": clean, "level": level, "noise_map": noise_map}


def rms_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """The RMS error of each picture, on the scale of 0 to 255.

    Its gradient has the same size for every picture. That of decibels is larger the weaker the noise is, so that a few
    nearly clean pictures of a batch decide; that of the squared error leaves all to the noisiest.
    """
    return {"loss": rms_error(net(batch["input"], batch["noise_map"]), batch["target"]).mean()}


def dncnn_pair(batch: Batch, generator: Generator, options: DnCNNTraining) -> Batch:
    """`Network.pair`: as `add_noise`, and of each picture whether its RMS error counts."""
    made = add_noise(batch, generator, options)
    clean = made["target"]
    return {**made, "rms": torch.full((len(clean),), options.error == "rms", device=clean.device)}


def dncnn_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Half the squared error, or the RMS error of each picture, both on the scale of 0 to 1.

    Source: Zhang et al., TIP 2017, equation 1, for the squared one.
    """
    output, target = net(batch["input"]).float(), batch["target"]
    squared = (output - target).square().mean((1, 2, 3)) / 2
    return {"loss": torch.where(batch["rms"], rms_error(output, target) / 255, squared).mean()}


def level_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """How unlikely the true noise levels are to the network, and how wrong the level of the whole picture is.

    The likelihood alone makes the network too sure of pictures that it was trained with, and pooling weighs by that.
    """
    estimate = net(batch["input"])
    likelihood = negative_log_likelihood(estimate, batch["level"])
    whole = pooled_error(estimate, batch["level"])
    return {"loss": likelihood + whole, "likelihood": likelihood, "whole": whole}


def noise_in(photo: Photo, options: DenoiseOptions, runner: Runner) -> Tensor:
    """The noise level: 1 1 h w cells of 16 pixels, estimated, or one number everywhere."""
    if options.sigma != "auto":
        return torch.full((1, 1, 1, 1), float(options.sigma) / 255)
    return pool_levels(runner.map("noise-level", photo)).clamp_max(1)


def prepare(photos: Sequence[Photo], options: DenoiseOptions, runner: Runner) -> Prepared:
    """The noise level of the picture, once; then windows of picture and map."""
    photo = photos[0]
    if options.noise != "auto":
        return _prepare_linear(photo, of_floats(*options.noise), runner)
    picture = runner.picture(photo, runner.network)
    if runner.network.startswith("dncnn"):
        if options.sigma != "auto":
            raise UsageError("DnCNN is blind: it takes no noise level", "--sigma", "leave it out, or use --net unet")
        return Prepared(lambda window: (picture(window),))
    cells = noise_in(photo, options, runner)
    level = cells.square().mean().sqrt().item() * 255
    notes = {"noise": round(level, 2)}
    if cells.max() > STRONGEST:
        cells, notes["taken for"] = cells.clamp_max(STRONGEST), round(STRONGEST * 255)

    def inputs(window: Window) -> tuple[Tensor, ...]:
        return picture(window), magnify_window(cells, CELL, window)

    return Prepared(inputs, notes)


def _prepare_linear(photo: Photo, noise: ShotRead, runner: Runner) -> Prepared:
    """A linear picture whose shot and read noise is told."""
    if photo.state != ColorState.LINEAR or runner.network != "unet":
        what = "shot and read noise are of RAW and linear pictures, and of the networks that take them"
        raise UsageError(what, "--noise", "tell --sigma instead")
    picture = runner.picture(photo, runner.network, ColorState.LINEAR)
    deviation = stabilized_deviation(noise).clamp_max(STRONGEST).view(1, 1, 1, 1)

    def inputs(window: Window) -> tuple[Tensor, ...]:
        values = stabilize(picture(window), noise)
        return values, deviation.expand_as(values[:, :1]).contiguous()

    def finish(output: Tensor) -> Tensor:
        return unstabilize(output, ShotRead(*(level.to(output.device) for level in noise)))

    return Prepared(inputs, {"levels": "told"}, finish=finish, returns=ColorState.LINEAR)


def judge(notes: Mapping[str, Any], noisy: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """How near the estimated noise level comes to the true RMS: shares of pictures within 10 %, 25 % and 1 of 255."""
    if "noise" not in notes:
        return {}
    truth = noise_rms(noisy, clean) * 255
    error = abs(notes["noise"] - truth)
    within = {"noise within 10 %": 0.1 * truth, "within 25 %": 0.25 * truth, "within 1": 1.0}
    return {name: float(error <= bound) for name, bound in within.items()}


def gaussian_trial(sigma: float, options: Mapping[str, Any]) -> Trial:
    """White Gaussian noise, not clipped; torch seed = number of the picture."""

    def degrade(clean: np.ndarray, number: int) -> np.ndarray:
        chw = torch.from_numpy(clean).permute(2, 0, 1)[None]
        noise = torch.randn(chw.shape, generator=torch.Generator().manual_seed(number))
        return (chw + noise * (sigma / 255))[0].permute(1, 2, 0).numpy()

    return Trial(f"sigma {sigma:g}{', told' if options else ''}", degrade, options)


def camera_trial(name: str, level: float) -> Trial:
    """Camera grain of a fixed luma strength, compressed as JPEG; torch seed = number of the picture."""

    def degrade(clean: np.ndarray, number: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(number)
        grain: Grain = draw_grain(1, level / 255, level / 255, generator)
        chw = torch.from_numpy(clean).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
        return camera_jpeg(chw, grain, generator)[0].permute(1, 2, 0).contiguous().numpy()

    return Trial(f"camera {name}", degrade)


def adopt_dncnn(tensors: Mapping[str, Tensor], channels: int) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """KAIR's or MatConvNet's DnCNN, batch norm folded: 3×3 convolutions in order, each followed by a ReLU."""
    weights = [tensor for name, tensor in tensors.items() if name.endswith(".weight")]
    biases = [tensor for name, tensor in tensors.items() if name.endswith(".bias")]
    if len(weights) != len(biases) or len(tensors) != 2 * len(weights) or len(weights) < 3:
        return None
    width, depth = len(weights[0]), len(weights)
    shapes = [(width, channels, 3, 3), *[(width, width, 3, 3)] * (depth - 2), (channels, width, 3, 3)]
    if [tuple(weight.shape) for weight in weights] != shapes:
        return None
    parts = zip(("weight", "bias"), (weights, biases), strict=True)
    renamed = {f"body.{2 * index}.{part}": tensor for part, group in parts for index, tensor in enumerate(group)}
    return {"channels": channels, "depth": depth, "width": width, "folded": True}, renamed


def dncnn(channels: int, depth: int, summary: str) -> Network:
    """A published DnCNN; where weights have batch norm, it is folded when they are loaded."""
    return Network(
        summary=summary,
        build=lambda config: DnCNN(**config),
        config={"channels": channels, "depth": depth},
        tiling=lambda net: Tiling(radius=net.radius, bytes_per_pixel=600),
        channels=channels,
        adopt=lambda tensors: adopt_dncnn(tensors, channels),
        deploy=fold_batch_norm,
        crop_multiple=CELL,
        training=DnCNNTraining,
        pair=dncnn_pair,
        loss=dncnn_loss,
    )


UNET = Network(
    summary="U-Net with a noise map, 3.4 M parameters, 0.25 MFLOP per pixel",
    build=lambda config: ResidualUNet(**config),
    config={"channels": 3, "widths": (64, 128, 256), "blocks": (1, 1, 2)},
    tiling=lambda net: Tiling(net.unet.stride, net.unet.radius, bytes_per_pixel=100),
    maps=("noise_map",),
    crop_multiple=CELL,
    training=DenoiseTraining,
    pair=add_noise,
    loss=rms_loss,
)


def _quantization(picture: Tensor) -> Tensor:
    """Of each cell, what JPEG may have taken away."""
    return F.avg_pool2d(block_statistics(picture), CELL // BLOCK)


NOISE_LEVEL = Network(
    summary="noise level of each 16×16 pixels, used by --sigma auto",
    build=lambda config: NoiseLevel(_quantization, STATISTICS_COUNT, **config),
    config={"widths": (48, 64, 64)},
    tiling=lambda net: Tiling(CELL, net.radius, Fraction(1, CELL), bytes_per_pixel=60),
    serves_task=False,
    crop_multiple=CELL,
    training=DenoiseTraining,
    pair=add_noise,
    loss=level_loss,
    score=lambda net, batch: -pooled_error(net(batch["input"]), batch["level"]),
)
