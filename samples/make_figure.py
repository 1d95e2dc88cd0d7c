"""The README's picture: a detail of a noisy sample beside what `photonet denoise` makes of it, twice enlarged.

python samples/make_figure.py
"""

from pathlib import Path

import numpy as np

import photonet
from photonet.photo import Photo

FOLDER = Path(__file__).parent
TOP, LEFT, SIDE = 40, 110, 210  # the cat's eyes
ENLARGED = 2


def main() -> None:
    """Write `cat-before-after.jpg`."""
    noisy = photonet.read(FOLDER / "cat-noisy.jpg")
    clean = photonet.run("denoise", noisy)
    details = [photo.pixels[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for photo in (noisy, clean)]
    figure = np.hstack(details).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
    photonet.write(Photo(figure), FOLDER / "cat-before-after.jpg", quality=90, overwrite=True)


if __name__ == "__main__":
    main()
