"""RAW pictures: mosaics denoised before anything else is done to them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from photonet.camera.estimate import estimate_shot_read
from photonet.camera.mosaic import FLIPS_TO_RGGB, bayer_phase
from photonet.camera.sensor import LEAST_VARIANCE, ShotRead, read_at
from photonet.color import ColorState
from photonet.engine.task import Prepared, Runner, Window
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.denoise.options import DenoiseOptions
from photonet.tasks.denoise.raw_networks import DOMAINS

LEAST_READ = 0.3  # of the read variance that cameras have at a shot variance: networks know no sensor with less
MOST_SITES = 8_000_000  # that the noise is estimated from
STRIP = 48  # rows in one piece of them: a multiple of the estimator's cells and of every filter array


def can_take(photo: Photo) -> bool:
    """Whether a photo is a Bayer mosaic."""
    return photo.state == ColorState.MOSAIC and photo.sensor is not None and bayer_phase(photo.sensor.cfa) is not None


def noise_in(photo: Photo, options: DenoiseOptions) -> tuple[ShotRead, str]:
    """Shot and read noise, and who says so: the user, the file, or an estimate.

    Raises:
        UsageError: the picture is too small, or too much of it is clipped, to estimate it from.
    """
    assert photo.sensor is not None
    if options.noise != "auto":
        return _of_floats(*options.noise), "told"
    if photo.sensor.noise is not None:
        return _of_floats(*photo.sensor.noise), "from the file"
    rows = max(MOST_SITES // photo.width // STRIP, 1)
    starts = np.linspace(0, max(photo.height - STRIP, 0), rows).astype(int) // STRIP * STRIP
    strips = [photo.pixels[start : start + STRIP, :, 0] for start in dict.fromkeys(starts.tolist())]
    sites = np.concatenate(strips).astype(np.float32) / photo.full_scale
    fit = estimate_shot_read(torch.from_numpy(sites), len(photo.sensor.cfa))
    if fit is None:
        what = "too small, or too much of it clipped, to estimate its noise"
        raise UsageError(what, photo.meta.source or "", "tell it with --noise SHOT,READ")
    if fit.read_is_sure:
        return _of_floats(fit.shot, fit.read), "estimated"
    usual = read_at(torch.tensor(max(fit.shot, LEAST_VARIANCE))).item()
    return _of_floats(fit.shot, max(fit.read, usual)), "estimated, but read noise assumed"


def _of_floats(shot: float, read: float) -> ShotRead:
    return ShotRead(torch.tensor([shot]), torch.tensor([read]))


def prepare(photos: Sequence[Photo], options: DenoiseOptions, runner: Runner) -> Prepared:
    """Its noise, once; then windows of the mosaic, turned so that they begin with red."""
    photo = photos[0]
    if options.sigma != "auto":
        fix = "leave it out, tell --noise SHOT,READ, or denoise the developed picture with --net unet"
        raise UsageError("the noise of a RAW picture is no single level", "--sigma", fix)
    phase = bayer_phase(photo.sensor.cfa) if photo.sensor is not None else None
    if phase is None:
        what = f"{runner.network} is for Bayer mosaics, and this is none"
        raise UsageError(what, photo.meta.source or "", "leave --net out: another network takes it")
    flips, domain = FLIPS_TO_RGGB[phase], DOMAINS[runner.network]
    picture = runner.picture(photo, runner.network)
    found, origin = noise_in(photo, options)
    noise = ShotRead(found.shot, torch.maximum(found.read, LEAST_READ * read_at(found.shot.clamp_min(LEAST_VARIANCE))))

    def inputs(window: Window) -> tuple[Tensor, ...]:
        return tuple(domain.enter(picture(window).flip(flips), noise).values())

    def finish(output: Tensor) -> Tensor:
        on_device = ShotRead(*(level.to(output.device) for level in noise))
        return domain.leave(output, on_device).flip(flips)

    shot, read = (float(f"{level.item():.3g}") for level in found)
    return Prepared(inputs, {"shot": shot, "read": read, "levels": origin}, finish=finish)
