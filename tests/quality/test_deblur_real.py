"""Seven real blurred photographs: sharper, in the same colors, and without rings around edges."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import photonet
from photonet.color import srgb_decode

NAMES = ("01.png", "07.png", "08.png", "4c6.png", "fishes.jpg", "flower.jpg", "house.jpg")
SHARPER = 1.03  # times the steepest gradients of the photograph
GRAIN = 1.5  # pixels: grain is not sharpness
LIGHT, COLOR = 0.012, 0.008  # shares of a picture's light that may go, and by which the channels may differ in that
NEARBY, RING = 41, 10.0  # pixels and levels: a ring is brighter or darker than all that lies nearby
# share of the pixels: joints between stones, gaps and mirrors of cars that blur had filled count, too. What the network
# is told of, the deconvolutions, does ring: 0.13 to 0.26 of three of these photographs, the gentlest 0.013 to 0.058
RINGS = 0.0085


def steepest(gray: np.ndarray) -> float:
    smooth = cv2.GaussianBlur(gray, (0, 0), GRAIN)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return float(np.quantile(np.hypot(across, down), 0.98))


def rings(before: np.ndarray, after: np.ndarray) -> float:
    window = np.ones((NEARBY, NEARBY), np.uint8)
    over = after - cv2.dilate(before, window) > RING
    under = cv2.erode(before, window) - after > RING
    return float((over | under).mean())


@pytest.mark.parametrize("name", NAMES)
def test_real_photograph(data_folder: Path, name: str):
    photo = photonet.read(data_folder / "blur" / "real" / name)
    result = photonet.run("deblur", photo)
    before, after = (one.pixels[..., :3].astype(np.float32) for one in (photo, result))
    gray = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (before, after)]
    assert steepest(gray[1]) >= SHARPER * steepest(gray[0])
    kept = np.divide(*(srgb_decode(pixels / 255).mean((0, 1)) for pixels in (after, before)))
    assert np.abs(kept - 1).max() <= LIGHT
    assert np.ptp(kept) <= COLOR
    assert rings(*gray) <= RINGS
