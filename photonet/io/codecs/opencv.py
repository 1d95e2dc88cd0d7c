"""Decoding with OpenCV: light on memory, and the way to 16-bit RGB that Pillow does not have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def decode(data: bytes, flags: int | None = None) -> np.ndarray | None:
    """Samples as OpenCV decodes them (blue first unless a flag says otherwise), or None where it cannot.

    Args:
        data: the whole file.
        flags: of `cv2.imread`; by default every channel in the stored depth.
    """
    import cv2

    with _quiet(cv2):
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if flags is None else flags)
        except cv2.error:
            return None


def split_bgr(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels H W C, red first, and alpha H W 1 or None, from gray, BGR or BGRA samples. The samples are used up."""
    import cv2

    if samples.ndim == 2:
        return samples[..., None], None
    if samples.shape[2] == 3:
        return cv2.cvtColor(samples, cv2.COLOR_BGR2RGB, dst=samples), None
    return cv2.cvtColor(samples, cv2.COLOR_BGRA2RGB), np.ascontiguousarray(samples[..., 3:])


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """OpenCV prints about damaged files; our caller raises an error that names the file instead."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
