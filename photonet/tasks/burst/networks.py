"""All networks of bursts: the trained default, kernel prediction, and classical methods."""

from collections.abc import Callable
from typing import Any

from torch import nn

from photonet.camera.sensor import ShotRead, stabilize, stabilized_deviation, unstabilize
from photonet.color import ColorState
from photonet.engine.task import Network, Tiling
from photonet.nets.fusion import BurstFusion, Stabilizer
from photonet.nets.merging import AverageMerge, HdrPlusMerge
from photonet.tasks.burst import kernels
from photonet.tasks.burst.scores import score_with, shown_loss
from photonet.tasks.burst.training import FusionTraining, RawFusionTraining, fusion_pair, raw_pair, sample

SHOT_READ = ("shot", "read")
STABILIZER = Stabilizer(
    enter=lambda values, shot, read: stabilize(values, ShotRead(shot, read)),
    leave=lambda values, shot, read: unstabilize(values, ShotRead(shot, read)),
    deviation=lambda shot, read: stabilized_deviation(ShotRead(shot, read)),
)


def fusion(summary: str, **own: Any) -> Network:
    """A network that merges frames by trust; what is its own comes by name."""
    return Network(
        summary=summary,
        build=lambda config: BurstFusion(STABILIZER, **config),
        tiling=lambda net: Tiling(net.unet.stride, net.radius, bytes_per_pixel=150),
        maps=SHOT_READ,
        loss=shown_loss,
        score=score_with(*SHOT_READ),
        **own,
    )


def classical(summary: str, build: Callable[..., nn.Module], mosaics: bool = False, **config: Any) -> Network:
    """A method without weights, for display and linear pictures or for Bayer mosaics.

    Args:
        build: channels and the rest of the config → module, with its `stride` and `radius`.
        config: what `build` gets beside the channels.
    """
    state, channels = (ColorState.MOSAIC, 1) if mosaics else (ColorState.SRGB, 3)
    return Network(
        summary=summary,
        build=lambda config: build(**config),
        config={"channels": channels, **config},
        tiling=lambda net: Tiling(net.stride, net.radius, bytes_per_pixel=400),
        expects=state,
        returns=state,
        channels=channels,
        maps=("noise_map",),
        pairs=False,
        learned=False,
    )


NETWORKS = {
    "fusion": fusion(
        "frames merged by trust, then a U-Net; 1.6 M parameters",
        config={"channels": 3, "trust": 32, "widths": (64, 128, 128), "blocks": (1, 1, 2)},
        crop_multiple=16,
        training=FusionTraining,
        sample=sample,
        pair=fusion_pair,
    ),
    "raw-fusion": fusion(
        "the same on Bayer mosaics; 0.7 M parameters",
        config={"channels": 1, "trust": 24, "widths": (48, 96, 96), "blocks": (1, 1, 1)},
        expects=ColorState.MOSAIC,
        returns=ColorState.MOSAIC,
        channels=1,
        reads=(ColorState.SRGB, 3),
        pairs=False,
        crop_multiple=32,
        training=RawFusionTraining,
        pair=raw_pair,
    ),
    **kernels.NETWORKS,
    "average": classical("plain mean of the aligned frames", AverageMerge),
    "raw-average": classical("the same on Bayer mosaics", AverageMerge, mosaics=True),
    "hdrplus": classical("HDR+'s pairwise merge in the frequency domain", HdrPlusMerge),
    "raw-hdrplus": classical("the same on Bayer mosaics", HdrPlusMerge, mosaics=True, fold=2),
}
