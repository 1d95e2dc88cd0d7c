"""`photonet deblur`, `photonet eval deblur`, `photonet train deblur`: blurred files become sharper ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import SAMPLES, Command, pixels, refused

from photonet.engine import checkpoint

SHIPPED = checkpoint.shipped
SHAKEN, SHARP = SAMPLES / "astronaut-shaken.jpg", SAMPLES / "clean" / "astronaut.png"


@pytest.fixture(autouse=True)
def _trained(monkeypatch: pytest.MonkeyPatch, _shipped: None) -> None:
    """The shipped weights themselves: random ones would sharpen nothing."""
    monkeypatch.setattr(checkpoint, "shipped", SHIPPED)


def error(result: np.ndarray) -> float:
    return float(np.square(result.astype(float) - pixels(SHARP)[..., :3]).mean())


def test_sharper(photonet: Command, tmp_path: Path):
    done = photonet("deblur", SHAKEN, "-o", tmp_path / "out.png", "--compare")
    assert done.code == 0, done.err
    assert error(pixels(tmp_path / "out.png")) < 0.9 * error(pixels(SHAKEN))
    assert (tmp_path / "out-compare.html").exists()


def test_strength(photonet: Command, tmp_path: Path):
    for strength in ("0", "0.5", "1"):
        assert photonet("deblur", SHAKEN, "-o", tmp_path / f"{strength}.png", "--strength", strength).code == 0
    none, half, whole = (pixels(tmp_path / f"{strength}.png").astype(float) for strength in ("0", "0.5", "1"))
    assert np.array_equal(none, pixels(SHAKEN))
    inside = (whole > 0) & (whole < 255)  # elsewhere it was cut after it was blended
    assert np.abs(half - (none + whole) / 2)[inside].max() <= 2
    assert np.abs(whole - none).max() > 20


def test_eval_with_kernels_and_classical_methods(photonet: Command, tmp_path: Path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "clean").mkdir()
    kernel = np.zeros((9, 9), np.uint8)
    kernel[4, 1:8] = 255
    Image.fromarray(kernel).save(tmp_path / "kernels" / "a.png")
    Image.fromarray(kernel.T).save(tmp_path / "kernels" / "b.png")
    shutil.copy(SHARP, tmp_path / "clean")
    flags = ("--data", tmp_path / "clean", "--kernels", tmp_path / "kernels", "--baselines", "--json")
    done = photonet("eval", "deblur", *flags)
    assert done.code == 0, done.err
    found = {(mean["trial"], mean["method"]): mean["psnr"] for mean in done.records[0]["means"]}
    methods = ("input", "unet", "unsharp mask", "Wiener, true kernel", "Richardson-Lucy, true kernel")
    assert found.keys() == {(f"kernel {number}", method) for number in (1, 2) for method in methods}
    for number in (1, 2):
        blurred, net, _, wiener, lucy = (found[f"kernel {number}", method] for method in methods)
        assert net > blurred + 0.5
        assert min(wiener, lucy) > blurred + 1.5


def test_bad_options(photonet: Command, tmp_path: Path):
    data = ("eval", "deblur", "--data", SAMPLES / "clean")
    refused(photonet(*data, "--extent", "5,99"), 2, "--extent")
    refused(photonet(*data, "--extent", "five"), 2, "no list of numbers")
    refused(photonet(*data, "--kernels", tmp_path / "none.mat"), 3, "none.mat")
    refused(photonet("deblur", SHAKEN, "-o", tmp_path / "o.png", "--net", "multiscale"), 4, "multiscale")


def test_train_from_pairs_in_the_layout_of_gopro(photonet: Command, tmp_path: Path):
    for scene in ("GOPR1", "GOPR2"):
        for kind, source in (("blur", SHAKEN), ("sharp", SHARP)):
            folder = tmp_path / "train" / scene / kind
            folder.mkdir(parents=True)
            Image.open(source).convert("RGB").crop((0, 0, 100, 90)).save(folder / "000047.png")
    pairs = ("--pairs", tmp_path / "train" / "*" / "blur", tmp_path / "train" / "*" / "sharp")
    small = ("--set", "steps=2", "--set", "crop=32", "--set", "validation_crop=32", "--set", "config.widths=[8,8,8]")
    done = photonet("train", "deblur", *pairs, *small, "--set", "batch=1", "-o", tmp_path / "run")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "weights.safetensors").exists()
