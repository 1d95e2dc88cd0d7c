"""A real handheld burst of a color chart: less noise, and text as sharp as in the reference."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import photonet
from photonet.photo import Photo

TOP, LEFT, HEIGHT, WIDTH = 250, 250, 900, 1400  # part of the frames that is merged: label and patches
TEXT = (slice(110, 220), slice(100, 720))
PATCHES = [(400, 250), (400, 800)]  # flat, brown and pink
SIDE = 120
SHARPER, SMOOTHER = 0.98, 0.42  # share of the gradients at least, of the noise at most; measured 0.999, 0.32 and 0.38


@pytest.fixture
def frames(data_folder: Path) -> list[Photo]:
    photos = [photonet.read(path) for path in sorted((data_folder / "burst").glob("*.JPG"))]
    cut = (slice(TOP, TOP + HEIGHT), slice(LEFT, LEFT + WIDTH))
    return [photo.with_pixels(np.ascontiguousarray(photo.pixels[cut])) for photo in photos]


def gray(photo: Photo) -> np.ndarray:
    return photo.pixels.astype(np.float32).mean(2)


def sharpness(photo: Photo) -> float:
    """The steepest gradients of the text, which noise does not reach."""
    text = gray(photo)[TEXT]
    across, down = (cv2.Sobel(text, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return float(np.quantile(np.hypot(across, down), 0.98))


def noise(photo: Photo, top: int, left: int) -> float:
    """Standard deviation of a flat patch, its shading taken away."""
    patch = photo.pixels[top : top + SIDE, left : left + SIDE].astype(np.float32)
    rest = patch - cv2.GaussianBlur(patch, (0, 0), 8)
    return float(rest[20:-20, 20:-20].std((0, 1)).mean())


def test_real_burst(frames: list[Photo]):
    result = photonet.run("burst", frames, reference="0")
    assert not any("left out" in note for note in result.meta.notes)
    assert sharpness(result) >= SHARPER * sharpness(frames[0])
    left = [noise(result, *place) / noise(frames[0], *place) for place in PATCHES]
    assert max(left) <= SMOOTHER
