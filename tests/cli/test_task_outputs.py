"""`photonet denoise`: what it writes, prints and keeps."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from running import SAMPLES, Command, picture, pixels, refused

from photonet.engine.checkpoint import read_card
from photonet.errors import InputError
from photonet.io import read, read_note


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
        assert len(done.err.splitlines()) == 2  # its line, and a warning of the tiny tiles

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

    def test_says_how_it_was_made(
        self, photonet: Command, tagged: Path, tmp_path: Path, small_weights: dict[str, Path]
    ):
        assert photonet("denoise", tagged, "-o", tmp_path / "out.jpg").code == 0
        note = read_note(read(tmp_path / "out.jpg").meta.xmp)
        assert note["Task"] == "denoise"
        assert note["Network"] == "unet"
        assert read_card(small_weights["unet"]).digest.startswith(note["Weights"])
        assert note["Software"].startswith("photonet ")

    def test_says_nothing_of_it_where_that_is_wanted(self, photonet: Command, tagged: Path, tmp_path: Path):
        assert photonet("denoise", tagged, "-o", tmp_path / "out.jpg", "--metadata", "none").code == 0
        assert read(tmp_path / "out.jpg").meta.xmp is None

    def test_formats_without_room_lose_nothing(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("denoise", photo, "-o", tmp_path / "out.exr", "--json")
        assert done.records[0]["warnings"] == []

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
