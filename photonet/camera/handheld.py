"""What a hand does between the frames of a burst, and what is left of it after alignment: pictures shifted by parts of
a pixel."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from photonet.camera.noise import correlated, uniform

CUBIC = -0.75  # slope of the interpolating cubic: that of OpenCV's
PATCH_RADIUS, PATCH_LEVEL, PATCH_EDGE = 12.0, 1.2, 6.0  # blur in pixels, threshold and steepness of moving patches


def draw_shifts(
    frames: int, batch: int, generator: Generator, near: float = 2.0, far: float = 16.0, mean_far: float = 1.5
) -> Tensor:
    """How far each frame is from the reference, the first: frames B 2, as (x, y) in pixels.

    Args:
        near: most pixels, either way and along each side.
        far: most pixels of a frame that is far off.
        mean_far: mean of the Poisson number of such frames in a burst, of which the reference may be one: it stays.

    Source: Mildenhall et al., "Burst Denoising with Kernel Prediction Networks", CVPR 2018, section 4.1.
    """
    shifts = uniform(frames * batch * 2, -near, near, generator).view(frames, batch, 2)
    wide = uniform(frames * batch * 2, -far, far, generator).view(frames, batch, 2)
    share = torch.poisson(torch.full((batch,), mean_far, device=generator.device), generator=generator) / frames
    lost = uniform(frames * batch, 0, 1, generator).view(frames, batch) < share.clamp_max(1)
    shifts = torch.where(lost[..., None], wide, shifts)
    shifts[0] = 0
    return shifts


def translated(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Pictures that show at (x, y) what was at (x, y) + shift, without blur; reflected beyond the borders.

    Args:
        pictures: B C H W.
        shifts: B 2, as (x, y) in pixels.
    """
    height, width = pictures.shape[-2:]
    mirrored = torch.cat([pictures, pictures.flip(-1)], -1)  # a period without a step, which would ring
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], -2)
    rows, columns = mirrored.shape[-2:]
    fy = torch.fft.fftfreq(rows, device=pictures.device)[:, None]
    fx = torch.fft.rfftfreq(columns, device=pictures.device)
    x, y = shifts.view(-1, 2, 1, 1, 1).unbind(1)
    turn = torch.polar(torch.ones_like(x * fx * fy), 2 * torch.pi * (x * fx + y * fy))
    moved = torch.fft.irfft2(torch.fft.rfft2(mirrored) * turn, s=(rows, columns))
    return moved[..., :height, :width]


def resampled(pictures: Tensor, shifts: Tensor) -> Tensor:
    """As `translated`, but interpolated by a cubic, which is what alignment does to noise; replicated at the borders.

    Args:
        pictures: B C H W.
        shifts: B 2, as (x, y), between -1 and 1 pixels.
    """
    for side, shift in ((-1, shifts[:, 0]), (-2, shifts[:, 1])):
        pictures = _cubic(pictures, shift, side)
    return pictures


def _cubic(pictures: Tensor, shift: Tensor, side: int) -> Tensor:
    length = pictures.shape[side]
    padded = F.pad(pictures, (2, 2, 0, 0) if side == -1 else (0, 0, 2, 2), mode="replicate")
    whole = torch.arange(-2, 3, device=pictures.device)
    distance = (whole[:, None] - shift).abs()
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance.square() + 1
    far = ((CUBIC * distance - 5 * CUBIC) * distance + 8 * CUBIC) * distance - 4 * CUBIC
    weights = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0))
    parts = (w.view(-1, 1, 1, 1) * padded.narrow(side, k, length) for k, w in enumerate(weights))
    return torch.stack(list(parts)).sum(0)


def with_passers_by(scene: Tensor, share: float, generator: Generator) -> Tensor:
    """Scenes B C H W of which, in this share of the batch, soft patches show a place up to 16 pixels away."""
    batch, _, height, width = scene.shape
    radius = torch.full((batch,), PATCH_RADIUS, device=scene.device)
    patches = correlated((batch, 1, height, width), radius, generator)
    chosen = (uniform(batch, 0, 1, generator) < share).view(-1, 1, 1, 1)
    mask = torch.sigmoid((patches - PATCH_LEVEL) * PATCH_EDGE) * chosen
    y, x = torch.randint(-16, 17, (2,), generator=generator, device=generator.device).tolist()
    return torch.lerp(scene, scene.roll((y, x), (-2, -1)), mask)
