"""Blur kernels that were measured."""

from pathlib import Path

import numpy as np

from photonet.errors import InputError, UsageError
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
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in READABLE_SUFFIXES)
        kernels = [_checked(read(file).pixels.mean(2), file) for file in files]
    elif path.suffix.lower() == ".mat":
        kernels = [_checked(kernel, path, number) for number, kernel in enumerate(_read_mat(path), 1)]
    else:
        kernels = [_checked(read(path).pixels.mean(2), path)]
    if not kernels:
        raise InputError("holds no kernels", path)
    return kernels


def _checked(kernel: np.ndarray, path: Path, number: int = 0) -> np.ndarray:
    wrong = _wrong(kernel)
    if wrong:
        what = f"number {number} is no blur kernel" if number else "is no blur kernel"
        raise InputError(f"{what}: {wrong}", path)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _wrong(kernel: np.ndarray) -> str:
    """What keeps values from being a kernel."""
    if kernel.ndim != 2 or not kernel.size:
        return "it is no matrix"
    if max(kernel.shape) > LARGEST:
        return f"it has {kernel.shape[1]}×{kernel.shape[0]} pixels, and {LARGEST} per side are the most"
    if not np.isfinite(kernel).all() or kernel.min() < 0:
        return "some of it is below 0 or no number"
    return "" if kernel.sum() > 0 else "all of it is 0"


def _read_mat(path: Path) -> list[np.ndarray]:
    if not path.is_file():
        raise InputError("no such file", path)
    try:
        import h5py
    except ImportError:
        raise UsageError("h5py is needed for .mat files", path, "pip install h5py") from None
    try:
        with h5py.File(path) as file:
            cells = np.asarray(file["kernels"]).ravel()  # MATLAB stores columns first: of cells that is their order
            return [np.asarray(file[cell], np.float64).T for cell in cells]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"cannot be read ({error})", path, "a .mat of version 7.3 with a cell array `kernels`"
        ) from error
