"""Training pairs, and what is learned from them."""

import torch
from torch import Generator, Tensor, nn

from photonet.camera import process, unprocess
from photonet.camera.jpeg import SUBSAMPLING, fourier_round, jpeg, straight_through
from photonet.camera.noise import uniform
from photonet.camera.unprocess import Camera, draw_camera
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.data import Batch
from photonet.engine.losses import decibels
from photonet.tasks.isp.flow import best_whites, recovered, rendered
from photonet.tasks.isp.options import IspTraining

BRIGHTEST = 1.5  # stops that training pictures are brighter at most
ELSEWHERE = 0.3  # share of the crops of a batch whose white is that of the crop before, as if both were of one picture
DARK = 1e-4  # of white
GOOD_RENDERING = 34.0  # decibels, from which on only the way back counts
DECIBEL = 1e-3  # absolute error that a decibel counts as: what it is of 0.009, the usual error of a RAW


def recorded(display: Tensor, camera: Camera, brighter: Tensor | float = 1) -> Tensor:
    """Camera RGB, B 3 H W in 0 to 1, whose development a display picture is; where it is brighter, cut at white."""
    light = srgb_decode(unprocess.base_curve(display)) * brighter
    return process.white_balance(unprocess.color_matrix(light, camera.matrix), 1 / camera.balance).clamp(0, 1)


def make_pair(batch: Batch, generator: Generator, options: IspTraining) -> Batch:
    """Clean display pictures → what the flow sees of their RAW, and their rendering; and a JPEG for each.

    Args:
        batch: `target` B 3 H W, sRGB, 0 to 1.

    Returns:
        `input` B 3 H W, encoded scene, and `white`, B, what becomes white of it; `target` B 3 H W, its development,
        sRGB; `to_camera` B 3 3, linear sRGB → balanced camera RGB; `quality` and `subsampling` of the JPEG, B; and B
        each, what `two_way_loss` is told.
    """
    display = batch["target"]
    count = len(display)
    camera = draw_camera(count, generator)
    brighter = 2 ** uniform(count, -0.5, BRIGHTEST, generator).view(-1, 1, 1, 1)
    balanced = process.white_balance(recorded(display, camera, brighter), camera.balance)
    scene = process.color_matrix(balanced, camera.matrix)
    shown = process.color_matrix(balanced.clamp_max(1), camera.matrix)
    low, high = options.quality
    encoded = srgb_encode(scene)
    whites = best_whites(encoded.flatten(1))
    elsewhere = uniform(count, 0, 1, generator) < ELSEWHERE
    return {
        "input": encoded,
        "white": torch.where(elsewhere, whites.roll(1), whites),
        "target": process.base_curve(srgb_encode(shown)),
        "to_camera": torch.linalg.inv(camera.matrix) / camera.balance.amax(1)[:, None, None],
        "quality": uniform(count, low, high, generator).round(),
        "subsampling": torch.randint(len(SUBSAMPLING), (count,), generator=generator, device=generator.device),
        "weight": torch.full((count,), options.rendering, device=display.device),
        "straight": torch.full((count,), options.rounding == "straight-through", device=display.device),
        "decibels": torch.full((count,), options.recovery == "decibels", device=display.device),
    }


def _compared(scene: Tensor, batch: Batch) -> Tensor:
    """What `balanced_view` makes of encoded scenes, but for the darkest values, whose slope has no bound."""
    return process.gamma(process.color_matrix(srgb_decode(scene), batch["to_camera"]).clamp(DARK, 1))


def _both_ways(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The rendering, and the scene that comes back from its JPEG."""
    white, rounding = batch["white"], straight_through if batch["straight"].all() else fourier_round
    picture = rendered(net, batch["input"], white).float()
    return picture, recovered(net, jpeg(picture, batch["quality"], batch["subsampling"], rounding), white)


def two_way_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Absolute error of the rendering, and that of the RAW that comes back through JPEG, or its decibels.

    Source: Xing et al., CVPR 2021, equation 6; there is nothing about decibels there.
    """
    picture, back = _both_ways(net, batch)
    rendering = (picture - batch["target"]).abs().mean((1, 2, 3))
    found, true = _compared(back, batch), _compared(batch["input"], batch)
    absolute = (found - true).abs().mean((1, 2, 3))
    recovery = torch.where(batch["decibels"], -DECIBEL * decibels(found, true), absolute)
    loss = (batch["weight"] * rendering + recovery).mean()
    return {"loss": loss, "rendering": rendering.mean(), "recovery": recovery.mean()}


def two_way_score(net: nn.Module, batch: Batch) -> Tensor:
    """Decibels of the RAW that comes back, less what the rendering lacks to `GOOD_RENDERING`."""
    picture, back = _both_ways(net, batch)
    lacking = (GOOD_RENDERING - decibels(picture, batch["target"])).clamp_min(0)
    return decibels(_compared(back, batch), _compared(batch["input"], batch)) - lacking
