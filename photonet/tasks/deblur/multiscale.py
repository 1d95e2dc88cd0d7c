"""The multi-scale network as published, and narrower."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from photonet.engine.data import Batch
from photonet.engine.player import Player, adversary
from photonet.engine.task import Network, Tiling
from photonet.nets.multiscale import Discriminator, MultiScaleDeblur, pyramid
from photonet.tasks.deblur.training import LEARNING, DeblurTraining


class MultiScaleTraining(DeblurTraining):
    """What the loss is made of, beside `DeblurTraining`.

    Args:
        adversarial: weight of the second player's judgement of the finest scale; 0 does without. The published 1e-4
            goes with half the squared error, whose gradient is a hundredth of the absolute one's at the beginning.
            Crops are 304 pixels or more with it.
    """

    adversarial: float = Field(0.0, ge=0)


def multiscale_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Absolute error, summed over the scales.

    Source: SeungjunNah/DeepDeblur-PyTorch, whose default it is; the paper has the squared error.
    """
    results = [result.float() for result in net(batch["input"], all_scales=True)]
    errors = [
        (result - target).abs().mean()
        for result, target in zip(results, reversed(pyramid(batch["target"])), strict=True)
    ]
    return {"loss": torch.stack(errors).sum(), "finest": errors[-1], "output": results[-1]}


def player(options: MultiScaleTraining) -> Player | None:
    """The discriminator, where a recipe asks for one."""
    return adversary(Discriminator, options.adversarial) if options.adversarial else None


def multiscale(summary: str, **own: Any) -> Network:
    """A multi-scale network, at its published size by default."""
    return Network(
        summary=summary,
        build=lambda config: MultiScaleDeblur(**config),
        config={"channels": 3, "width": 64, "depth": 19, "kernel": 5, "residual": False, **own},
        tiling=lambda net: Tiling(net.stride, net.radius, bytes_per_pixel=1000),
        training=MultiScaleTraining,
        loss=multiscale_loss,
        player=player,
        **LEARNING,
    )


NETWORKS = {
    "multiscale": multiscale("multi-scale network of Nah et al. as published, 11.7 M parameters"),
    "multiscale-small": multiscale(
        "the same, narrow, with kernels of 3×3: 0.3 M parameters", width=32, depth=5, kernel=3, residual=True
    ),
}
