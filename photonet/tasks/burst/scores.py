"""How bursts are compared: as they are looked at, by the published protocol."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from photonet.camera import process
from photonet.camera.mosaic import RGGB
from photonet.color import srgb_encode
from photonet.engine.data import Batch
from photonet.engine.losses import decibels, rms_error

BORDER = 8  # pixels that the published protocol leaves out
WHITE_SLOPE = 1.055 / 2.4  # of the sRGB curve at white, where the protocol goes on straight


def shown(linear: Tensor) -> Tensor:
    """Linear values as the published protocol shows them: on the sRGB curve, which goes on straight above white."""
    return torch.where(linear > 1, 1 + (linear - 1) * WHITE_SLOPE, srgb_encode(linear.clamp_max(1)))


def displayed_values(values: Tensor, batch: Batch) -> Tensor:
    """What a network gives, or should give, as it is looked at, without its border."""
    inner = values[..., BORDER:-BORDER, BORDER:-BORDER].float()
    if "matrix" in batch:
        developed = process.mosaic_to_linear(inner, RGGB, batch["gains"], batch["matrix"]).clamp(0, 1)
        return srgb_encode(developed)
    return shown(inner / batch["exposure"].view(-1, 1, 1, 1)) if "exposure" in batch else inner


def shown_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """RMS error of each picture as it is looked at, on the scale of 0 to 255."""
    output = net(batch["input"], batch["shot"], batch["read"])
    return {"loss": rms_error(*(displayed_values(values, batch) for values in (output, batch["target"]))).mean()}


def score_with(*maps: str) -> Callable[[nn.Module, Batch], Tensor]:
    """`Network.score` of a network with these maps: decibels of what is looked at, within its range."""

    def score(net: nn.Module, batch: Batch) -> Tensor:
        output = net(batch["input"], *(batch[name] for name in maps))
        return decibels(*(displayed_values(values, batch).clamp(0, 1) for values in (output, batch["target"])))

    return score
