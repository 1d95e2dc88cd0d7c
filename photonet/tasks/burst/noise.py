"""How noisy the frames of a burst are: told, from the file, or measured between them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from photonet.camera.estimate import PATCH, noise_between, shot_read_of
from photonet.camera.sensor import ShotRead
from photonet.color import ColorState, transfer
from photonet.engine.noise import completed, of_floats, sensor_noise
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.burst.frames import Frame
from photonet.tasks.burst.options import BurstOptions

MOST_PATCHES = 900
COMPARED = 3  # frames with the reference


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
        what = "the noise of RAW and linear pictures, and of all that kpn takes, is no single level"
        raise UsageError(what, "--sigma", "tell --noise SHOT,READ, or leave it out")
    known = sensor_noise(photo, options.noise)
    if known is None:
        found = _between(photo, frames, state)
        known = found and completed(shot_read_of(*found))
    return known or (of_floats(0.0, 0.0), "unknown")


def level(photo: Photo, frames: Sequence[Frame], options: BurstOptions) -> tuple[float, str]:
    """Standard deviation of the noise of display values, 1.0 = white, and who says so; none where nothing tells it.

    Raises:
        UsageError: --noise is given.
    """
    if options.noise != "auto":
        raise UsageError("shot and read noise are of Bayer RAW and linear pictures", "--noise", "tell --sigma instead")
    if options.sigma != "auto":
        return float(options.sigma) / 255, "told"
    found = _between(photo, frames, ColorState.SRGB)
    return (0.0, "unknown") if found is None else (float(found[1].mean().sqrt()), "estimated")


def _between(photo: Photo, frames: Sequence[Frame], state: ColorState) -> tuple[Tensor, Tensor] | None:
    patches = _patches(photo, frames, state)
    return None if patches is None else noise_between(*patches)


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
