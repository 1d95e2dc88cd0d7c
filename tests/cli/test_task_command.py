"""`photonet denoise`: an exit code and a message for everything that is wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from running import Command, Done, picture, refused

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card


class TestUsage:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--strength", "2"], ["--strength", "between 0 and 1"]),
            (["--strength", "nan"], ["--strength"]),
            (["--sigma", "abc"], ["sigma", "number"]),
            (["--sigma", "-1"], ["sigma", "between 0 and 255"]),
            (["--sigma", "nan"], ["sigma"]),
            (["--net", "nonet"], ["--net", "nonet", "unet"]),
            (["--net", "noise-level"], ["--net", "noise-level"]),
            (["--tile", "-5"], ["--tile"]),
            (["--tile", "1"], ["--tile", "nearly all border"]),
            (["--max-memory", "-1"], ["--max-memory"]),
            (["--format", "bmp"], ["--format", "png"]),
            (["--device", "toaster"], ["--device", "toaster"]),
            (["--precision", "fp8"], ["--precision", "fp8"]),
            (["--precision", "fp16", "--device", "cpu"], ["--precision"]),
            (["--shard", "3/2"], ["--shard"]),
            (["--jobs", "0"], ["--jobs"]),
            (["--overwrite", "--skip-existing"], ["--overwrite", "--skip-existing"]),
            (["--no-such-flag"], ["--no-such-flag"]),
            (["--metadata", "some"], ["--metadata", "basic"]),
            (["--bit-depth", "12"], ["--bit-depth", "12"]),
            (["--quality", "101"], ["--quality", "101"]),
        ],
        ids=lambda value: " ".join(value),
    )
    def test_wrong_flag(self, photonet: Command, photo: Path, tmp_path: Path, flags: list[str], words: list[str]):
        refused(photonet("denoise", photo, "-o", tmp_path / "out.png", *flags), 2, *words)
        assert not (tmp_path / "out.png").exists()

    def test_output_exists(self, photonet: Command, photo: Path, tmp_path: Path):
        (tmp_path / "out.png").write_text("precious")
        refused(photonet("denoise", photo, "-o", tmp_path / "out.png"), 2, "out.png", "exists", "--overwrite")
        assert (tmp_path / "out.png").read_text() == "precious"

    def test_input_as_output(self, photonet: Command, photo: Path, tmp_path: Path):
        before = photo.read_bytes()
        for out in (photo, f"{tmp_path}/", "{dir}/{stem}{ext}"):
            refused(photonet("denoise", photo, "-o", out, "--overwrite"), 2, "photo.png", "replace an input")
        assert photo.read_bytes() == before

    def test_file_where_a_folder_should_be(
        self, photonet: Command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "file").touch()
        monkeypatch.setattr("photonet_cli.files.read", lambda path, told: pytest.fail("was read"))
        refused(photonet("denoise", photo, "-o", f"{tmp_path}/file/"), 2, "file", "should be a folder")

    def test_one_file_for_several(self, photonet: Command, photo: Path, tmp_path: Path):
        other = picture(tmp_path / "other.png")
        refused(photonet("denoise", photo, other, "-o", tmp_path / "out.png"), 2, "-o", "out.png", "folder")

    @pytest.mark.parametrize("template", ["{dir}/{name}.png", "{}.png", "{stem", "{stem.x}.png", "{stem[x]}.png"])
    def test_wrong_template(self, photonet: Command, photo: Path, template: str):
        refused(photonet("denoise", photo, "-o", template), 2, "template", "{stem}")

    def test_output_without_format(self, photonet: Command, photo: Path, tmp_path: Path):
        refused(photonet("denoise", photo, "-o", tmp_path / "out.xyz"), 2, ".xyz")

    def test_nothing_given(self, photonet: Command, tmp_path: Path):
        refused(photonet("denoise", "-o", tmp_path), 2, "IN")

    def test_unknown_command_suggests(self, photonet: Command):
        refused(photonet("denoize", "x"), 2, "denoize", "Did you mean 'denoise'")

    def test_noise_level_for_a_blind_network(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "o.png", "--net", "dncnn-color", "--sigma", "9")
        refused(done, 2, "--sigma", "unet")

    def test_color_for_a_gray_network(self, photonet: Command, photo: Path, tmp_path: Path):
        refused(photonet("denoise", photo, "-o", tmp_path / "o.png", "--net", "dncnn-gray"), 2, "photo.png", "gray")


class TestInput:
    def test_missing(self, photonet: Command, tmp_path: Path):
        refused(photonet("denoise", tmp_path / "gone.png", "-o", tmp_path / "o.png"), 3, "gone.png", "does not exist")

    def test_glob_without_match(self, photonet: Command, tmp_path: Path):
        refused(photonet("denoise", tmp_path / "*.png", "-o", tmp_path / "out"), 3, "*.png", "nothing matches")

    def test_folder_without_pictures(self, photonet: Command, tmp_path: Path):
        picture(tmp_path / "in" / "below" / "a.png")
        refused(photonet("denoise", tmp_path / "in", "-o", tmp_path / "out"), 3, "no pictures", "--recursive")
        assert not (tmp_path / "out").exists()

    def test_damaged(self, photonet: Command, tmp_path: Path):
        (tmp_path / "a.jpg").write_bytes(picture(tmp_path / "b.jpg").read_bytes()[:500])
        refused(photonet("denoise", tmp_path / "a.jpg", "-o", tmp_path / "o.jpg"), 3, "a.jpg", "damaged")

    def test_not_finite(self, photonet: Command, tmp_path: Path):
        values = np.full((20, 30, 3), 0.5, np.float32)
        values[3, 4] = np.nan
        tifffile.imwrite(tmp_path / "a.tif", values)
        refused(photonet("denoise", tmp_path / "a.tif", "-o", tmp_path / "o.tif"), 3, "a.tif", "NaN")
        assert not (tmp_path / "o.tif").exists()

    def test_stdin(self, photonet: Command):
        refused(photonet("denoise", "-", "-o", "-", "--format", "png", stdin=b"no picture"), 3, "stdin")


class TestWeights:
    def run(self, photonet: Command, photo: Path, weights: object, *flags: str) -> Done:
        return photonet("denoise", photo, "-o", photo.with_name("out.png"), "--weights", weights, *flags)

    def test_missing(self, photonet: Command, photo: Path):
        refused(self.run(photonet, photo, "gone.safetensors"), 4, "gone.safetensors", "denoise-unet")

    @pytest.mark.usefixtures("no_weights")
    def test_none_installed(self, photonet: Command, photo: Path):
        refused(
            photonet("denoise", photo, "-o", photo.with_name("out.png")), 4, "denoise-unet", "no weights are installed"
        )

    @pytest.mark.usefixtures("no_weights")
    def test_none_installed_said_once(self, photonet: Command, photo: Path, tmp_path: Path):
        for number in range(3):
            picture(tmp_path / "in" / f"{number}.png")
        done = photonet("denoise", tmp_path / "in", "-o", tmp_path / "out")
        refused(done, 4, "denoise-unet")
        assert done.err.count("denoise-unet") == 1

    def test_cut_short(self, photonet: Command, photo: Path, tmp_path: Path, small_weights: dict[str, Path]):
        (tmp_path / "cut.safetensors").write_bytes(small_weights["unet"].read_bytes()[:-1000])
        refused(self.run(photonet, photo, tmp_path / "cut.safetensors"), 4, "cut.safetensors", "damaged")

    def test_tampered(self, photonet: Command, photo: Path, tmp_path: Path, small_weights: dict[str, Path]):
        content = bytearray(small_weights["unet"].read_bytes())
        content[-9] ^= 1
        (tmp_path / "changed.safetensors").write_bytes(content)
        refused(self.run(photonet, photo, tmp_path / "changed.safetensors"), 4, "changed.safetensors", "digest")

    def test_no_safetensors(self, photonet: Command, photo: Path):
        refused(self.run(photonet, photo, photo), 4, "photo.png", "not a safetensors file")

    def test_other_task(self, photonet: Command, photo: Path, tmp_path: Path, small_weights: dict[str, Path]):
        _, tensors = checkpoint.read_tensors(small_weights["unet"])
        checkpoint.save(tmp_path / "w.safetensors", Card(task="deblur", network="unet"), tensors)
        refused(self.run(photonet, photo, tmp_path / "w.safetensors"), 4, "w.safetensors", "deblur", "denoise")

    def test_other_shape(self, photonet: Command, photo: Path, tmp_path: Path, small_weights: dict[str, Path]):
        card, tensors = checkpoint.read_tensors(small_weights["unet"])
        wrong = card.model_copy(update={"config": {"widths": (8, 9), "blocks": (1, 1)}})
        checkpoint.save(tmp_path / "w.safetensors", wrong, tensors)
        refused(self.run(photonet, photo, tmp_path / "w.safetensors"), 4, "w.safetensors", "does not fit")

    def test_other_network(self, photonet: Command, photo: Path, small_weights: dict[str, Path]):
        refused(self.run(photonet, photo, small_weights["dncnn-color"], "--net", "unet"), 4, "dncnn-color", "unet")

    def test_named_weights_choose_the_network(
        self, photonet: Command, photo: Path, small_weights: dict[str, Path], tmp_path: Path
    ):
        done = self.run(photonet, photo, small_weights["dncnn-color"], "--json")
        assert done.code == 0
        assert done.records[0]["network"] == "dncnn-color"
        card = checkpoint.read_card(small_weights["dncnn-color"])
        assert (done.records[0]["schema"], done.records[0]["weights"]) == (1, card.digest[:16])

    def test_not_finite(self, photonet: Command, photo: Path, tmp_path: Path, small_weights: dict[str, Path]):
        card, tensors = checkpoint.read_tensors(small_weights["unet"])
        tensors["unet.tail.bias"][:] = float("inf")
        checkpoint.save(tmp_path / "w.safetensors", card, tensors)
        done = self.run(photonet, photo, tmp_path / "w.safetensors")
        assert done.code not in (0, 2)
        assert "not finite" in done.err
        assert not photo.with_name("out.png").exists()


def test_missing_device(photonet: Command, photo: Path, tmp_path: Path):
    refused(photonet("denoise", photo, "-o", tmp_path / "o.png", "--device", "cuda:7"), 5, "cuda:7", "--device cpu")


def test_some_failed(photonet: Command, tmp_path: Path):
    for number in range(3):
        picture(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "1.png").write_text("no picture")
    refused(photonet("denoise", tmp_path / "in", "-o", tmp_path / "out"), 1, "1.png", "2 done, 1 failed")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["0.png", "2.png"]


def test_a_missing_name_stops_no_other(photonet: Command, photo: Path, tmp_path: Path):
    names = tmp_path / "names.txt"
    names.write_text(f"{tmp_path}/gone.jpg\n{photo}\n")
    done = photonet("denoise", "--from-file", names, "-o", f"{tmp_path}/out/", "--json")
    assert (done.code, [record["status"] for record in done.records]) == (1, ["failed", "done"])


def test_a_pipe_by_name_is_refused(photonet: Command, photo: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(photonet("denoise", tmp_path / "pipe.jpg", "-o", tmp_path / "out.png"), 3, "pipe.jpg")


def test_a_name_that_is_too_long(photonet: Command, photo: Path, tmp_path: Path):
    done = photonet("denoise", photo, "-o", tmp_path / ("x" * 300 + ".png"))
    assert done.code == 1
    assert "too long" in done.err
    assert "fault" not in done.err


def test_fail_fast(photonet: Command, tmp_path: Path):
    for number in range(4):
        picture(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "0.png").write_text("no picture")
    refused(photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", "--fail-fast"), 1, "0.png")
    assert not (tmp_path / "out").exists()


def test_verbose_shows_where(photonet: Command, tmp_path: Path):
    picture(tmp_path / "a.png").write_text("no picture")
    done = photonet("denoise", tmp_path / "a.png", "-o", tmp_path / "o.png", "-vv")
    assert done.code == 3
    assert "Traceback" in done.err
    assert "reading.py" in done.err
