"""The published protocol: synthetic linear bursts at four levels of noise."""

import numpy as np
import torch

from photonet.camera import unprocess
from photonet.camera.handheld import draw_shifts, translated
from photonet.camera.noise import log_uniform
from photonet.camera.sensor import ShotRead, add_shot_read
from photonet.color import ColorState
from photonet.engine.task import Network, Trial
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.burst.options import BurstTrials
from photonet.tasks.burst.training import BORDER, shown

# gain: logarithms of the standard deviation of read noise, and of the variance of shot noise
GAINS = {1: (-2.2, -2.6), 2: (-1.8, -2.2), 4: (-1.44, -1.8), 8: (-1.07, -1.5)}
DARKEST = 0.1  # least share of the white level that a picture fills


def protocol_trial(gain: int, frames: int = 8, foreign: bool = False, gray: bool = False) -> Trial:
    """A linear burst with told noise; torch seed = number of the picture.

    Args:
        gain: a level of `GAINS`.
        frames: of the burst.
        foreign: the last of them is of another scene: this one upside down.
        gray: of one channel.
    """
    read, shot = GAINS[gain]
    noise = ShotRead(torch.tensor([10**shot]), torch.tensor([10 ** (2 * read)]))

    def degrade(clean: np.ndarray, number: int) -> tuple[list[Photo], Photo]:
        generator = torch.Generator().manual_seed(number)
        exposure = _exposure(generator)
        if gray:
            clean = clean.mean(2, keepdims=True)
        scene = torch.from_numpy(clean).permute(2, 0, 1)[None]
        burst = []
        for index, shift in enumerate(draw_shifts(frames, 1, generator)):
            seen = translated(scene, shift)
            if foreign and index == frames - 1:
                seen = seen.flip((-2, -1))
            light = unprocess.gamma(seen.clamp(0, 1)) * exposure
            burst.append(_photo(add_shot_read(light, noise, generator)))
        return burst, _photo(unprocess.gamma(scene) * exposure)

    def view(photo: Photo, number: int) -> np.ndarray:
        exposure = _exposure(torch.Generator().manual_seed(number))
        inner = photo.pixels[BORDER:-BORDER, BORDER:-BORDER]
        return shown(torch.from_numpy(inner) / exposure).numpy()

    told = {"noise": tuple(float(level) for level in noise), "reference": "0"}
    conditions = [f"gain {gain}", *["gray"] * gray, f"{frames} frames", *["one foreign"] * foreign]
    return Trial(
        ", ".join(conditions),
        degrade,
        told,
        view=view,
        elsewhere={"denoise": {"noise": told["noise"]}},
    )


def _exposure(generator: torch.Generator) -> torch.Tensor:
    """The share of the white level that the picture fills: the first that is drawn for it."""
    return log_uniform(1, DARKEST, 1.0, generator)


def _photo(values: torch.Tensor) -> Photo:
    return Photo(values[0].permute(1, 2, 0).contiguous().numpy(), ColorState.LINEAR)


def trials(options: BurstTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval burst` measures."""
    try:
        gains = [int(text) for text in options.gain.split(",")]
        known = [gain for gain in gains if GAINS[gain]]
    except (ValueError, KeyError):
        raise UsageError(f"{options.gain!r} is no list of gains", "--gain", "choose from 1,2,4,8") from None
    return [protocol_trial(gain, options.frames, options.foreign, options.gray) for gain in known]
