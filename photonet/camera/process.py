"""From linear camera RGB to display values, step by step; `unprocess` holds the inverse of each step by the same name.

Pictures are B 3 H W, 1.0 = white; nothing is clipped but where it is said.

Source: Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 3 (gamma, smooth step).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from photonet.camera.mosaic import colors_of, demosaic

GAMMA = 2.2
DARKEST = 1e-8  # below it the slope of a power curve is infinite
# of `base_curve`: fitted to brightness quantiles of seven RAW files and of the JPEGs that their cameras put into them
CONTRAST, SHADOWS = 1.25, 0.75
TOE, KNEE = 0.01, 0.85  # of display values: between them `open_curve` is `base_curve`
HEADROOMS = (1e-3, 10.0)  # between which that of `open_curve` is sought
HALVINGS = 40


def white_balance(camera: Tensor, gains: Tensor) -> Tensor:
    """Multiply red, green and blue.

    Args:
        camera: B 3 H W, linear camera RGB.
        gains: B 3.
    """
    return camera * gains[:, :, None, None]


def color_matrix(camera: Tensor, matrix: Tensor) -> Tensor:
    """Linear camera RGB, white balanced, to linear sRGB.

    Args:
        matrix: B 3 3, or 3 3.
    """
    return torch.einsum("rc,bchw->brhw" if matrix.ndim == 2 else "brc,bchw->brhw", matrix, camera)


def gamma(linear: Tensor) -> Tensor:
    """The power curve that Brooks et al. take for sRGB's; values below `DARKEST` become its value there."""
    return linear.clamp_min(DARKEST) ** (1 / GAMMA)


def tone_curve(display: Tensor) -> Tensor:
    """The smooth step 3x² - 2x³ on values in 0 to 1; what lies outside is clipped."""
    display = display.clamp(0, 1)
    return display * display * (3 - 2 * display)


def mosaic_to_linear(
    sites: Tensor,
    cfa: np.ndarray,
    gains: Tensor,
    matrix: Tensor,
    clip: bool = True,
    interpolate: Callable[[Tensor, np.ndarray], Tensor] = demosaic,
) -> Tensor:
    """Linear sRGB of a mosaic: white balance, demosaicing, color matrix.

    What white balance lifts above the white level is clipped there, if at all. With gains of at least 1, which never
    darken, highlights stay neutral that way.

    Args:
        sites: B 1 H W, 1.0 = white level; its first site is the first of the period.
        cfa: filter array.
        gains: B 3, or 3.
        matrix: B 3 3, or 3 3, camera RGB to linear sRGB.
        interpolate: `demosaic`, or `demosaic_finely`.

    Returns:
        B 3 H W, not clipped below 0.
    """
    by_site = gains.to(sites)[..., colors_of(cfa, sites.shape[-2:], sites.device)]
    balanced = sites * (by_site[:, None] if gains.ndim == 2 else by_site)
    return color_matrix(interpolate(balanced.clamp_max(1) if clip else balanced, cfa), matrix.to(sites))


def camera_to_linear(camera: Tensor, gains: Tensor, matrix: Tensor, clip: bool = True) -> Tensor:
    """As `mosaic_to_linear`, of camera RGB, B 3 H W, before white balance."""
    balanced = white_balance(camera, gains.to(camera).expand(len(camera), -1))
    return color_matrix(balanced.clamp_max(1) if clip else balanced, matrix.to(camera))


def process(camera: Tensor, gains: Tensor, matrix: Tensor) -> Tensor:
    """Display values of linear camera RGB: all steps, clipped where a camera clips.

    Args:
        camera: B 3 H W.
        gains: B 3.
        matrix: B 3 3, camera RGB to linear sRGB.
    """
    balanced = white_balance(camera, gains).clamp(0, 1)
    return tone_curve(gamma(color_matrix(balanced, matrix).clamp(0, 1)))


def base_curve(display: Tensor, contrast: float = CONTRAST, shadows: float = SHADOWS) -> Tensor:
    """The S-curve that cameras' own JPEGs have, on sRGB code values: a line in log-odds. What lies outside is clipped.

    Args:
        display: any shape, 1.0 = white.
        contrast: slope in log-odds; 1 with `shadows` 1 is no change.
        shadows: odds by which middle gray becomes brighter, below 1, or darker.
    """
    display = display.clamp(0, 1)
    bright, dark = display**contrast, shadows * (1 - display) ** contrast
    return bright / (bright + dark)


def open_curve(display: Tensor, white: Tensor) -> Tensor:
    """`base_curve` without ends: a line below `TOE`, a logarithm above `KNEE`. It rises everywhere and clips nothing.

    Args:
        display: B 3 H W, 1.0 = white, with what is darker than black and brighter than white.
        white: B, of each picture the value that becomes 1, at least 1.
    """
    room = headroom(white.to(display))[:, None, None, None]
    toe, knee = curve_at(TOE), curve_at(KNEE)
    above = room * ((display - KNEE).clamp_min(0) * (knee.slope / room)).log1p()
    return base_curve(display.clamp(TOE, KNEE)) + above + (display - TOE).clamp_max(0) * (toe.level / TOE)


def open_curve_slope(display: Tensor, white: Tensor) -> Tensor:
    """Slope of `open_curve` above the knee; below it, the slope at the knee.

    Args:
        display, white: as there.
    """
    room = headroom(white.to(display))[:, None, None, None]
    slope = curve_at(KNEE).slope
    return slope / (1 + (display - KNEE).clamp_min(0) * (slope / room))


def headroom(white: Tensor) -> Tensor:
    """How slowly `open_curve` rises above the knee, so that `white` becomes 1; found by halving an interval."""
    knee = curve_at(KNEE)
    low, high = (torch.full_like(white, bound) for bound in HEADROOMS)
    reach = (white - KNEE) * knee.slope
    for _ in range(HALVINGS):
        middle = (low * high).sqrt()
        below = knee.level + middle * (reach / middle).log1p() < 1
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low * high).sqrt()


class CurvePoint(NamedTuple):
    """Value and slope of `base_curve`."""

    level: float
    slope: float


def curve_at(display: float) -> CurvePoint:
    """Value and slope of `base_curve`, between black and white."""
    level = base_curve(torch.tensor(display, dtype=torch.float64)).item()
    return CurvePoint(level, CONTRAST * level * (1 - level) / (display * (1 - display)))
