"""Shot and read noise of a picture: told, from its file, or estimated from a mosaic."""

from typing import Literal

import numpy as np
import torch

from photonet.camera.estimate import NoiseFit, estimate_shot_read
from photonet.camera.sensor import LEAST_VARIANCE, ShotRead, read_at
from photonet.color import ColorState
from photonet.photo import Photo

MOST_SITES = 8_000_000  # that the noise is estimated from
STRIP = 48  # rows in one piece of them: a multiple of the estimator's cells and of every filter array


def sensor_noise(photo: Photo, told: tuple[float, float] | Literal["auto"]) -> tuple[ShotRead, str] | None:
    """Shot and read noise, one value each, and who says so; None where nothing does.

    Args:
        photo: only mosaics are estimated.
        told: shot and read variance at white level 1, or "auto".
    """
    if told != "auto":
        return of_floats(*told), "told"
    if photo.sensor is None or photo.state != ColorState.MOSAIC:
        return None
    if photo.sensor.noise is not None:
        return of_floats(*photo.sensor.noise), "from the file"
    rows = max(MOST_SITES // photo.width // STRIP, 1)
    starts = np.linspace(0, max(photo.height - STRIP, 0), rows).astype(int) // STRIP * STRIP
    strips = [photo.pixels[start : start + STRIP, :, 0] for start in dict.fromkeys(starts.tolist())]
    sites = np.concatenate(strips).astype(np.float32) / photo.full_scale
    fit = estimate_shot_read(torch.from_numpy(sites), len(photo.sensor.cfa))
    return fit and completed(fit)


def completed(fit: NoiseFit) -> tuple[ShotRead, str]:
    """An estimate; of a picture too bright to tell read noise, with what cameras have beside such shot noise."""
    if fit.read_is_sure:
        return of_floats(fit.shot, fit.read), "estimated"
    usual = read_at(torch.tensor(max(fit.shot, LEAST_VARIANCE))).item()
    return of_floats(fit.shot, max(fit.read, usual)), "estimated, but read noise assumed"


def of_floats(shot: float, read: float) -> ShotRead:
    """Two variances as the noise of a batch of one."""
    return ShotRead(torch.tensor([shot]), torch.tensor([read]))


def reported(noise: ShotRead, origin: str) -> dict[str, float | str]:
    """What the notes of a run say: both variances of a batch of one, and who says so."""
    return {**{name: float(f"{level.item():.3g}") for name, level in noise._asdict().items()}, "levels": origin}
