"""From display values back to linear camera RGB: the inverse of each step of `process`, by the same name.

Source: Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from photonet.camera import process
from photonet.camera.noise import uniform
from photonet.color import SRGB_TO_XYZ
from photonet.photo import Sensor

LEAST_GAIN = 0.4  # four standard deviations below the mean of the drawn gain, whose inverse would explode
HIGHLIGHTS = 0.9  # gray level from which unbalancing lets the gains fade, so that white stays white

# CIE XYZ to camera RGB of four cameras, as the authors list them
XYZ_TO_CAMERA = (
    ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406)),
    ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183)),
    ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438)),
    ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181)),
)


class Camera(NamedTuple):
    """How a batch of pictures was developed: gains B 3 with green 1, and camera RGB to linear sRGB, B 3 3."""

    gains: Tensor
    matrix: Tensor

    @property
    def balance(self) -> Tensor:
        """The gains as white balance that never darkens, B 3."""
        return self.gains / self.gains.amin(1, keepdim=True)


def draw_camera(batch: int, generator: Generator) -> Camera:
    """Cameras between four real ones, under different lights.

    The overall gain of the paper, N(0.8, 0.1), is drawn into all three gains.
    """
    device = generator.device
    weights = torch.rand(batch, 4, generator=generator, device=device) + 1e-8  # never all zero
    mixed = torch.einsum("bk,kij->bij", weights / weights.sum(1, keepdim=True), torch.tensor(XYZ_TO_CAMERA).to(device))
    to_camera = mixed @ torch.tensor(SRGB_TO_XYZ).to(device)
    to_camera = to_camera / to_camera.sum(2, keepdim=True)  # white stays white
    brightness = 1 / (0.8 + 0.1 * torch.randn(batch, generator=generator, device=device)).clamp_min(LEAST_GAIN)
    red, blue = uniform(batch, 1.9, 2.4, generator), uniform(batch, 1.5, 1.9, generator)
    gains = torch.stack([red, torch.ones_like(red), blue], 1) * brightness[:, None]
    return Camera(gains, torch.linalg.inv(to_camera))


def sensor_of(camera: Camera, cfa: np.ndarray, noise: tuple[float, float] | None = None) -> Sensor:
    """The first camera of a batch as the sensor of a RAW picture with photonet's own levels.

    Args:
        cfa: filter array, or a single number for camera RGB.
        noise: (shot, read) variances at white level 1.
    """
    red, green, blue = camera.gains[0].tolist()
    return Sensor(
        cfa=cfa,
        black=np.zeros(cfa.shape),
        white=1.0,
        white_balance=(red / green, 1.0, blue / green),
        xyz_to_camera=np.linalg.inv(np.array(SRGB_TO_XYZ) @ camera.matrix[0].double().numpy()),
        noise=noise,
    )


def tone_curve(display: Tensor) -> Tensor:
    """The inverse of the smooth step; what lies outside of 0 to 1 is clipped. Its slope at the ends is infinite."""
    return 0.5 - torch.sin(torch.asin(1 - 2 * display.clamp(0, 1)) / 3)


def gamma(display: Tensor) -> Tensor:
    """The inverse of `process.gamma`."""
    return display.clamp_min(process.DARKEST) ** process.GAMMA


def color_matrix(linear: Tensor, matrix: Tensor) -> Tensor:
    """Linear sRGB to linear camera RGB, white balanced.

    Args:
        matrix: B 3 3 or 3 3, camera RGB to sRGB: the one that `process.color_matrix` takes.
    """
    return process.color_matrix(linear, torch.linalg.inv(matrix))


def white_balance(camera: Tensor, gains: Tensor) -> Tensor:
    """Divide by the gains, but for highlights: what was white for the display was clipped, not tinted, in the camera.

    Args:
        camera: B 3 H W, white balanced.
        gains: B 3.

    Source: Brooks et al., section 3.4.
    """
    factors = (1 / gains)[:, :, None, None]
    brightness = camera.mean(1, keepdim=True)
    mask = ((brightness - HIGHLIGHTS).clamp_min(0) / (1 - HIGHLIGHTS)).square()
    return camera * torch.maximum(mask + (1 - mask) * factors, factors)


def unprocess(display: Tensor, camera: Camera) -> Tensor:
    """Linear camera RGB of display values: all steps, and clipped to 0 to 1.

    Args:
        display: B 3 H W, 0 to 1.
    """
    linear = gamma(tone_curve(display))
    return white_balance(color_matrix(linear, camera.matrix), camera.gains).clamp(0, 1)


def base_curve(display: Tensor, contrast: float = process.CONTRAST, shadows: float = process.SHADOWS) -> Tensor:
    """The inverse of `process.base_curve`."""
    return process.base_curve(display, 1 / contrast, shadows ** (-1 / contrast))


def open_curve(display: Tensor, white: Tensor) -> Tensor:
    """The inverse of `process.open_curve`; it rises steeply above 1."""
    room = process.headroom(white.to(display))[:, None, None, None]
    toe, knee = process.curve_at(process.TOE), process.curve_at(process.KNEE)
    above = room / knee.slope * ((display - knee.level).clamp_min(0) / room).expm1()
    below = (display - toe.level).clamp_max(0) * (process.TOE / toe.level)
    return base_curve(display.clamp(toe.level, knee.level)) + above + below
