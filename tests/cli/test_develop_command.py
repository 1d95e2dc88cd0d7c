"""`photonet develop`."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from running import Command, picture, pixels, wedge


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return wedge(tmp_path / "wedge.dng")


def test_develop(photonet: Command, raw: Path, tmp_path: Path):
    done = photonet("develop", raw, "-o", f"{tmp_path}/out/")
    assert done.code == 0, done.err
    values = tifffile.imread(tmp_path / "out" / "wedge.tif")
    assert (values.dtype, values.shape) == (np.uint16, (32, 48, 3))
    assert (np.diff(values[16, 4:-4, 1].astype(int)) > 0).all()


def test_options(photonet: Command, raw: Path, tmp_path: Path):
    for name, flags in (("plain", ["--no-curve"]), ("brighter", ["--no-curve", "--exposure", "1"])):
        assert photonet("develop", raw, "-o", tmp_path / f"{name}.jpg", *flags).code == 0
    assert pixels(tmp_path / "brighter.jpg").mean() > 1.2 * pixels(tmp_path / "plain.jpg").mean()


def test_told(photonet: Command, raw: Path, tmp_path: Path):
    for name, flags in (("own", []), ("told", ["--wb", "1,1,3"])):
        assert photonet("develop", raw, "-o", tmp_path / f"{name}.png", "--bit-depth", "8", *flags).code == 0
    own, told = (pixels(tmp_path / f"{name}.png").astype(float) for name in ("own", "told"))
    assert told[..., 2].mean() > own[..., 2].mean() + 20


def test_dry_run(photonet: Command, raw: Path, tmp_path: Path):
    done = photonet("develop", raw, "-o", tmp_path / "a.jpg", "--dry-run", "--json")
    assert done.records == [{"input": str(raw), "output": str(tmp_path / "a.jpg"), "exists": False}]
    assert not (tmp_path / "a.jpg").exists()


def test_error_no_raw_file(photonet: Command, tmp_path: Path):
    done = photonet("develop", picture(tmp_path / "a.png"), "-o", tmp_path / "b.jpg")
    assert done.code == 2
    assert "give a RAW file" in done.err
    assert not (tmp_path / "b.jpg").exists()


def test_headerless(photonet: Command, tmp_path: Path):
    (np.arange(48 * 32, dtype="<u2") * 10).tofile(tmp_path / "a.raw")
    done = photonet("develop", tmp_path / "a.raw", "-o", tmp_path / "a.tif", "--size", "48x32", "--json")
    assert done.code == 0, done.err
    assert any("assumed --cfa RGGB" in warning for warning in done.records[0]["warnings"])
