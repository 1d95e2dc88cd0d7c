"""Noise as cameras leave it, drawn from an explicit generator.

All standard deviations are on the scale of the picture (1.0 = white), whatever unit a user interface shows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from photonet.camera.jpeg import jpeg, rgb_to_ycbcr, ycbcr_to_rgb

SHARPENING_RADIUS = 1.2  # pixels; a phone's JPEGs show the negative neighbors that it gives: -0.1 at 2 to 3 px
MOST_SOFTENED = 0.8  # pixels, of photographs that keep their scale
CURVE_KNOTS = 5  # brightness levels at which the strength of grain is drawn


def uniform(size: int, low: float, high: float, generator: Generator) -> Tensor:
    """`size` numbers between `low` and `high`, on the generator's device."""
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(size: int, low: float, high: float, generator: Generator) -> Tensor:
    """`size` numbers whose logarithms are uniform."""
    ratio = torch.tensor(high / low).log().item()
    return low * (uniform(size, 0, 1, generator) * ratio).exp()


def white(shape: torch.Size | tuple[int, ...], generator: Generator) -> Tensor:
    """Gaussian noise of standard deviation 1, independent in every value."""
    return torch.randn(shape, generator=generator, device=generator.device)


def correlated(
    shape: tuple[int, int, int, int],
    radius: Tensor,
    generator: Generator,
    sharpening: Tensor | None = None,
    stretch: Tensor | None = None,
) -> Tensor:
    """Gaussian noise of standard deviation 1, blurred by a Gaussian and sharpened; it wraps around at the borders.

    Args:
        shape: B C H W.
        radius: B, standard deviation of the blur in pixels.
        sharpening: B, amount of an unsharp mask of `SHARPENING_RADIUS` after the blur.
        stretch: B, width of the blur over its height, at the same area.
    """
    height, width = shape[-2:]
    gain = _blur_gain((height, width), radius, stretch)
    if sharpening is not None:
        mask = 1 - _blur_gain((height, width), torch.full_like(radius, SHARPENING_RADIUS))
        gain = gain * (1 + _per_picture(sharpening) * mask)
    # the power that the blur leaves, over the whole spectrum: the half that rfft keeps counts twice but for its edges
    weight = gain.new_full((gain.shape[-1],), 2.0)
    weight[0] = 1
    if width % 2 == 0:
        weight[-1] = 1
    power = (gain.square() * weight).sum((-2, -1), keepdim=True) / (height * width)
    return torch.fft.irfft2(torch.fft.rfft2(white(shape, generator)) * (gain / power.sqrt()), s=(height, width))


@dataclass(frozen=True)
class Grain:
    """What is left of sensor noise in a camera's JPEG, one value for each picture of a batch.

    Cameras denoise before they compress: the rest is soft grain, coarser and stronger in chroma, whose strength depends
    on brightness.

    Args:
        luma, chroma: B, standard deviation of luma (Y), and of each chroma difference (Cb, Cr) relative to it.
        luma_radius, chroma_radius: B, blur of the grain in pixels.
        sharpening: B, of the luma grain.
        stretch: B, how much longer than wide the luma grain is: lying here and upright there, as demosaicing and noise
            reduction along edges make it.
        clumps: B, standard deviation of the logarithm of the grain's strength from place to place: noise reduction
            removes it here and leaves it there.
        patch_radius: B, blur in pixels of what changes from place to place.
        coarse: B, share of the luma grain's power that has the chroma's radius.
        curve: B CURVE_KNOTS, relative strength at evenly spaced brightness levels from black to white.
        white: B, standard deviation of white noise on top.
        quality, subsampling: B, of the JPEG file; quality 0 means that there is none.
    """

    luma: Tensor
    chroma: Tensor
    luma_radius: Tensor
    chroma_radius: Tensor
    sharpening: Tensor
    stretch: Tensor
    clumps: Tensor
    patch_radius: Tensor
    coarse: Tensor
    curve: Tensor
    white: Tensor
    quality: Tensor
    subsampling: Tensor


def draw_grain(batch: int, low: float, high: float, generator: Generator) -> Grain:
    """Grain of `batch` different cameras, with luma strengths between `low` and `high` (1.0 = white).

    Source: ranges found by fine-tuning on synthetic grain and scoring on real pairs of camera JPEGs; sharpening, clumps
    (a kurtosis of luma between 3.7 and 4.6), the weak, coarse chroma and the short lines as seen on flat patches of a
    phone's JPEGs.
    """
    luma = log_uniform(batch, low, high, generator)
    luma_radius = uniform(batch, 0.3, 1.6, generator)
    sometimes = uniform(batch, 0, 1, generator) < 0.35
    compressed = uniform(batch, 0, 1, generator) < 0.9
    return Grain(
        luma=luma,
        chroma=log_uniform(batch, 0.2, 2.0, generator),
        luma_radius=luma_radius,
        chroma_radius=torch.maximum(luma_radius, uniform(batch, 0.3, 3.0, generator)),
        sharpening=uniform(batch, -2.0, 5.0, generator).clamp_min(0),
        stretch=log_uniform(batch, 0.25, 4.0, generator).clamp_min(1),
        clumps=uniform(batch, -0.2, 0.6, generator).clamp_min(0),
        patch_radius=uniform(batch, 0.5, 3.0, generator),
        coarse=uniform(batch, 0, 0.5, generator),
        curve=torch.stack([log_uniform(batch, 0.4, 1.6, generator) for _ in range(CURVE_KNOTS)], 1),
        white=sometimes * uniform(batch, 0.1, 0.8, generator) * luma,
        quality=compressed * uniform(batch, 80, 99, generator).round(),
        subsampling=torch.randint(0, 3, (batch,), generator=generator, device=generator.device),
    )


