"""How noisy the frames of a burst are: told, from the file, or measured between them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from photonet.camera.estimate import PATCH, NoiseFit, estimate_shot_read, noise_between, shot_read_of
from photonet.camera.sensor import LEAST_VARIANCE, ShotRead, read_at
from photonet.color import ColorState, transfer
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.burst.frames import Frame
from photonet.tasks.burst.options import BurstOptions

MOST_PATCHES = 900
COMPARED = 3  # frames with the reference
MOST_SITES = 8_000_000  # of a mosaic that its noise is estimated from


def shot_read(photo: Photo, frames: Sequence[Frame], state: ColorState, options: BurstOptions) -> tuple[ShotRead, str]:
    """Shot and read noise of linear values, and who says so; none where nothing tells it.

    Args:
        photo: the reference.
        frames: aligned with it.
        state: of the values.

    Raises:
        UsageError: --sigma is given.
    """
    if options.sigma != "auto":
        raise UsageError("the noise of a linear picture is no single level", "--sigma", "tell --noise SHOT,READ")
    if options.noise != "auto":
        return _of_floats(*options.noise), "told"
    if state == ColorState.MOSAIC and photo.sensor is not None:
        if photo.sensor.noise is not None:
            return _of_floats(*photo.sensor.noise), "from the file"
        fit = _of_mosaic(photo)
    else:
        fit = _between(photo, frames, state)
    if fit is None:
        return _of_floats(0.0, 0.0), "unknown"
    usual = read_at(torch.tensor(max(fit.shot, LEAST_VARIANCE))).item()
    return _of_floats(fit.shot, fit.read if fit.read_is_sure else max(fit.read, usual)), "measured"


def level(photo: Photo, frames: Sequence[Frame], options: BurstOptions) -> tuple[float, str]:
    """Standard deviation of the noise of display values, 1.0 = white, and who says so; none where nothing tells it.

    Raises:
        UsageError: --noise is given.
    """
    if options.noise != "auto":
        raise UsageError("shot and read noise are of RAW and linear pictures", "--noise", "tell --sigma instead")
    if options.sigma != "auto":
        return float(options.sigma) / 255, "told"
    patches = _patches(photo, frames, ColorState.SRGB)
    if patches is None:
        return 0.0, "unknown"
    return float(noise_between(*patches)[1].mean().sqrt()), "measured"


def _of_floats(shot: float, read: float) -> ShotRead:
    return ShotRead(torch.tensor([shot]), torch.tensor([read]))


def _of_mosaic(photo: Photo) -> NoiseFit | None:
    assert photo.sensor is not None
    rows = max(MOST_SITES // photo.width, 1)
    top = max((photo.height - rows) // 2, 0) // 48 * 48
    sites = photo.pixels[top : top + rows, :, 0].astype(np.float32) / photo.full_scale
    return estimate_shot_read(torch.from_numpy(sites), len(photo.sensor.cfa))


def _between(photo: Photo, frames: Sequence[Frame], state: ColorState) -> NoiseFit | None:
    patches = _patches(photo, frames, state)
    return None if patches is None else shot_read_of(*noise_between(*patches))


def _patches(photo: Photo, frames: Sequence[Frame], state: ColorState) -> tuple[Tensor, Tensor] | None:
    """Patches of the reference and of other frames, in a color state; None where there are none."""
    convert = transfer(photo.state, state)
    rows, columns = photo.height // PATCH, photo.width // PATCH
    every = max(int(np.ceil((rows * columns / MOST_PATCHES) ** 0.5)), 1)
    first, second = [], []
    for frame in frames[:COMPARED]:
        for row in range(0, rows, every):
            for column in range(0, columns, every):
                top, left = row * PATCH, column * PATCH
                middle = np.array([[left + PATCH / 2]]), np.array([[top + PATCH / 2]])
                x, y = np.round(frame.motion.at(*middle)[0, 0] - PATCH / 2).astype(int)
                if 0 <= x <= photo.width - PATCH and 0 <= y <= photo.height - PATCH:
                    first.append(photo.pixels[top : top + PATCH, left : left + PATCH])
                    second.append(frame.photo.pixels[y : y + PATCH, x : x + PATCH])
    if not first:
        return None

    def stacked(patches: list[np.ndarray]) -> Tensor:
        values = torch.from_numpy(np.stack(patches).astype(np.float32) / photo.full_scale)
        converted: Tensor = convert(values.permute(0, 3, 1, 2))
        return converted

    return stacked(first), stacked(second)
