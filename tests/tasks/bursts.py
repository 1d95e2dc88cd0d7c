"""Bursts that are cut from one picture, with shifts and noise that are known."""

from pathlib import Path

import numpy as np

from photonet.camera.align import sampled
from photonet.color import ColorState
from photonet.photo import Metadata, Photo

SHIFTS = [(0.0, 0.0), (3.4, -2.2), (-5.0, 1.5), (0.7, 6.1)]
MARGIN = 12


def seen(scene: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """A frame: its pixel (x, y) shows the scene's at (x, y) + MARGIN + shift."""
    height, width = (side - 2 * MARGIN for side in scene.shape[:2])
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns + MARGIN + shift[0], rows + MARGIN + shift[1]], 2)
    return sampled(scene, places.astype(float))[0].clip(0, 1)


def burst_of(scene: np.ndarray, sigma: float = 0.02, state: ColorState = ColorState.SRGB) -> list[Photo]:
    """Frames with white noise, named 0.png and so on."""
    rng = np.random.default_rng(1)
    frames = [seen(scene, shift) for shift in SHIFTS]
    noisy = [frame + rng.normal(0, sigma, frame.shape).astype(np.float32) for frame in frames]
    return [Photo(f, state, Metadata(source=Path(f"{k}.png"))) for k, f in enumerate(noisy)]
