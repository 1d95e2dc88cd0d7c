"""`photonet denoise`: flags, outputs, JSON, metadata, and an exit code and a message for everything that is wrong."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from running import SAMPLES, Command, Done, picture, pixels

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.errors import InputError


def refused(done: Done, code: int, *words: object) -> None:
    """The command failed as it should: its code, a message that names what is wrong, and nothing on stdout."""
    assert done.code == code, done.err
    assert done.stdout == b""
    text = " ".join(done.err.replace("│", " ").split())
    assert [word for word in map(str, words) if word not in text] == [], text
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err


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
            (["--quality", "101", "--format", "jpeg"], ["--quality", "101"]),
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
        monkeypatch.setattr("photonet.engine.batch.read", lambda path: pytest.fail("was read"))
        refused(photonet("denoise", photo, "-o", f"{tmp_path}/file/"), 1, "file", "should be a folder")

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
        refused(photonet("denoise", tmp_path / "gone.png", "-o", tmp_path / "o.png"), 3, "gone.png", "no such file")

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
        refused(photonet("denoise", photo, "-o", photo.with_name("out.png")), 4, "denoise-unet", "none are installed")

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


class TestOutput:
    def test_words_go_to_stderr(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "out.png")
        assert done.code == 0
        assert done.stdout == b""
        assert f"{photo} -> {tmp_path / 'out.png'}" in done.err
        assert "noise" in done.err

    def test_quiet(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "out.png", "--quiet")
        assert (done.code, done.stdout, done.err) == (0, b"", "")

    def test_warnings(self, photonet: Command, tmp_path: Path):
        Image.new("RGBA", (40, 30), (90, 80, 70, 60)).save(tmp_path / "a.png")
        done = photonet("denoise", tmp_path / "a.png", "-o", tmp_path / "a.jpg")
        assert "jpeg has no alpha: dropped" in done.err
        flags = ["--overwrite", "--quiet"]
        assert photonet("denoise", tmp_path / "a.png", "-o", tmp_path / "a.jpg", *flags).err == ""
        piped = ["denoise", "-", "-o", "-", "--format", "jpeg"]
        done = photonet(*piped, stdin=(tmp_path / "a.png").read_bytes())
        assert "jpeg has no alpha: dropped" in done.err
        assert photonet(*piped, "--quiet", stdin=(tmp_path / "a.png").read_bytes()).err == ""

    def test_no_bar_without_a_terminal(
        self, photonet: Command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("photonet_cli.console.PATIENCE_S", 0)
        done = photonet("denoise", photo, "-o", tmp_path / "out.png", "--tile", "16")
        assert done.code == 0
        assert not set("\x1b\r━") & set(done.err)
        assert len(done.err.splitlines()) == 1

    def test_tile_changes_nothing(self, photonet: Command, photo: Path, tmp_path: Path):
        for tile in ("16", "4096"):
            flags = ["--tile", tile, "--precision", "fp32", "--sigma", "20"]
            assert photonet("denoise", photo, "-o", tmp_path / f"{tile}.png", *flags).code == 0
        assert np.array_equal(pixels(tmp_path / "16.png"), pixels(tmp_path / "4096.png"))

    @pytest.mark.parametrize(
        ("flags", "name", "dtype"),
        [
            (["--format", "jpeg"], "photo.jpg", "uint8"),
            (["--format", "tiff", "--bit-depth", "16"], "photo.tif", "uint16"),
            (["--format", "tiff", "--bit-depth", "32"], "photo.tif", "float32"),
            (["--bit-depth", "16"], "photo.png", "uint16"),
            (["--format", "webp"], "photo.webp", "uint8"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else value,
    )
    def test_format(self, photonet: Command, photo: Path, tmp_path: Path, flags: list[str], name: str, dtype: str):
        assert photonet("denoise", photo, "-o", f"{tmp_path}/out/", *flags).code == 0
        found = photonet("info", tmp_path / "out" / name, "--json").records[0]
        assert (found["depth"], found["size"]) == (dtype, "56×40")

    def test_quality(self, photonet: Command, photo: Path, tmp_path: Path):
        sizes = []
        for quality in (20, 95):
            photonet("denoise", photo, "-o", tmp_path / f"{quality}.jpg", "--quality", quality)
            sizes.append((tmp_path / f"{quality}.jpg").stat().st_size)
        assert sizes[0] < 0.6 * sizes[1]

    def test_template(self, photonet: Command, photo: Path, tmp_path: Path):
        assert photonet("denoise", photo, "-o", "{dir}/{stem}_{task}{ext}").code == 0
        assert (tmp_path / "photo_denoise.png").exists()

    def test_glob_and_folders(self, photonet: Command, tmp_path: Path):
        for name in ("a.png", "b.png", "c.jpg"):
            picture(tmp_path / "in" / name)
        assert photonet("denoise", tmp_path / "in" / "*.png", "-o", tmp_path / "out").code == 0
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]

    def test_name_with_brackets(self, photonet: Command, tmp_path: Path):
        source = picture(tmp_path / "a [bold] [1].png")
        done = photonet("denoise", source, "-o", tmp_path / "out.png")
        assert done.code == 0
        assert "a [bold] [1].png" in done.err

    def test_skip_existing(self, photonet: Command, tmp_path: Path):
        for name in "ab":
            picture(tmp_path / "in" / f"{name}.png")
        assert photonet("denoise", tmp_path / "in", "-o", tmp_path / "out").code == 0
        (tmp_path / "out" / "b.png").unlink()
        before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
        done = photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", "--skip-existing", "--json")
        assert [(Path(r["output"]).name, r["status"]) for r in done.records] == [
            ("a.png", "skipped"),
            ("b.png", "done"),
        ]
        assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("net", ["unet", "dncnn-color"])
@pytest.mark.parametrize("name", ["a.png", "gray.png", "deep.tif", "alpha.png"])
def test_strength_zero_is_the_input(photonet: Command, tmp_path: Path, net: str, name: str):
    color = picture(tmp_path / "a.png")
    Image.open(color).convert("L").save(tmp_path / "gray.png")
    Image.open(color).convert("RGBA").save(tmp_path / "alpha.png")
    tifffile.imwrite(tmp_path / "deep.tif", np.random.default_rng(0).integers(0, 65535, (20, 30, 3), np.uint16))
    out = tmp_path / f"out{Path(name).suffix}"
    assert photonet("denoise", tmp_path / name, "-o", out, "--strength", "0", "--net", net).code == 0
    load = tifffile.imread if name == "deep.tif" else pixels
    assert np.array_equal(load(out), load(tmp_path / name))


def test_strength_is_a_share(photonet: Command, photo: Path, tmp_path: Path):
    results = []
    for strength in (0.0, 0.5, 1.0):
        out = tmp_path / f"{strength}.tif"
        flags = ["--strength", strength, "--bit-depth", 32, "--precision", "fp32", "--sigma", 30]
        assert photonet("denoise", photo, "-o", out, *flags).code == 0
        results.append(tifffile.imread(out))
    assert np.abs(results[2] - results[0]).max() > 0.01
    np.testing.assert_allclose(results[1], (results[0] + results[2]) / 2, atol=1e-6)


class TestJson:
    def test_one_object_for_each_file(self, photonet: Command, tmp_path: Path):
        for name in ("a.png", "b.jpg", "c.png"):
            picture(tmp_path / "in" / name)
        (tmp_path / "in" / "c.png").write_text("no picture")
        done = photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", "--json")
        assert done.code == 1
        first, second, third = done.records
        for record, name in ((first, "a.png"), (second, "b.jpg"), (third, "c.png")):
            assert record["schema"] == 1
            assert record["inputs"] == [str(tmp_path / "in" / name)]
            assert record["output"] == str(tmp_path / "out" / name)
        assert (first["status"], first["network"], first["error"], first["code"]) == ("done", "unet", None, 0)
        assert first["seconds"] > 0
        assert 0 < first["noise"] < 255
        assert (third["status"], third["code"]) == ("failed", 3)
        assert "c.png" in third["error"]

    def test_warnings(self, photonet: Command, tmp_path: Path):
        Image.new("RGBA", (20, 15), (1, 2, 3, 4)).save(tmp_path / "a.png")
        done = photonet("denoise", tmp_path / "a.png", "-o", tmp_path / "a.jpg", "--json")
        assert any("alpha" in warning for warning in done.records[0]["warnings"])

    def test_told_noise(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "o.png", "--json", "--sigma", "12.5")
        assert done.records[0]["noise"] == 12.5


class TestDryRun:
    def test_writes_nothing(self, photonet: Command, tmp_path: Path):
        for name in ("a.png", "x/b.png"):
            picture(tmp_path / "in" / name, 300, 40)
        (tmp_path / "in" / "broken.png").write_text("no picture")
        before = sorted(tmp_path.rglob("*"))
        flags = ["--dry-run", "--json", "-r", "--tile", "128"]
        done = photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", *flags)
        assert done.code == 0
        assert sorted(tmp_path.rglob("*")) == before
        records = {Path(record["input"]).name: record for record in done.records}
        assert records["b.png"]["output"] == str(tmp_path / "out" / "x" / "b.png")
        assert records["a.png"]["size"] == [40, 300]
        assert records["a.png"]["tiles"] == 3
        assert records["a.png"]["exists"] is False
        assert "broken.png" in records["broken.png"]["error"]

    def test_for_people(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "out.png", "--dry-run")
        assert done.code == 0
        assert str(photo) in done.out
        assert str(tmp_path / "out.png") in done.out


class TestPipe:
    def test_picture_through(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", "-", "-o", "-", "--format", "png", stdin=photo.read_bytes())
        assert (done.code, done.err) == (0, "")
        photonet("denoise", photo, "-o", tmp_path / "file.png")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(done.stdout))), pixels(tmp_path / "file.png"))

    def test_more_bits_than_the_input(self, photonet: Command, photo: Path):
        flags = ["--format", "tiff", "--bit-depth", "16"]
        done = photonet("denoise", "-", "-o", "-", *flags, stdin=photo.read_bytes())
        result = tifffile.imread(io.BytesIO(done.stdout))
        assert result.dtype == np.uint16
        assert (result % 257 != 0).any()

    def test_needs_a_format(self, photonet: Command, photo: Path):
        refused(photonet("denoise", "-", "-o", "-", stdin=photo.read_bytes()), 2, "--format")

    @pytest.mark.parametrize("flag", ["--json", "--dry-run", "--compare"])
    def test_stdout_is_for_the_picture(self, photonet: Command, photo: Path, flag: str):
        done = photonet("denoise", "-", "-o", "-", "--format", "png", flag, stdin=photo.read_bytes())
        refused(done, 2, flag)

    def test_not_beside_files(self, photonet: Command, photo: Path):
        refused(photonet("denoise", "-", photo, "-o", "-", "--format", "png"), 2, "-")


class TestMetadata:
    @pytest.fixture
    def tagged(self, tmp_path: Path) -> Path:
        """A JPEG on its side, with camera, place and a color profile."""
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "Canonet", 6
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.5)})
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        return picture(tmp_path / "tagged.jpg", exif=exif, icc_profile=icc, quality=95)

    def test_survives(self, photonet: Command, tagged: Path, tmp_path: Path):
        assert photonet("denoise", tagged, "-o", tmp_path / "out.jpg").code == 0
        with Image.open(tagged) as before, Image.open(tmp_path / "out.jpg") as after:
            assert after.size == before.size[::-1]  # upright now
            assert after.getexif()[0x010F] == "Canonet"
            assert after.getexif().get(0x0112, 1) == 1
            assert after.getexif().get_ifd(0x8825)[1] == "N"
            assert after.info["icc_profile"] == before.info["icc_profile"]

    @pytest.mark.parametrize(("keep", "camera"), [("basic", "Canonet"), ("none", None)])
    def test_left_out(self, photonet: Command, tagged: Path, tmp_path: Path, keep: str, camera: str | None):
        assert photonet("denoise", tagged, "-o", tmp_path / "out.jpg", "--metadata", keep).code == 0
        with Image.open(tmp_path / "out.jpg") as after:
            assert after.getexif().get(0x010F) == camera
            assert not after.getexif().get_ifd(0x8825)
            assert "icc_profile" in after.info


class TestCompare:
    def test_one_picture(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "out" / "a.png", "--compare")
        assert done.code == 0
        page = (tmp_path / "out" / "a-compare.html").read_text()
        assert "photo.png" in page
        assert "a-compare.html" in done.err

    def test_folder(self, photonet: Command, tmp_path: Path):
        for name in ("a.png", "b.png", "c.png"):
            picture(tmp_path / "in" / name)
        (tmp_path / "in" / "c.png").write_text("no picture")
        assert photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", "--compare").code == 1
        page = (tmp_path / "out" / "denoise-compare.html").read_text()
        assert "a.png" in page
        assert "b.png" in page
        assert "c.png" not in page

    def test_page_that_exists(self, photonet: Command, photo: Path, tmp_path: Path):
        command = ["denoise", photo, "-o", f"{tmp_path}/out/", "--compare"]
        assert photonet(*command).code == 0
        (tmp_path / "out" / "photo.png").unlink()
        refused(photonet(*command), 2, "photo-compare.html", "exists")
        assert not (tmp_path / "out" / "photo.png").exists()
        assert photonet(*command, "--skip-existing").code == 0

    @pytest.mark.parametrize(("content", "code"), [(None, 3), (b"no picture", 1)])
    def test_page_that_fails(
        self, photonet: Command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, code: int
    ):
        def fail(*_: object, **__: object) -> None:
            raise InputError("the page cannot be made", "page.html")

        monkeypatch.setattr("photonet_cli.report.write_page", fail)
        if content:
            photo.with_name("broken.png").write_bytes(content)
        done = photonet("denoise", tmp_path, "-o", tmp_path / "out", "--compare")
        refused(done, code, "the page cannot be made")


def test_sample(photonet: Command, tmp_path: Path):
    done = photonet("denoise", SAMPLES / "cat-noisy.jpg", "-o", tmp_path, "--json", "--tile", "256")
    assert done.code == 0
    assert json.loads(done.out)["status"] == "done"
    assert Image.open(tmp_path / "cat-noisy.jpg").size == (448, 300)
