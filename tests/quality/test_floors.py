"""A floor in decibels for every shipped weight: on CBSD68 where the data are at hand, on the samples always.

The floors lie a little below what the cards say, so that a change of the last digit passes and a loss of quality fails.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from photonet.engine import checkpoint
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.score import averages, evaluate, psnr
from photonet.io import read
from photonet.photo import Photo
from photonet.tasks import get_task

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = os.environ.get("PHOTONET_DATA")
EVERY = 6  # pictures of CBSD68; the floors are those of this subset

needs_data = pytest.mark.skipif(not DATA, reason="PHOTONET_DATA is not set")


def denoiser(net: str) -> Engine:
    task = get_task("denoise")
    return Engine(task, pick_device("cpu"), checkpoint.choose(task, []), net=net)


def gain(net: str, stem: str, suffix: str) -> float:
    """Decibels that a network gains on a noisy sample."""
    noisy, clean = read(SAMPLES / f"{stem}-noisy{suffix}"), read(SAMPLES / "clean" / f"{stem}.png")
    truth = clean.pixels.astype(np.float32) / 255
    result = denoiser(net).run([noisy], get_task("denoise").options()).photo
    return psnr(result.pixels.astype(np.float32) / 255, truth) - psnr(noisy.pixels.astype(np.float32) / 255, truth)


@pytest.mark.parametrize(("net", "stem", "suffix", "floor"), SAMPLE_FLOORS)
def test_gain_on_samples(net: str, stem: str, suffix: str, floor: float):
    assert gain(net, stem, suffix) >= floor
