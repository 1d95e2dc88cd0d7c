"""DNGs in programs that share no code with photonet or LibRaw; `apt-get install dcraw libimage-exiftool-perl`."""

import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which

import cv2
import numpy as np
import pytest
from test_dng import PHASES, mosaic, sensor

from photonet.color import ColorState
from photonet.io import write
from photonet.photo import Photo

BLACK, WHITE = 2048, 62000  # of the files


def output(*command: str | Path) -> bytes:
    """What a program prints."""
    return subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout


def dcraw(path: Path, *flags: str) -> np.ndarray:
    """16-bit values, H W or H W 3, that dcraw makes of a file."""
    data = np.frombuffer(output("dcraw", "-c", "-4", "-t", "0", *flags, path), np.uint8)
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED).astype(float)
    return values if values.ndim == 2 else values[..., ::-1]


@pytest.fixture(params=["RGGB", "GBRG", "linear"])
def photo(request: pytest.FixtureRequest) -> Photo:
    """A mosaic, or camera RGB."""
    if request.param in PHASES:
        return mosaic(letters=request.param)
    return Photo(np.random.default_rng(0).random((32, 48, 3), np.float32), ColorState.CAMERA, sensor=sensor())


@pytest.mark.skipif(which("dcraw") is None, reason="dcraw is not installed")
@pytest.mark.parametrize("letters", PHASES)
def test_dcraw_reads_the_same_values(letters: str, tmp_path: Path):
    photo = mosaic(letters=letters)
    write(photo, tmp_path / "a.dng")
    values = (dcraw(tmp_path / "a.dng", "-D") - BLACK) / (WHITE - BLACK)
    np.testing.assert_allclose(values, photo.pixels[..., 0], atol=1e-5)


@pytest.mark.skipif(which("dcraw") is None, reason="dcraw is not installed")
def test_dcraw_develops_the_same_picture(photo: Photo, tmp_path: Path):
    """Gray of the scene is gray, and white is white, by the white balance and the matrix of the file."""
    gains = np.array(photo.sensor.white_balance, np.float32)
    cfa = photo.sensor.cfa
    flat = np.tile(0.3 / gains[cfa], (15, 22))[..., None] if photo.state == ColorState.MOSAIC else 0.3 / gains
    write(replace(photo, pixels=np.broadcast_to(flat, photo.pixels.shape).copy()), tmp_path / "a.dng")
    shown = dcraw(tmp_path / "a.dng", "-w", "-W", "-g", "1", "1")
    assert shown[5, 5].tolist() == pytest.approx([0.3 * 65535] * 3, rel=0.01)


@pytest.mark.skipif(which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_finds_no_fault(photo: Photo, tmp_path: Path):
    write(photo, tmp_path / "a.dng")
    report = output("exiftool", "-validate", "-warning", "-error", "-a", tmp_path / "a.dng").decode()
    assert [line.split(":")[1].strip() for line in report.splitlines()] == ["OK"]
