"""Burst: many noisy frames of one scene into one clean picture."""

from collections.abc import Callable, Sequence

from torch import nn

from photonet.camera.sensor import ShotRead, stabilize, stabilized_deviation, unstabilize
from photonet.color import ColorState
from photonet.engine.task import Network, Prepared, Runner, Task, Tiling, together
from photonet.nets.fusion import BurstFusion, Stabilizer
from photonet.nets.merging import AverageMerge, HdrPlusMerge
from photonet.photo import Photo
from photonet.tasks.burst import kernels, running
from photonet.tasks.burst.frames import arrange
from photonet.tasks.burst.options import BurstOptions, BurstTrials
from photonet.tasks.burst.scores import score_with, shown_loss
from photonet.tasks.burst.training import FusionTraining, RawFusionTraining, fusion_pair, raw_pair, sample
from photonet.tasks.burst.trials import trials

SUMMARY = "Merge noisy frames of one scene into one clean picture."

SHOT_READ = ("shot", "read")
STABILIZER = Stabilizer(
    enter=lambda values, shot, read: stabilize(values, ShotRead(shot, read)),
    leave=lambda values, shot, read: unstabilize(values, ShotRead(shot, read)),
    deviation=lambda shot, read: stabilized_deviation(ShotRead(shot, read)),
)
FUSION = Network(
    summary="frames merged by trust, then a U-Net; 1.6 M parameters",
    build=lambda config: BurstFusion(STABILIZER, **config),
    config={"channels": 3, "trust": 32, "widths": (64, 128, 128), "blocks": (1, 1, 2)},
    tiling=lambda net: Tiling(net.unet.stride, net.radius, bytes_per_pixel=150),
    maps=SHOT_READ,
    crop_multiple=16,
    training=FusionTraining,
    sample=sample,
    pair=fusion_pair,
    loss=shown_loss,
    score=score_with(*SHOT_READ),
)
RAW_FUSION = Network(
    summary="the same on Bayer mosaics; 0.7 M parameters",
    build=lambda config: BurstFusion(STABILIZER, **config),
    config={"channels": 1, "trust": 24, "widths": (48, 96, 96), "blocks": (1, 1, 1)},
    tiling=lambda net: Tiling(net.unet.stride, net.radius, bytes_per_pixel=150),
    expects=ColorState.MOSAIC,
    returns=ColorState.MOSAIC,
    channels=1,
    maps=SHOT_READ,
    reads=(ColorState.SRGB, 3),
    pairs=False,
    crop_multiple=32,
    training=RawFusionTraining,
    pair=raw_pair,
    loss=shown_loss,
    score=score_with(*SHOT_READ),
)


def classical(summary: str, build: Callable[..., nn.Module], mosaics: bool) -> Network:
    """A method without weights, for display and linear pictures or for Bayer mosaics."""
    state, channels = (ColorState.MOSAIC, 1) if mosaics else (ColorState.SRGB, 3)
    return Network(
        summary=summary,
        build=lambda config: build(**config),
        config={"channels": channels, **({"fold": 2} if mosaics and build is HdrPlusMerge else {})},
        tiling=lambda net: Tiling(getattr(net, "stride", 2), getattr(net, "radius", 0), bytes_per_pixel=400),
        expects=state,
        returns=state,
        channels=channels,
        maps=("noise_map",),
        pairs=False,
        learned=False,
    )


NETWORKS = {
    "fusion": FUSION,
    "raw-fusion": RAW_FUSION,
    **kernels.NETWORKS,
    "average": classical("plain mean of the aligned frames", AverageMerge, mosaics=False),
    "raw-average": classical("the same on Bayer mosaics", AverageMerge, mosaics=True),
    "hdrplus": classical("HDR+'s pairwise merge in the frequency domain", HdrPlusMerge, mosaics=False),
    "raw-hdrplus": classical("the same on Bayer mosaics", HdrPlusMerge, mosaics=True),
}


def prepare(photos: Sequence[Photo], options: BurstOptions, runner: Runner) -> Prepared:
    """Motion and noise, once; then windows of the frames as the reference sees them."""
    return running.prepare(photos, options, runner, NETWORKS[runner.network])


TASK = Task(
    name="burst",
    summary=SUMMARY,
    options=BurstOptions,
    networks=NETWORKS,
    choose=running.choose,
    usual=running.usual,
    group=together,
    photos=(2, 32),
    arrange=arrange,
    prepare=prepare,
    trial_options=BurstTrials,
    trials=trials,
    pair_options={"reference": "0"},
    methods={name: {"method": name} for name in ("average", "hdrplus", "kpn")},
    raw_suffix=".dng",
    protocol="Mildenhall et al.: linear bursts with shifts of 2 px and the Poisson rule, told noise; PSNR after the "
    "sRGB curve, peak 1, clipped to 0..1, without a border of 8 px",
)
