"""Frames of films."""

import cv2
import numpy as np
import pytest

from photonet.errors import InputError
from photonet.io import read_frames

COLORS = [(200, 40, 30), (30, 180, 60), (40, 50, 210), (128, 128, 128)]  # red, green, blue and gray, as RGB


@pytest.fixture
def film(tmp_path):
    """Frames of one color each, 48×64, whose upper half is black."""
    path = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    if not writer.isOpened():
        pytest.skip("OpenCV has no encoder for mp4v")
    for color in COLORS:
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[24:] = color[::-1]  # OpenCV's are BGR
        writer.write(frame)
    writer.release()
    return path


def test_frames(film):
    """In their order, upright, as RGB."""
    frames = list(read_frames(film))
    assert len(frames) == len(COLORS)
    for frame, color in zip(frames, COLORS, strict=True):
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        np.testing.assert_allclose(frame[30:].mean((0, 1)), color, atol=12)
        assert frame[:18].mean() < 12


def test_frames_come_one_by_one(film):
    """Who needs the first only does not wait for the others, and the same film can be read again."""
    frames = read_frames(film)
    first = next(frames)
    frames.close()
    np.testing.assert_array_equal(first, next(iter(read_frames(film))))


@pytest.mark.parametrize("content", [b"", b"no film at all" * 100])
def test_error_no_film(tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"film\.mp4: no film"):
        next(read_frames(path))


def test_error_missing(tmp_path):
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            next(read_frames(path))
