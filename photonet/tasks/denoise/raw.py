"""RAW pictures: mosaics denoised before anything else is done to them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from photonet.camera.sensor import LEAST_VARIANCE, ShotRead, read_at
from photonet.engine.bayer import flips_of
from photonet.engine.noise import reported, sensor_noise
from photonet.engine.task import Prepared, Runner, Window
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.denoise.options import DenoiseOptions
from photonet.tasks.denoise.raw_networks import DOMAINS

LEAST_READ = 0.3  # of the read variance that cameras have at a shot variance: networks know no sensor with less


def noise_in(photo: Photo, options: DenoiseOptions) -> tuple[ShotRead, str]:
    """Shot and read noise, and who says so: the user, the file, or an estimate.

    Raises:
        UsageError: the picture is too small, or too much of it is clipped, to estimate it from.
    """
    found = sensor_noise(photo, options.noise)
    if found is None:
        what = "too small, or too much of it clipped, to estimate its noise"
        raise UsageError(what, photo.meta.source or "", "tell it with --noise SHOT,READ")
    return found


def prepare(photos: Sequence[Photo], options: DenoiseOptions, runner: Runner) -> Prepared:
    """Its noise, once; then windows of the mosaic, turned so that they begin with red."""
    photo = photos[0]
    if options.sigma != "auto":
        fix = "leave it out, tell --noise SHOT,READ, or denoise the developed picture with --net unet"
        raise UsageError("the noise of a RAW picture is no single level", "--sigma", fix)
    flips, domain = flips_of(photo, runner.network), DOMAINS[runner.network]
    picture = runner.picture(photo, runner.network)
    found, origin = noise_in(photo, options)
    noise = ShotRead(found.shot, torch.maximum(found.read, LEAST_READ * read_at(found.shot.clamp_min(LEAST_VARIANCE))))

    def inputs(window: Window) -> tuple[Tensor, ...]:
        return tuple(domain.enter(picture(window).flip(flips), noise).values())

    def finish(output: Tensor) -> Tensor:
        on_device = ShotRead(*(level.to(output.device) for level in noise))
        return domain.leave(output, on_device).flip(flips)

    return Prepared(inputs, reported(found, origin), finish=finish)
