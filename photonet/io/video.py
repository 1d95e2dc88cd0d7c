"""Frames of a film."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from photonet.errors import InputError

FILM_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Frames H W 3, uint8, one after another.

    Raises:
        InputError: it has none that can be read.
    """
    if not path.is_file():
        raise InputError("no such file", path)
    import cv2  # the command line answers without it

    film, count = cv2.VideoCapture(str(path)), 0
    try:
        while True:
            found, frame = film.read()
            if not found:
                break
            count += 1
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        film.release()
    if not count:
        raise InputError("no film, or in a format that OpenCV cannot read", path)
