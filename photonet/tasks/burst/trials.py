"""The published protocol: synthetic linear bursts at four levels of noise; and the like on Bayer mosaics."""

import numpy as np
import torch

from photonet.camera import unprocess
from photonet.camera.handheld import draw_shifts, translated
from photonet.camera.mosaic import RGGB, mosaic
from photonet.camera.noise import log_uniform
from photonet.camera.sensor import SHOT_LEVELS, ShotRead, add_shot_read, noise_at
from photonet.camera.unprocess import draw_camera, sensor_of
from photonet.color import ColorState
from photonet.engine.task import Network
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.photo import Photo, Sensor
from photonet.tasks.burst.options import BurstTrials
from photonet.tasks.burst.scores import BORDER, shown

# gain: logarithms of the standard deviation of read noise, and of the variance of shot noise
GAINS = {1: (-2.2, -2.6), 2: (-1.8, -2.2), 4: (-1.44, -1.8), 8: (-1.07, -1.5)}
EXPOSURES = (0.1, 1.0)  # least and largest share of the white level that a picture fills


def protocol_trial(
    gain: int,
    frames: int = 8,
    foreign: bool = False,
    gray: bool = False,
    exposures: tuple[float, float] = EXPOSURES,
) -> Trial:
    """A linear burst with told noise; torch seed = number of the picture.

    Args:
        gain: a level of `GAINS`.
        frames: of the burst.
        foreign: a further frame is of another scene: this one upside down.
        gray: of one channel.
        exposures: as `EXPOSURES`; the exposure is the first that is drawn for a picture.
    """
    read, shot = GAINS[gain]
    noise = ShotRead(torch.tensor([10**shot]), torch.tensor([10 ** (2 * read)]))

    def degrade(clean: np.ndarray, number: int) -> tuple[list[Photo], Photo]:
        generator = torch.Generator().manual_seed(number)
        exposure = log_uniform(1, *exposures, generator)
        if gray:
            clean = clean.mean(2, keepdims=True)
        scene = torch.from_numpy(clean).permute(2, 0, 1)[None]
        burst = []
        views = [translated(scene, shift) for shift in draw_shifts(frames, 1, generator)]
        for seen in views + [scene.flip((-2, -1))] * foreign:
            light = unprocess.gamma(seen.clamp(0, 1)) * exposure
            burst.append(_photo(add_shot_read(light, noise, generator)))
        return burst, _photo(unprocess.gamma(scene) * exposure)

    def view(photo: Photo, number: int) -> np.ndarray:
        exposure = log_uniform(1, *exposures, torch.Generator().manual_seed(number))
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


def raw_trial(name: str, shot: float, frames: int) -> Trial:
    """A burst of mosaics with a camera's noise, which the files tell; torch seed = number of the picture.

    Args:
        name: of the ISO speed.
        shot: variance at white level 1.
        frames: of the burst.
    """

    def degrade(clean: np.ndarray, number: int) -> tuple[list[Photo], Photo]:
        generator = torch.Generator().manual_seed(number)
        camera = draw_camera(1, generator)
        noise = noise_at(shot)
        sensor = sensor_of(camera, RGGB, (noise.shot.item(), noise.read.item()))
        scene = torch.from_numpy(clean).permute(2, 0, 1)[None]

        def sites(seen: torch.Tensor) -> torch.Tensor:
            return mosaic(unprocess.unprocess(seen.clamp(0, 1), camera), RGGB)

        shifts = draw_shifts(frames, 1, generator)
        burst = [add_shot_read(sites(translated(scene, shift)), noise, generator) for shift in shifts]
        truth, *noisy = (_photo(values, ColorState.MOSAIC, sensor) for values in (sites(scene), *burst))
        return noisy, truth

    return Trial(f"{name} ISO, shot {shot:g}, {frames} frames", degrade, {"reference": "0"}, elsewhere={"denoise": {}})


def _photo(values: torch.Tensor, state: ColorState = ColorState.LINEAR, sensor: Sensor | None = None) -> Photo:
    return Photo(values[0].permute(1, 2, 0).contiguous().numpy(), state, sensor=sensor)


def trials(options: BurstTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval burst` measures."""
    if options.raw or network.expects == ColorState.MOSAIC:
        return [raw_trial(name, shot, options.frames) for name, shot in SHOT_LEVELS.items()]
    try:
        gains = [int(text) for text in options.gain.split(",")]
        known = [gain for gain in gains if GAINS[gain]]
    except (ValueError, KeyError):
        raise UsageError(f"{options.gain!r} is no list of gains", "--gain", "choose from 1,2,4,8") from None
    return [protocol_trial(gain, options.frames, options.foreign, options.gray) for gain in known]
