"""Deblur: sharp pictures from those that motion or focus has blurred."""

from photonet.engine.task import Task
from photonet.tasks.deblur import guided, kernels, multiscale
from photonet.tasks.deblur.options import DeblurTrials
from photonet.tasks.deblur.trials import BASELINES, trials

SUMMARY = "Sharpen photographs that motion has blurred."

TASK = Task(
    name="deblur",
    summary=SUMMARY,
    networks={**guided.NETWORKS, **multiscale.NETWORKS, guided.HELPER: kernels.NETWORK},
    prepare=guided.prepare,
    trial_options=DeblurTrials,
    trials=trials,
    baselines=lambda: BASELINES,
    protocol="blurred in linear light with highlights 3 times as bright, noise of shot variance 1e-4, rounded to 8 "
    "bits; PSNR of sRGB values, peak 1, clipped to 0..1, without the border that blur reaches over; measured kernels: "
    "at the best shift within 4 px",
)
