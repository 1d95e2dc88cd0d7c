"""The README's pictures: details of noisy samples beside what photonet makes of them, twice enlarged.

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
# task, noisy samples, figure, top and left of the detail
FIGURES = (
    ("denoise", ("cat-noisy.jpg",), "cat-before-after.jpg", 40, 110),
    ("denoise", ("coffee-noisy.dng",), "coffee-before-after.jpg", 60, 170),
    ("deblur", ("astronaut-shaken.jpg",), "astronaut-before-after.jpg", 0, 60),
    ("burst", tuple(f"coffee-burst/{frame}.jpg" for frame in range(6)), "coffee-burst-before-after.jpg", 40, 150),
)


def main() -> None:
    """Write the figures."""
    for task, samples, figure, top, left in FIGURES:
        noisy = [photonet.read(FOLDER / sample) for sample in samples]
        options = {"reference": "0"} if task == "burst" else {}
        shown = (displayed(photo) for photo in (noisy[0], photonet.run(task, noisy, **options)))
        details = [photo.pixels[top : top + SIDE, left : left + SIDE] for photo in shown]
        pixels = np.hstack(details).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        photonet.write(Photo(pixels), FOLDER / figure, quality=90, overwrite=True)


if __name__ == "__main__":
    main()
