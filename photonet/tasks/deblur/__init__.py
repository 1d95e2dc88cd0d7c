"""Deblur: sharp pictures from those that motion or focus has blurred."""

from photonet.engine.task import Network, Task, Tiling
from photonet.nets.unet import ResidualUNet
from photonet.tasks.deblur import guided, kernels, multiscale
from photonet.tasks.deblur.options import DeblurTrials
from photonet.tasks.deblur.training import LEARNING, staged_loss
from photonet.tasks.deblur.trials import BASELINES, trials

SUMMARY = "Sharpen photographs that motion has blurred."

UNET = Network(
    summary="U-Net told of deconvolutions with the kernels it finds, 1.7 M parameters",
    build=lambda config: ResidualUNet(maps=3 * len(guided.NOISE), **config),
    config={"channels": 3, "widths": (64, 128, 144), "blocks": (1, 1, 2)},
    tiling=lambda net: Tiling(net.unet.stride, net.unet.radius, bytes_per_pixel=100),
    maps=("sharper",),
    map_channels=3 * len(guided.NOISE),
    training=guided.GuidedTraining,
    loss=staged_loss,
    **{**LEARNING, "pair": guided.make_guided},
)

TASK = Task(
    name="deblur",
    summary=SUMMARY,
    networks={"unet": UNET, **multiscale.NETWORKS, "kernels": kernels.NETWORK},
    prepare=guided.prepare,
    trial_options=DeblurTrials,
    trials=trials,
    baselines=lambda: BASELINES,
    protocol="blurred in linear light with highlights 3 times as bright, noise of shot variance 1e-4, rounded to 8 "
    "bits; PSNR of sRGB values, peak 1, clipped to 0..1, without the border that blur reaches over; measured kernels: "
    "at the best shift within 4 px",
)
