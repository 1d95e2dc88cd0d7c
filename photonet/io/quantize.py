"""From the pixels of a Photo to the samples of a file: transfer curve, range, dither, rounding. In stripes.

Rounding to 8 bits adds uniform noise of just under half a step first, which keeps smooth skies from banding. A value
that 8 bits hold exactly stays exact.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from photonet.errors import PhotonetError
from photonet.photo import full_scale

STRIPE_SAMPLES = 1 << 20
DITHER_SEED = 20
DITHER_STEPS = 0.499  # below one half: float rounding must not push an exact value over the edge
HALF_MAX = 65504.0  # the largest finite float16

Curve = Callable[[np.ndarray], np.ndarray]


class Quantized(NamedTuple):
    """Samples in the depth of a file, and how many pixels had a channel outside of its range."""

    samples: np.ndarray
    clipped: int


def quantize(pixels: np.ndarray, dtype: np.dtype | type, curve: Curve | None = None, signed: bool = True) -> Quantized:
    """Samples of another depth.

    Args:
        pixels: H W C, uint8, uint16 (full scale = 1.0) or float32 (1.0 = white).
        dtype: uint8, uint16, float16 or float32.
        curve: applied to values with 1.0 = white, e.g. `srgb_encode`.
        signed: whether a float format can hold negative values.
    """
    dtype = np.dtype(dtype)
    if pixels.dtype == dtype and curve is None and (signed or dtype.kind == "u"):
        refuse_non_finite(pixels)
        return Quantized(pixels, 0)
    low, high = _limits(dtype, signed)
    dither = dtype == np.uint8 and not (pixels.dtype == np.uint8 and curve is None)
    noise = np.random.default_rng(DITHER_SEED) if dither else None
    samples = np.empty(pixels.shape, dtype)
    clipped = 0
    for part in stripes(pixels):
        values = pixels[part].astype(np.float32) / np.float32(full_scale(pixels.dtype))
        _require_finite(values)
        values = curve(values) if curve else values
        clipped += _place(values * np.float32(full_scale(dtype)), samples[part], low, high, noise)
    return Quantized(samples, clipped)


def refuse_non_finite(pixels: np.ndarray) -> None:
    """Raise if a float picture holds NaN or infinity."""
    if pixels.dtype.kind == "f":
        for part in stripes(pixels):
            _require_finite(pixels[part])


def count_non_finite(pixels: np.ndarray) -> int:
    """How many pixels have a channel that is NaN or infinite."""
    if pixels.dtype.kind != "f":
        return 0
    return sum(int((~np.isfinite(pixels[part])).any(axis=-1).sum()) for part in stripes(pixels))


def stripes(pixels: np.ndarray) -> list[slice]:
    """Slices of whole rows, small enough that float copies of them stay in the cache or near it."""
    rows = max(1, STRIPE_SAMPLES // (pixels.shape[1] * pixels.shape[2]))
    return [slice(top, top + rows) for top in range(0, pixels.shape[0], rows)]


def _limits(dtype: np.dtype, signed: bool) -> tuple[float, float]:
    if dtype.kind == "u":
        return 0.0, full_scale(dtype)
    high = HALF_MAX if dtype == np.float16 else float(np.finfo(np.float32).max)
    return (-high if signed else 0.0), high


def _place(values: np.ndarray, out: np.ndarray, low: float, high: float, noise: np.random.Generator | None) -> int:
    """Clip, dither and round one stripe into its place; the number of pixels that were clipped.

    A value less than half a step outside the range rounds into it, and is no loss.
    """
    slack = 0.5 if out.dtype.kind == "u" else 0.0
    outside = (values < low - slack) | (values > high + slack)
    if noise is not None:
        values = values + (2 * DITHER_STEPS) * (noise.random(values.shape, np.float32) - np.float32(0.5))
    if out.dtype.kind == "u":
        values = np.rint(values)
    out[...] = values.clip(low, high)
    return int(outside.any(axis=-1).sum())


def _require_finite(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise PhotonetError(
            "the picture holds values that are not finite", "", "This is a fault of the task that made it: report it."
        )
