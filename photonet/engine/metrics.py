"""How near a picture comes to another."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from photonet.errors import UsageError

SMALLEST_SSIM = 11  # side of the SSIM window


def psnr(result: np.ndarray, clean: np.ndarray, clip: bool = True) -> float:
    """Peak signal-to-noise ratio in decibels, peak 1.0, over all channels.

    Args:
        clip: the result to 0..1 first, as a display does.
    """
    shown = np.clip(result, 0, 1) if clip else result
    if np.array_equal(shown, clean):
        return float("inf")
    return float(peak_signal_noise_ratio(clean, shown, data_range=1.0))


def ssim(result: np.ndarray, clean: np.ndarray) -> float:
    """Structural similarity, mean over channels; Gaussian window of 11, sigma 1.5, population covariance.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", TIP 2004.
    """
    if min(clean.shape[:2]) < SMALLEST_SSIM:
        return float("nan")
    return float(
        structural_similarity(
            clean,
            np.clip(result, 0, 1),
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def best_shifted(result: np.ndarray, clean: np.ndarray, slack: int) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures without a border of `slack` pixels, the result moved by so many at most to where it fits best."""
    height, width = (side - 2 * slack for side in clean.shape[:2])
    if min(height, width) < 1:
        raise UsageError(f"{clean.shape[1]}×{clean.shape[0]} is too small to look for the best shift", "--data")
    inner = clean[slack : slack + height, slack : slack + width]
    shifts = [
        result[top : top + height, left : left + width] for top in range(2 * slack + 1) for left in range(2 * slack + 1)
    ]
    return min(shifts, key=lambda shifted: np.square(shifted - inner).mean()), inner
