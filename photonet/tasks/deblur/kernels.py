"""The helper network that says how a picture was blurred, and what it learns from."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.camera import deconvolve
from photonet.color import srgb_decode
from photonet.engine.data import Batch
from photonet.engine.task import Network, Tiling
from photonet.errors import UsageError
from photonet.nets.motion import BlurKernels
from photonet.tasks.deblur.training import BORDER, DeblurTraining, blurred

WINDOW = 256  # side in pixels of what one kernel is found for: five of the largest kernels
SMOOTH = 1.0  # pixels: kernels that differ by less than that are nearly as good


class KernelTraining(DeblurTraining):
    """As `DeblurTraining`, but that all of a picture moves: of two motions none is its kernel."""

    shaken: float = Field(0.2, ge=0, le=1)
    moving: float = Field(0.0, ge=0, le=0)
    sharp: float = Field(0.06, ge=0, le=1)


def make_kernels(batch: Batch, generator: Generator, options: KernelTraining) -> Batch:
    """`Network.pair`: clean crops → blurred ones of the same size, and the kernels B 1 k k in their middle.

    Raises:
        UsageError: the crops are too small for blur.
    """
    padded = deconvolve.mirrored(batch["target"], BORDER)
    shown, _, kernels = blurred(padded, generator, options)
    return {"input": shown, "target": kernels[:, None]}


def kernel_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Of each round, how unlikely the true kernel's light is, and how far the kernels are apart.

    Raises:
        UsageError: the crops are larger than the network's window, so that it gives several kernels.
    """
    rounds, truth = net(batch["input"], all_rounds=True), batch["target"]
    error = [relative_error(logs.exp(), truth).mean() for logs in rounds]
    surprise = [_surprise(logs, truth) for logs in rounds]
    loss = torch.stack(surprise).sum() + torch.stack(error).sum()
    return {"loss": loss, "first": error[0], "last": error[-1]}


def _surprise(logs: Tensor, truth: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the truth from the network's kernels."""
    return F.kl_div(logs.flatten(1), truth.flatten(1), reduction="batchmean")


def relative_error(kernels: Tensor, truth: Tensor) -> Tensor:
    """Squared error of each kernel, B 1 k k, over the squares of the true one, both smoothed a little.

    Raises:
        UsageError: the network was shown more than one window, and gave several kernels for a true one.
    """
    if kernels.shape != truth.shape:
        raise UsageError("crops must be as large as the network's window", "crop or validation_crop", f"{WINDOW}")
    smooth, true = (_smoothed(values) for values in (kernels, truth))
    return (smooth - true).square().sum((1, 2, 3)) / true.square().sum((1, 2, 3))


def _smoothed(kernels: Tensor) -> Tensor:
    reach = round(4 * SMOOTH)
    places = torch.arange(-reach, reach + 1, device=kernels.device)
    weights = (-places.square() / (2 * SMOOTH**2)).exp()
    weights = (weights / weights.sum()).view(1, 1, 1, -1)
    across = F.conv2d(kernels, weights, padding=(0, reach))
    return F.conv2d(across, weights.transpose(2, 3), padding=(reach, 0))


NETWORK = Network(
    summary="blur kernel of each window of 256×256 pixels, used by unet",
    build=lambda config: BlurKernels(
        lambda picture: deconvolve.evened(srgb_decode(picture.float().clamp(0, 1))),
        deconvolve.self_correlations,
        deconvolve.quotients,
        deconvolve.CORRELATIONS_COUNT + deconvolve.QUOTIENTS_COUNT,
        **config,
    ),
    config={"widths": (48, 96, 192), "blocks": (1, 1, 2), "window": WINDOW, "rounds": 3},
    tiling=lambda net: Tiling(net.window, 0, net.scale, bytes_per_pixel=400),
    serves_task=False,
    pairs=False,
    training=KernelTraining,
    pair=make_kernels,
    loss=kernel_loss,
    score=lambda net, batch: -relative_error(net(batch["input"]), batch["target"]),
)
