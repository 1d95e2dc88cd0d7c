"""Kernel prediction networks, as published and narrower."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.color import ColorState
from photonet.engine.data import Batch
from photonet.engine.task import Network, Tiling
from photonet.nets.kpn import KernelPrediction
from photonet.tasks.burst.scores import BORDER, score_with, shown
from photonet.tasks.burst.training import BurstTraining, linear_pair

FADING = 18.0  # how fast the weight of single frames' losses falls: to 1e-4 of what it was in half of a training
LOGGED = 8  # frames whose part in the result is logged


class KernelTraining(BurstTraining):
    """What bursts for networks that predict kernels are made of, and how their errors weigh; as published by default.

    Args:
        annealed: weight at the beginning of the loss of single frames, against that of all together.
        gradients: weight of the absolute error of gradients, against the squared error of values.
    """

    annealed: float = Field(100.0, ge=0)
    gradients: float = Field(1.0, ge=0)


def kernel_pair(batch: Batch, generator: Generator, options: KernelTraining) -> Batch:
    """`Network.pair`: a linear burst, and `weights`: `annealed` and `gradients`."""
    made = linear_pair(batch, generator, options)
    return {**made, "weights": made["target"].new_tensor([options.annealed, options.gradients])}


def published_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Squared error of values and absolute error of gradients; at first also of each frame alone.

    Source: Mildenhall et al., CVPR 2018, equations 8 to 10. The annealing follows the training's length, and is over by
    half of it. `mass_0` and so on are what each frame adds to the result, the reference first: 1 and 0 where all has
    collapsed onto it.
    """
    target = batch["target"]
    single = net(batch["input"], batch["noise_map"], apart=True).float()
    exposure = batch["exposure"].view(-1, 1, 1, 1)
    truth = _inner(target / exposure)
    annealed, gradients = batch["weights"]
    together = _basic(_inner(single.mean(1) / exposure), truth, gradients)
    alone = sum(_basic(_inner(one / exposure), truth, gradients) for one in single.unbind(1))
    weight = annealed * math.exp(-FADING * progress)
    with torch.no_grad():
        shares = F.pad(single.mean((0, 2, 3, 4)) / (target.mean() * single.shape[1]), (0, LOGGED - single.shape[1]))
    masses = {f"mass_{frame}": share for frame, share in enumerate(shares)}
    return {"loss": together + weight * alone, "together": together, **masses}


def _inner(values: Tensor) -> Tensor:
    return shown(values[..., BORDER:-BORDER, BORDER:-BORDER])


def _basic(output: Tensor, target: Tensor, gradients: Tensor) -> Tensor:
    difference = output - target
    slopes = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    return difference.square().mean() + gradients * slopes


PUBLISHED: dict[str, Any] = {
    "frames": 8,
    "kernel": 5,
    "widths": (64, 128, 256, 512, 512),
    "depth": 3,
    "last": None,
    "tail": 3,
}
SMALL: dict[str, Any] = {"widths": (16, 32, 48, 48, 48), "depth": 2, "last": 48, "tail": 1}


def kpn(summary: str, channels: int, **own: Any) -> Network:
    """A kernel prediction network, at its published width by default."""
    return Network(
        summary=summary,
        build=lambda config: KernelPrediction(**config),
        config={"channels": channels, **PUBLISHED, **own},
        tiling=lambda net: Tiling(net.stride, net.radius, bytes_per_pixel=400 * channels),
        expects=ColorState.LINEAR,
        returns=ColorState.LINEAR,
        channels=channels,
        maps=("noise_map",),
        reads=(ColorState.SRGB, channels),
        pairs=False,
        crop_multiple=16,
        training=KernelTraining,
        pair=kernel_pair,
        loss=published_loss,
        score=score_with("noise_map"),
    )


NETWORKS = {
    "kpn-gray": kpn("KPN of Mildenhall et al. as published, gray, 29 M parameters", 1),
    "kpn-color": kpn("KPN of Mildenhall et al. as published, color, 39 M parameters", 3),
    "kpn-small-gray": kpn("narrow KPN, gray, 0.3 M parameters", 1, **SMALL),
    "kpn-small-color": kpn("narrow KPN, color, 0.3 M parameters", 3, **SMALL),
}
