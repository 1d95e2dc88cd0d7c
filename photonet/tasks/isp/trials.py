"""How the invertible ISP is measured: rendered, compressed, turned back, beside what formulas do."""

import numpy as np
import torch

from photonet.camera import process, unprocess
from photonet.camera.mosaic import GREEN
from photonet.camera.unprocess import draw_camera, sensor_of
from photonet.color import ColorState
from photonet.engine.develop import PLAIN, decoded, develop
from photonet.engine.task import Network
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.io import encode, read_bytes
from photonet.photo import Photo
from photonet.tasks.isp.options import IspTrials
from photonet.tasks.isp.training import recorded

CLIPPED_SHARE = 0.3  # of the pixels, in the trials of highlights


def camera_photo(clean: np.ndarray, number: int, clipped: float) -> Photo:
    """Camera RGB of a display picture; torch seed = number of the picture.

    Args:
        clean: H W 3.
        clipped: so bright that in this share of the pixels a color is clipped for display; 0 leaves it as it is.
    """
    camera = draw_camera(1, torch.Generator().manual_seed(number))
    sites = recorded(torch.from_numpy(clean).permute(2, 0, 1)[None], camera)
    if clipped:
        brightest = process.white_balance(sites, camera.balance).amax(1)
        sites = (sites / torch.quantile(brightest, 1 - clipped)).clamp_max(1)
    sensor = sensor_of(camera, np.array([[GREEN]]))
    return Photo(sites[0].permute(1, 2, 0).contiguous().numpy(), ColorState.CAMERA, sensor=sensor)


def balanced_view(photo: Photo, number: int) -> np.ndarray:
    """RAW as the paper compares it: balanced camera RGB in 0 to 1, gamma-encoded."""
    assert photo.sensor is not None
    gains = photo.sensor.gains
    return (photo.pixels * (gains / gains.max())).clip(0, 1) ** np.float32(1 / process.GAMMA)


def undone_by_formula(photo: Photo, quality: int) -> Photo:
    """What the inverse of each step of the development makes of its JPEG: the measure for the network."""
    shown = read_bytes(encode(develop(photo, PLAIN), "jpeg", quality=quality))
    display = torch.from_numpy(shown.pixels / np.float32(shown.full_scale))
    return decoded(photo.with_pixels(unprocess.base_curve(display).numpy(), state=ColorState.SRGB))


def isp_trial(quality: int, clipped: float, cut: int = 0) -> Trial:
    """Rendered, compressed as JPEG, and turned back; without the first `cut` rows and columns."""

    def degrade(clean: np.ndarray, number: int) -> tuple[Photo, Photo]:
        photo = camera_photo(clean[cut:, cut:], number, clipped)
        return photo, photo

    return Trial(
        f"quality {quality}{f', {clipped:.0%} clipped' if clipped else ''}",
        degrade,
        through=lambda shown: read_bytes(encode(shown, "jpeg", quality=quality)),
        back={"inverse": True},
        view=balanced_view,
        rivals={"formula": lambda photo: undone_by_formula(photo, quality)},
    )


def trials(options: IspTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval isp` measures."""
    try:
        qualities = [int(text) for text in options.quality.split(",")]
    except ValueError:
        raise UsageError(f"{options.quality!r} is not a list of numbers", "--quality", "write 75,90,95") from None
    return [isp_trial(quality, clipped, options.cut) for clipped in (0.0, CLIPPED_SHARE) for quality in qualities]
