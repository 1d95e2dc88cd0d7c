"""A floor in decibels for every shipped weight: on the samples always, on the test sets where they are at hand.

The floors lie 0.05 to 0.1 dB below what was measured when the weights were shipped: the last digit may change, quality
may not.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photonet.camera.sensor import ShotRead, add_shot_read
from photonet.engine import checkpoint
from photonet.engine.develop import displayed
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.metrics import psnr
from photonet.engine.score import averages, evaluate, spoiled, trials_of
from photonet.io import read
from photonet.tasks import get_task
from photonet.tasks.deblur.kernels import WINDOW, KernelTraining, make_kernels, relative_error

SAMPLES = Path(__file__).parents[2] / "samples"
EVERY = 6  # of the pictures of CBSD68: twelve

# network, sample, decibels above the noisy picture
ON_SAMPLES = [
    ("unet", "cat", ".jpg", 3.85),
    ("unet", "astronaut", ".png", 11.1),
    ("unet", "camera", ".png", 6.15),
    ("dncnn-gray", "camera", ".png", 4.55),
    ("dncnn-color", "astronaut", ".png", 11.3),
]
# weights, data set, every so many-th picture, trial options, floors by trial
ON_TEST_SETS: list[tuple[str, str, int, dict[str, Any], dict[str, float]]] = [
    (
        "denoise-unet",
        "CBSD68",
        EVERY,
        {"sigma": "15,25,50", "camera": True},
        {
            "sigma 15": 34.14,
            "sigma 25": 31.52,
            "sigma 50": 28.25,
            "camera weak": 36.18,
            "camera middle": 33.26,
            "camera strong": 30.04,
        },
    ),
    (
        "denoise-raw-unet",
        "CBSD68",
        EVERY,
        {"raw": True, "told": True},
        {
            "low ISO, shot 0.0003, told": 39.07,
            "middle ISO, shot 0.0015, told": 34.2,
            "high ISO, shot 0.008, told": 29.42,
        },
    ),
    (
        "isp-squeezed",
        "CBSD68",
        EVERY,
        {"quality": "90"},
        {
            "quality 90, on the way": 40.46,
            "quality 90": 46.73,
            "quality 90, 30% clipped, on the way": 32.23,
            "quality 90, 30% clipped": 30.03,
        },
    ),
    (
        "burst-fusion",
        "CBSD68",
        17,
        {"gain": "1,4"},
        {"gain 1, 8 frames": 39.1, "gain 4, 8 frames": 32.48},
    ),
    (
        "deblur-unet",
        "CBSD68",
        17,
        {"extent": "5,12,25"},
        {"shake 5 px": 32.42, "shake 12 px": 27.73, "shake 25 px": 23.41},
    ),
    ("denoise-dncnn-color", "CBSD68", EVERY, {"sigma": "25"}, {"sigma 25": 31.73}),
    ("denoise-dncnn-gray", "Set12", 1, {"sigma": "25"}, {"sigma 25": 30.29}),
]


# weights, trial options, floors by trial, on the clean samples
ON_CLEAN: list[tuple[str, dict[str, Any], dict[str, float]]] = [
    ("denoise-raw-unet", {"raw": True, "told": True}, {"middle ISO, shot 0.0015, told": 35.22}),
    ("burst-fusion", {"gain": "8"}, {"gain 8, 8 frames": 29.4}),
    ("burst-raw-fusion", {"raw": True}, {"middle ISO, shot 0.0015, 8 frames": 37.6}),
    ("burst-kpn-small-color", {"gain": "4"}, {"gain 4, 8 frames": 31.22}),
    ("burst-kpn-small-gray", {"gain": "4", "gray": True}, {"gain 4, gray, 8 frames": 31.58}),
    ("deblur-unet", {"extent": "12"}, {"shake 12 px": 26.73}),
    ("deblur-multiscale-small", {"extent": "12"}, {"shake 12 px": 24.46}),
    ("isp-squeezed", {"quality": "90"}, {"quality 90, on the way": 40.82, "quality 90": 45.62}),
]
KERNELS = 0.11  # squared error of the blur kernels that are found, over the squares of the true ones
REAL_RAW = 12.2  # decibels that a real RAW file with more noise gains


@cache
def engine(weights: str) -> Engine:
    name, _, net = weights.partition("-")
    task = get_task(name)
    return Engine(task, pick_device("cpu"), checkpoint.choose(task, [])[0], net=net)


def scores(weights: str, pictures: Sequence[Path], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Trial → means of the network."""
    name, _, net = weights.partition("-")
    task = get_task(name)
    trials = trials_of(task, task.trial_options(**options), task.networks[net])
    cases = spoiled(pictures, trials, task.networks[net])
    rows = list(evaluate(engine(weights), cases, lambda changes: task.options(**changes), {}))
    return {mean["trial"]: mean for mean in averages(rows) if mean["method"] == net}


