"""`photonet burst`: several files become one; classical methods need no weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import SAMPLES, Command, pixels, refused

from photonet.color import ColorState
from photonet.io import read

AVERAGE = ("--method", "average")


def frames(folder: Path, count: int = 3, size: tuple[int, int] = (90, 70)) -> list[Path]:
    """Cuts of a sample, each some pixels further right, with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    whole = np.asarray(Image.open(SAMPLES / "clean" / "astronaut.png").convert("RGB"), float)
    paths = [folder / f"f{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        left = 150 + 2 * number
        cut = whole[100 : 100 + size[1], left : left + size[0]]
        Image.fromarray((cut + rng.normal(0, 8, cut.shape)).clip(0, 255).astype(np.uint8)).save(path)
    return paths


def test_files_become_one(photonet: Command, tmp_path: Path):
    done = photonet("burst", *frames(tmp_path / "in"), "-o", tmp_path / "out.png", *AVERAGE, "--reference", "0")
    assert done.code == 0, done.err
    assert "reference f0.png, frames 3, shifts [2.0, 4.0]" in done.err
    clean = np.asarray(Image.open(SAMPLES / "clean" / "astronaut.png").convert("RGB"), float)[100:170, 150:240]
    noisy, result = (pixels(path).astype(float) for path in (tmp_path / "in" / "f0.png", tmp_path / "out.png"))
    assert np.square(result - clean)[:, 6:-6].mean() < 0.5 * np.square(noisy - clean)[:, 6:-6].mean()


def test_a_folder_is_a_burst(photonet: Command, tmp_path: Path):
    frames(tmp_path / "night")
    assert photonet("burst", tmp_path / "night", "-o", tmp_path / "one.png", *AVERAGE).code == 0
    assert photonet("burst", tmp_path / "night", "-o", tmp_path / "out/", *AVERAGE).code == 0
    assert np.array_equal(pixels(tmp_path / "one.png"), pixels(tmp_path / "out" / "night.png"))


def test_a_folder_of_folders(photonet: Command, tmp_path: Path):
    for name in ("a", "b", "deep/c"):
        frames(tmp_path / "in" / name)
    frames(tmp_path / "in" / "alone", 1)
    done = photonet("burst", tmp_path / "in", "-o", tmp_path / "out/", *AVERAGE, "--json")
    assert done.code == 1
    found = {record["output"]: record["code"] for record in done.records}
    made = {"a.png": 0, "b.png": 0, "deep/c.png": 0, "alone/f0.png": 2}
    assert found == {str(tmp_path / "out" / name): code for name, code in made.items()}
    assert all((tmp_path / "out" / name).exists() == (code == 0) for name, code in made.items())


def test_bad_bursts(photonet: Command, tmp_path: Path):
    good, out = frames(tmp_path / "in"), ("-o", tmp_path / "out.png")
    small = frames(tmp_path / "small", 1, (80, 70))[0].rename(tmp_path / "small.png")
    refused(photonet("burst", good[0], *out, *AVERAGE), 2, "takes 2 to 32 pictures, not 1")
    refused(photonet("burst", *good, small, *out, *AVERAGE), 3, "small.png", "80×70", "90×70")
    refused(photonet("burst", *good, tmp_path / "no.png", *out, *AVERAGE), 3, "no.png")
    refused(photonet("burst", *good, *out, *AVERAGE, "--reference", "x.png"), 2, "--reference")
    refused(photonet("burst", *good, *out, *AVERAGE, "--noise", "1"), 2, "SHOT,READ")
    refused(photonet("burst", *good, "-o", good[0], *AVERAGE, "--overwrite"), 2)
    assert not (tmp_path / "out.png").exists()


def test_too_many_files_are_not_read(photonet: Command, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(33):
        (folder / f"{number}.png").write_bytes(b"no picture")
    refused(photonet("burst", folder, "-o", tmp_path / "out.png", *AVERAGE), 2, "at most 32 pictures", "not 33")


def test_no_weights_are_needed_for_classical_methods(photonet: Command, no_weights: None, tmp_path: Path):
    good = frames(tmp_path / "in")
    assert photonet("burst", *good, "-o", tmp_path / "out.png", "--method", "hdrplus").code == 0
    refused(photonet("burst", *good, "-o", tmp_path / "b.png"), 4, "burst-fusion")


def test_compared_with_the_reference(photonet: Command, tmp_path: Path):
    good = frames(tmp_path / "in")
    done = photonet("burst", *good, "-o", tmp_path / "out.png", *AVERAGE, "--reference", "f2.png", "--compare")
    assert done.code == 0, done.err
    page = (tmp_path / "out-compare.html").read_text()
    assert "f2.png" in page
    assert "f0.png" not in page


def test_dry_run(photonet: Command, tmp_path: Path):
    frames(tmp_path / "in")
    done = photonet("burst", tmp_path / "in", "-o", tmp_path / "out/", "--dry-run", "--json", *AVERAGE)
    assert done.code == 0, done.err
    assert done.records[0]["output"] == str(tmp_path / "out" / "in.png")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["average", "hdrplus"])
def test_raw_becomes_dng(photonet: Command, tmp_path: Path, method: str):
    for number, path in enumerate(frames(tmp_path / "in", 2)):
        light = pixels(path).astype(np.float32).mean(2, keepdims=True) / 255
        _write_mosaic(light, tmp_path / "raw" / f"{number}.dng")
    done = photonet("burst", tmp_path / "raw", "-o", tmp_path / "out/", "--method", method)
    assert done.code == 0, done.err
    assert read(tmp_path / "out" / "raw.dng").state == ColorState.MOSAIC


def _write_mosaic(light: np.ndarray, path: Path) -> None:
    from photonet.camera.mosaic import BAYER
    from photonet.io import write
    from photonet.photo import Photo, Sensor

    path.parent.mkdir(exist_ok=True)
    sensor = Sensor(BAYER["RGGB"], np.zeros((2, 2)), 1.0, (2.0, 1.0, 1.5), np.linalg.inv(np.eye(3) * 0.9 + 0.03))
    write(Photo(light, ColorState.MOSAIC, sensor=sensor), path)