def camera_jpeg(clean: Tensor, grain: Grain, generator: Generator) -> Tensor:
    """A camera's JPEG of a clean picture.

    Args:
        clean: B 3 H W, sRGB code values, 1.0 = white.
        grain: the camera of each picture.
        generator: draws the noise; on the device of `clean`.

    Returns:
        B 3 H W in 0 to 1, rounded to 8 bits where it was compressed.
    """
    batch, _, height, width = clean.shape
    plane = (batch, 1, height, width)
    lying, upright = (
        correlated(plane, grain.luma_radius, generator, grain.sharpening, stretch)
        for stretch in (grain.stretch, 1 / grain.stretch)
    )
    fine = torch.where(correlated(plane, grain.patch_radius, generator) > 0, lying, upright)
    coarse = correlated((batch, 3, height, width), grain.chroma_radius, generator)
    share = _per_picture(grain.coarse)
    luma = (1 - share).sqrt() * fine + share.sqrt() * coarse[:, :1]
    clumps = correlated(plane, grain.patch_radius, generator) * _per_picture(grain.clumps)
    strength = (clumps - _per_picture(grain.clumps).square()).exp()  # log-normal, of mean square 1
    ycbcr = torch.cat([luma, coarse[:, 1:] * _per_picture(grain.chroma)], 1) * _per_picture(grain.luma) * strength
    brightness = rgb_to_ycbcr(clean)[:, :1]
    noise = ycbcr_to_rgb(ycbcr) * _interpolate(grain.curve, brightness)
    noisy = clean + noise + white(clean.shape, generator) * _per_picture(grain.white)
    compressed = jpeg(noisy, grain.quality.clamp_min(1), grain.subsampling)
    return torch.where(_per_picture(grain.quality) > 0, compressed, noisy.clamp(0, 1))


def _blur_gain(size: tuple[int, int], radius: Tensor, stretch: Tensor | None = None) -> Tensor:
    """What a Gaussian blur leaves of each frequency of `rfft2`, B 1 H W/2+1.

    Args:
        size: H W.
        radius: B, standard deviation in pixels.
        stretch: B, width of the blur over its height, at the same area.
    """
    fy = torch.fft.fftfreq(size[0], device=radius.device)[:, None]
    fx = torch.fft.rfftfreq(size[1], device=radius.device)
    ratio = _per_picture(torch.ones_like(radius) if stretch is None else stretch)
    squared = fy.square() / ratio + fx.square() * ratio
    return torch.exp(-2 * (torch.pi * _per_picture(radius)) ** 2 * squared)


def _per_picture(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _interpolate(curve: Tensor, x: Tensor) -> Tensor:
    """Piecewise linear curve (B K, knots evenly over 0 to 1) at x (B 1 H W)."""
    position = x.clamp(0, 1) * (curve.shape[1] - 1)
    left = position.floor().clamp_max(curve.shape[1] - 2)
    index = left.long().flatten(1)
    low, high = curve.gather(1, index), curve.gather(1, index + 1)
    return torch.lerp(low, high, (position - left).flatten(1)).view_as(x)


def soften(clean: Tensor, radius: Tensor, magnification: Tensor) -> Tensor:
    """Pictures blurred, and magnified about their center: as soft at the pixel as photographs at their full resolution.

    The blur also takes away the grain that clean photographs have themselves: real grain, which must not be learned as
    something to keep.

    Args:
        clean: B C H W; the blur wraps around at its borders.
        radius: B, standard deviation of the blur in pixels.
        magnification: B, at least 1.
    """
    batch, _, height, width = clean.shape
    if batch == 0:  # affine_grid refuses it
        return clean
    gain = _blur_gain((height, width), radius)
    clean = torch.fft.irfft2(torch.fft.rfft2(clean) * gain, s=(height, width))
    theta = torch.zeros(batch, 2, 3, device=clean.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / magnification
    grid = F.affine_grid(theta, list(clean.shape), align_corners=False)
    return F.grid_sample(clean, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def draw_half(photos: Tensor, reduced: float, generator: Generator) -> Tensor:
    """Photographs at half their size, without most of the noise and compression that they have themselves.

    Args:
        photos: B C H W in 0 to 1.
        reduced: share of batches that are reduced by averaging; of the others a corner is taken, and softened.

    Returns:
        B C H/2 W/2 in 0 to 1.
    """
    if uniform(1, 0, 1, generator) < reduced:
        return F.avg_pool2d(photos, 2)
    height, width = (side // 2 for side in photos.shape[-2:])
    radius = uniform(len(photos), 0, MOST_SOFTENED, generator)
    return soften(photos[..., :height, :width], radius, torch.ones_like(radius)).clamp(0, 1)
