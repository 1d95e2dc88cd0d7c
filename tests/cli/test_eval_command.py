"""`photonet eval`."""

from math import log10
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command, picture, refused, wedge

from photonet.engine import checkpoint
from photonet.tasks import get_task


class TestEval:
    @pytest.fixture
    def clean(self, tmp_path: Path) -> Path:
        """Two pictures so near to middle gray that noise of 25 never reaches black or white."""
        rows, columns = np.mgrid[:64, :80] / 7
        for number in range(2):
            wave = 128 + 12 * np.sin(rows + number) + 8 * np.cos(columns)
            (tmp_path / "clean").mkdir(exist_ok=True)
            Image.fromarray(np.stack([wave, wave + 3, wave - 3], axis=2).astype(np.uint8)).save(
                tmp_path / "clean" / f"{number}.png"
            )
        return tmp_path / "clean"

    def test_methods_and_input(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "25", "--baselines", "--json")
        assert done.code == 0, done.err
        (found,) = done.records
        means = {mean["method"]: mean for mean in found["means"]}
        assert {"input", "unet", "bilateral", "non-local means", "wavelet"} <= means.keys()
        assert means["input"]["psnr"] == pytest.approx(-20 * log10(25 / 255), abs=0.15)  # 20.17 dB
        assert means["wavelet"]["psnr"] > means["input"]["psnr"] + 3
        assert {mean["trial"] for mean in found["means"]} == {"sigma 25"}
        assert all(mean["pictures"] == 2 for mean in means.values())
        assert len(found["rows"]) == 2 * len(means)
        assert found["protocol"] == get_task("denoise").protocol

    def test_same_noise_every_time(self, photonet: Command, clean: Path):
        flags = ["--data", clean, "--sigma", "15", "--precision", "fp32", "--json"]
        first, second = (photonet("eval", "denoise", *flags).records[0] for _ in range(2))
        assert [row["psnr"] for row in first["rows"]] == [row["psnr"] for row in second["rows"]]

    def test_trials(self, photonet: Command, clean: Path):
        flags = ["--sigma", "5,50", "--camera", "--every", "2", "--json"]
        done = photonet("eval", "denoise", "--data", clean, *flags)
        trials = [mean["trial"] for mean in done.records[0]["means"] if mean["method"] == "input"]
        assert trials == ["sigma 5", "sigma 50", "camera weak", "camera middle", "camera strong"]
        assert all(mean["pictures"] == 1 for mean in done.records[0]["means"])

    def test_told(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "50", "--told", "--json")
        figures = next(mean["figures"] for mean in done.records[0]["means"] if mean["method"] == "unet")
        assert set(figures.values()) == {1.0}  # all noise levels were right

    def test_record(self, photonet: Command, clean: Path, small_weights: dict[str, Path], tmp_path: Path):
        weights = tmp_path / "w.safetensors"
        weights.write_bytes(small_weights["unet"].read_bytes())
        flags = ["--data", clean, "--weights", weights, "--record"]
        for sigmas in ("15,25", "25"):
            assert photonet("eval", "denoise", *flags, "--sigma", sigmas).code == 0
        card, tensors = checkpoint.read_tensors(weights)
        assert [(score.dataset, score.condition) for score in card.scores] == [
            ("clean", "sigma 15"),
            ("clean", "sigma 25"),
        ]
        _, before = checkpoint.read_tensors(small_weights["unet"])
        assert all(torch.equal(tensors[name], before[name]) for name in before)

    def test_json_without_infinity(self, photonet: Command, tmp_path: Path):
        picture(tmp_path / "clean" / "tiny.png", 6, 6)
        done = photonet("eval", "denoise", "--data", tmp_path / "clean", "--sigma", "0", "--json")
        assert done.code == 0, done.err
        row = done.records[0]["rows"][0]
        assert (row["method"], row["psnr"], row["ssim"]) == ("input", None, None)

    def test_table(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "25")
        assert done.code == 0
        assert "20.1" in done.out or "20.2" in done.out
        assert get_task("denoise").protocol in done.out

    @pytest.mark.parametrize(
        ("flags", "code", "word"),
        [
            (["--data", "gone"], 2, "gone"),
            (["--data", "."], 3, "no pictures"),
            (["--data", ".", "--sigma", "a"], 2, ""),
        ],
    )
    def test_error(
        self,
        photonet: Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        flags: list[str],
        code: int,
        word: str,
    ):
        monkeypatch.chdir(tmp_path)
        if "--sigma" in flags:
            picture(tmp_path / "a.png")
        done = photonet("eval", "denoise", *flags)
        assert (done.code, done.stdout) == (code, b"")
        assert word in done.err


@pytest.mark.parametrize(
    ("flags", "methods"),
    [
        (["--raw", "--told"], {"input", "raw-unet", "unet, developed"}),
        (["--net", "raw-unet", "--told"], {"input", "raw-unet"}),
        (["--raw", "--told", "--net", "unet"], {"input", "unet", "unet, developed"}),
    ],
)
def test_raw(photonet: Command, tmp_path: Path, flags: list[str], methods: set[str]):
    picture(tmp_path / "data" / "a.png", 64, 96)
    done = photonet("eval", "denoise", "--data", tmp_path / "data", "--json", *flags)
    assert done.code == 0, done.err
    means = done.records[0]["means"]
    assert {mean["method"] for mean in means} >= methods
    assert len({mean["trial"] for mean in means if "RAW" not in mean["trial"]}) == 3
    recorded = [mean for mean in means if "RAW" in mean["trial"]]
    assert {mean["method"] for mean in recorded} == {"input", *(m for m in methods if m == "raw-unet")}
    assert all(mean["ssim"] is None for mean in recorded)


def test_error_names_the_picture(photonet: Command, tmp_path: Path):
    picture(tmp_path / "data" / "tiny.png")
    done = photonet("eval", "denoise", "--data", tmp_path / "data", "--raw")
    refused(done, 2, "tiny.png", "too small")


def test_pairs_of_raw_files(photonet: Command, tmp_path: Path):
    for folder in ("noisy", "clean"):
        (tmp_path / folder).mkdir()
        wedge(tmp_path / folder / "a.dng", noise=(1e-3, 1e-6))
    done = photonet("eval", "denoise", "--pairs", tmp_path / "noisy", tmp_path / "clean", "--json")
    assert done.code == 0, done.err
    assert "raw-unet" in {mean["method"] for mean in done.records[0]["means"]}
