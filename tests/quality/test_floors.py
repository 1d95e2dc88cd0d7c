"""A floor in decibels for every shipped weight: on the samples always, on the test sets where they are at hand.

The floors lie 0.1 dB below what was measured when the weights were shipped: the last digit may change, quality may not.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photonet.engine import checkpoint
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.score import averages, evaluate, psnr, spoiled, trials_of
from photonet.io import read
from photonet.tasks import get_task

SAMPLES = Path(__file__).parents[2] / "samples"
EVERY = 6  # of the pictures of CBSD68: twelve

# network, sample, decibels above the noisy picture
ON_SAMPLES = [
    ("unet", "cat", ".jpg", 4.14),
    ("unet", "astronaut", ".png", 11.04),
    ("unet", "camera", ".png", 5.95),
    ("dncnn-gray", "camera", ".png", 4.5),
    ("dncnn-color", "astronaut", ".png", 10.63),
]
# network, data set, every so many-th picture, trial options, floors by trial
ON_TEST_SETS: list[tuple[str, str, int, dict[str, Any], dict[str, float]]] = [
    (
        "unet",
        "CBSD68",
        EVERY,
        {"sigma": "15,25,50", "camera": True},
        {
            "sigma 15": 34.04,
            "sigma 25": 31.47,
            "sigma 50": 28.2,
            "camera weak": 36.64,
            "camera middle": 33.72,
            "camera strong": 30.3,
        },
    ),
    ("dncnn-color", "CBSD68", EVERY, {"sigma": "25"}, {"sigma 25": 30.98}),
    ("dncnn-gray", "Set12", 1, {"sigma": "25"}, {"sigma 25": 29.59}),
]


@cache
def engine(net: str) -> Engine:
    task = get_task("denoise")
    return Engine(task, pick_device("cpu"), checkpoint.choose(task, [])[0], net=net)


def scores(net: str, folder: Path, every: int, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Trial → means of the network."""
    task = get_task("denoise")
    pictures = sorted(folder.glob("*.png"))[::every]
    trials = trials_of(task, task.trial_options(**options), task.networks[net])
    cases = spoiled(pictures, trials, task.networks[net])
    rows = list(evaluate(engine(net), cases, lambda changes: task.options(**changes), {}))
    return {mean["trial"]: mean for mean in averages(rows) if mean["method"] == net}


def test_every_shipped_weight_has_a_floor():
    tested = {f"denoise-{net}" for net, *_ in [*ON_SAMPLES, *ON_TEST_SETS]} | {"denoise-noise-level"}
    assert {path.stem for path in checkpoint.shipped()} == tested


@pytest.mark.parametrize(("net", "stem", "suffix", "floor"), ON_SAMPLES)
def test_gain_on_samples(net: str, stem: str, suffix: str, floor: float):
    noisy, clean = read(SAMPLES / f"{stem}-noisy{suffix}"), read(SAMPLES / "clean" / f"{stem}.png")
    result = engine(net).run([noisy], get_task("denoise").options()).photo
    before, after, truth = (photo.pixels.astype(np.float32) / 255 for photo in (noisy, result, clean))
    assert psnr(after, truth) - psnr(before, truth) >= floor


@pytest.mark.parametrize(("net", "name", "every", "options", "floors"), ON_TEST_SETS)
def test_scores_on_test_sets(
    data_folder: Path, net: str, name: str, every: int, options: Any, floors: dict[str, float]
):
    means = scores(net, data_folder / "test" / name, every, options)
    assert {trial: mean["psnr"] for trial, mean in means.items() if mean["psnr"] < floors[trial]} == {}