def too_low(means: Mapping[str, Mapping[str, Any]], floors: Mapping[str, float]) -> dict[str, float]:
    """Trials below their floors."""
    assert floors.keys() <= means.keys()
    return {trial: means[trial]["psnr"] for trial, floor in floors.items() if means[trial]["psnr"] < floor}


def test_every_shipped_weight_has_a_floor():
    tested = {f"denoise-{net}" for net, *_ in ON_SAMPLES} | {weights for weights, *_ in [*ON_TEST_SETS, *ON_CLEAN]}
    assert {path.stem for path in checkpoint.shipped()} == tested | {"denoise-noise-level", "deblur-kernels"}


@pytest.mark.parametrize(("net", "stem", "suffix", "floor"), ON_SAMPLES)
def test_gain_on_samples(net: str, stem: str, suffix: str, floor: float):
    noisy, clean = read(SAMPLES / f"{stem}-noisy{suffix}"), read(SAMPLES / "clean" / f"{stem}.png")
    result = engine(f"denoise-{net}").run([noisy], get_task("denoise").options()).photo
    before, after, truth = (photo.pixels.astype(np.float32) / 255 for photo in (noisy, result, clean))
    assert psnr(after, truth) - psnr(before, truth) >= floor


@pytest.mark.parametrize(("weights", "options", "floors"), ON_CLEAN)
def test_on_clean_samples(weights: str, options: dict[str, Any], floors: dict[str, float]):
    pictures = [SAMPLES / "clean" / f"{stem}.png" for stem in ("astronaut", "cat")]
    assert too_low(scores(weights, pictures, options), floors) == {}


@pytest.mark.parametrize(("weights", "name", "every", "options", "floors"), ON_TEST_SETS)
def test_on_test_sets(data_folder: Path, weights: str, name: str, every: int, options: Any, floors: dict[str, float]):
    pictures = sorted((data_folder / "test" / name).glob("*.png"))[::every]
    assert too_low(scores(weights, pictures, options), floors) == {}


# figure, and how many of the twelve pictures must be near enough: one less than when the weights were shipped
NEAR = {
    "sigma 5": ("within 1", 11),
    "sigma 10": ("noise within 10 %", 11),
    "sigma 25": ("noise within 10 %", 11),
    "camera weak": ("within 25 %", 9),
    "camera middle": ("within 25 %", 9),
    "camera strong": ("within 25 %", 11),
}


def test_noise_estimates(data_folder: Path):
    pictures = sorted((data_folder / "test" / "CBSD68").glob("*.png"))[::EVERY]
    means = scores("denoise-unet", pictures, {"sigma": "5,10,25", "camera": True})
    near = {trial: round(means[trial]["figures"][figure] * len(pictures)) for trial, (figure, _) in NEAR.items()}
    assert {trial: count for trial, count in near.items() if count < NEAR[trial][1]} == {}


def test_blur_kernels():
    crops = [
        np.ascontiguousarray(read(SAMPLES / "clean" / f"{stem}.png").pixels[top : top + WINDOW, left : left + WINDOW])
        for stem in ("astronaut", "cat")
        for top in (0, 40)
        for left in (0, 60)
    ]
    clean = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255
    batch = make_kernels({"target": clean}, torch.Generator().manual_seed(0), KernelTraining(extent=(8, 16), shaken=0))
    found, _ = engine("deblur-unet").loaded("kernels")((batch["input"],))
    assert relative_error(found, batch["target"]).mean() <= KERNELS


def test_real_raw_with_more_noise(data_folder: Path):
    """Shot noise of variance 0.01 on a real mosaic: its rendering comes nearer to that of the file."""
    (path,) = (data_folder / "raw").glob("*0113.CRW")  # never trained on
    photo = read(path)
    clean = photo.with_pixels(np.ascontiguousarray(photo.pixels[400:1040, 600:1500]))
    light = torch.from_numpy(clean.pixels).permute(2, 0, 1)[None]
    noise = ShotRead(torch.tensor([0.01]), torch.tensor([0.0]))
    noisy = add_shot_read(light, noise, torch.Generator().manual_seed(1))
    noisy_photo = clean.with_pixels(noisy[0].permute(1, 2, 0).contiguous().numpy())
    result = engine("denoise-raw-unet").run([noisy_photo], get_task("denoise").options()).photo
    shown, before, truth = (displayed(one).pixels / np.float32(65535) for one in (result, noisy_photo, clean))
    assert psnr(shown, truth) - psnr(before, truth) >= REAL_RAW
