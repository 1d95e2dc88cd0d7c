"""Blur kernels that were measured."""

from pathlib import Path

import numpy as np

from photonet.errors import InputError, PhotonetError, UsageError
from photonet.io.formats import READABLE_SUFFIXES
from photonet.io.reading import read

LARGEST = 255  # pixels per side


def read_kernels(path: Path) -> list[np.ndarray]:
    """Kernels h w, float32, of sum 1, in their order.

    Args:
        path: a MATLAB file (version 7.3) whose variable `kernels` is a cell array of matrices; a picture; or a folder
            of pictures, whose brightness is the kernel.

    Raises:
        InputError: it holds no kernels.
        UsageError: h5py is not installed.
    """
    if path.suffix.lower() == ".mat":
        kernels = _read_mat(path)
    elif path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in READABLE_SUFFIXES)
        kernels = [read(file).pixels.mean(2) for file in files]
    else:
        kernels = [read(path).pixels.mean(2)]
    for kernel in kernels:
        good = kernel.ndim == 2 and max(kernel.shape) <= LARGEST and np.isfinite(kernel).all() and kernel.min() >= 0
        if not good or not kernel.sum() > 0:
            raise InputError("is no blur kernel", path, f"at most {LARGEST} pixels per side, none below 0, not all 0")
    if not kernels:
        raise InputError("holds no kernels", path)
    return [(kernel / kernel.sum()).astype(np.float32) for kernel in kernels]


def _read_mat(path: Path) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise UsageError("h5py is needed for .mat files", path, 'pip install "photonet[import]"') from None
    try:
        with h5py.File(path) as file:
            cells = np.asarray(file["kernels"]).ravel(order="F")
            return [np.asarray(file[cell], np.float64).T for cell in cells]  # MATLAB stores columns first
    except PhotonetError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"cannot be read ({error})", path, "a .mat of version 7.3 with a cell array `kernels`"
        ) from error
