"""The README's pictures: details of noisy samples beside what `photonet denoise` makes of them, twice enlarged.

python samples/make_figure.py
"""

from pathlib import Path

import numpy as np

import photonet
from photonet.engine.develop import displayed
from photonet.photo import Photo

FOLDER = Path(__file__).parent
SIDE = 210
ENLARGED = 2
# noisy sample, figure, top and left of the detail
FIGURES = (
    ("cat-noisy.jpg", "cat-before-after.jpg", 40, 110),
    ("coffee-noisy.dng", "coffee-before-after.jpg", 60, 170),
)


def main() -> None:
    """Write the figures."""
    for sample, figure, top, left in FIGURES:
        noisy = photonet.read(FOLDER / sample)
        shown = (displayed(photo) for photo in (noisy, photonet.run("denoise", noisy)))
        details = [photo.pixels[top : top + SIDE, left : left + SIDE] for photo in shown]
        pixels = np.hstack(details).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        photonet.write(Photo(pixels), FOLDER / figure, quality=90, overwrite=True)


if __name__ == "__main__":
    main()
