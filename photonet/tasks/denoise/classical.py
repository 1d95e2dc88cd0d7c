"""Classical methods that networks are measured beside, told what only an oracle knows: the true RMS of the noise."""

from collections.abc import Callable

import numpy as np

from photonet.engine.trial import Baseline

# share of the true RMS that scores best, over three levels of white noise and three of camera grain on four pictures
NON_LOCAL_STRENGTH = 0.8


def noise_rms(noisy: np.ndarray, clean: np.ndarray) -> float:
    """Root of the mean squared difference of two pictures H W C, on their own scale."""
    return float(np.sqrt(np.mean(np.square(noisy - clean, dtype=np.float64))))


def _on_bytes(method: Callable[[np.ndarray, float], np.ndarray]) -> Baseline:
    """Wrap a method that takes 8-bit pictures, and the noise on their scale."""

    def run(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
        codes = np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8)
        result = method(codes, noise_rms(noisy, clean) * 255)
        return result.astype(np.float32).reshape(noisy.shape) / 255

    return run


def _bilateral(codes: np.ndarray, sigma: float) -> np.ndarray:
    import cv2  # here and below: half a second that only a comparison has to wait for

    return cv2.bilateralFilter(codes, -1, 3 * sigma, 2)


def _non_local_means(codes: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    strength = NON_LOCAL_STRENGTH * sigma
    if codes.shape[2] == 1:
        return cv2.fastNlMeansDenoising(codes, None, strength, 7, 21)
    return cv2.fastNlMeansDenoisingColored(codes, None, strength, strength, 7, 21)


def _wavelet(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
    from skimage.restoration import denoise_wavelet

    color = noisy.shape[2] == 3
    sigma = noise_rms(noisy, clean)
    if sigma == 0:  # its thresholds would be 0/0
        return noisy
    return denoise_wavelet(noisy, sigma, channel_axis=-1, convert2ycbcr=color, method="BayesShrink", rescale_sigma=True)


def classical_denoisers() -> dict[str, Baseline]:
    """Bilateral filter, non-local means and wavelet shrinkage; BM3D when the user has installed it."""
    methods = {"bilateral": _on_bytes(_bilateral), "non-local means": _on_bytes(_non_local_means), "wavelet": _wavelet}
    try:
        import bm3d
    except ImportError:
        return methods

    def block_matching(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
        filtered = bm3d.bm3d_rgb if noisy.shape[2] == 3 else bm3d.bm3d
        return np.asarray(filtered(noisy.squeeze(), noise_rms(noisy, clean)), np.float32).reshape(noisy.shape)

    return {**methods, "BM3D": block_matching}
