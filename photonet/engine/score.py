"""Scoring: degrade clean pictures, run a task on them, and measure how near the result comes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from photonet.engine.data import as_expected
from photonet.engine.infer import Engine
from photonet.engine.task import Baseline, Trial
from photonet.io import read
from photonet.photo import Photo, full_scale

SMALLEST_SSIM = 11  # side of the SSIM window


@dataclass(frozen=True)
class Row:
    """One method on one picture under one trial.

    Args:
        psnr: decibels.
        ssim: structural similarity; NaN for pictures smaller than its window.
        seconds: that the method took.
        figures: what the task itself judges of a run.
    """

    trial: str
    method: str
    picture: str
    psnr: float
    ssim: float
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


def psnr(result: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, peak 1.0, over all channels; the result is clipped to 0..1 first."""
    if np.array_equal(np.clip(result, 0, 1), clean):
        return float("inf")
    return float(peak_signal_noise_ratio(clean, np.clip(result, 0, 1), data_range=1.0))


def ssim(result: np.ndarray, clean: np.ndarray) -> float:
    """Structural similarity, mean over channels; Gaussian window of 11, sigma 1.5, population covariance.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", TIP 2004.
    """
    if min(clean.shape[:2]) < SMALLEST_SSIM:
        return float("nan")
    return float(
        structural_similarity(
            clean,
            np.clip(result, 0, 1),
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def evaluate(
    engine: Engine,
    pictures: Sequence[Path],
    trials: Sequence[Trial],
    make_options: Callable[[Mapping[str, Any]], Any],
    baselines: Mapping[str, Baseline],
) -> Iterator[Row]:
    """Every picture under every trial: the input itself, the task, and the baselines on the same pixels."""
    network = engine.task.networks[engine.net or engine.task.default_network]
    for trial in trials:
        options = make_options(trial.options)
        for number, path in enumerate(pictures):
            pixels = as_expected(read(path), network)
            clean = pixels.astype(np.float32) / full_scale(pixels.dtype)
            degraded = trial.degrade(clean, number)

            def row(method: str, result: np.ndarray, seconds: float, figures: Mapping[str, float] | None = None) -> Row:
                quality = psnr(result, clean), ssim(result, clean)  # noqa: B023 (called at once)
                return Row(trial.name, method, path.name, *quality, seconds, figures or {})  # noqa: B023

            yield row("input", degraded, 0.0)
            began = perf_counter()
            result = engine.run([Photo(degraded, network.expects)], options)
            seconds = perf_counter() - began
            figures = engine.task.judge(result.notes, degraded, clean)
            yield row(result.network, result.photo.pixels, seconds, figures)
            for name, method in baselines.items():
                began = perf_counter()
                output = method(degraded, clean)
                yield row(name, output, perf_counter() - began)


def averages(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Means of every method under every trial over the pictures, in the order that they came."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.trial, row.method), []).append(row)
    return [
        {
            "trial": trial,
            "method": method,
            "psnr": round(float(np.mean([row.psnr for row in group])), 3),
            "ssim": round(float(np.nanmean([row.ssim for row in group])), 4),
            "pictures": len(group),
            "seconds": round(sum(row.seconds for row in group), 2),
            "figures": {
                name: round(float(np.mean([row.figures[name] for row in group])), 3) for name in group[0].figures
            },
        }
        for (trial, method), group in groups.items()
    ]
