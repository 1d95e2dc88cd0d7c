"""RAW files in the commands of tasks: denoised before development, and written as a DNG or developed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from running import SAMPLES, Command, picture, pixels, refused, wedge

from photonet.camera.mosaic import XTRANS
from photonet.color import ColorState, srgb_encode
from photonet.io import read, read_note, write


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return wedge(tmp_path / "wedge.dng", noise=(2e-3, 1e-5))


def test_to_dng(photonet: Command, raw: Path, tmp_path: Path):
    done = photonet("denoise", raw, "-o", tmp_path / "out.dng", "--json")
    assert done.code == 0, done.err
    before, after = read(raw), read(tmp_path / "out.dng")
    assert before.sensor is not None
    assert after.sensor is not None
    assert after.state == ColorState.MOSAIC
    assert after.pixels.shape == before.pixels.shape
    assert 1e-4 < np.abs(after.pixels - before.pixels).max() < 0.3
    assert after.sensor.noise is None  # the profile is not that of the result
    assert after.sensor.white_balance == pytest.approx(before.sensor.white_balance)
    assert (done.records[0]["network"], done.records[0]["shot"]) == ("raw-unet", pytest.approx(2e-3))


def test_to_display(photonet: Command, raw: Path, tmp_path: Path):
    """With --strength 0 it is the development of the file."""
    for suffix in (".tif", ".jpg"):
        assert photonet("denoise", raw, "-o", tmp_path / f"out{suffix}", "--strength", "0").code == 0
        assert photonet("develop", raw, "-o", tmp_path / f"developed{suffix}").code == 0
    denoised, developed = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("out", "developed"))
    assert denoised.dtype == np.uint16
    assert np.abs(denoised.astype(int) - developed).max() <= 1
    assert np.abs(pixels(tmp_path / "out.jpg").astype(int) - pixels(tmp_path / "developed.jpg")).max() <= 1


def test_to_stdout(photonet: Command, raw: Path):
    done = photonet("denoise", "-", "-o", "-", "--format", "png", stdin=raw.read_bytes())
    assert done.code == 0, done.err
    assert done.stdout.startswith(b"\x89PNG")


def test_compare(photonet: Command, raw: Path, tmp_path: Path):
    assert photonet("denoise", raw, "-o", tmp_path / "out.dng", "--compare").code == 0
    assert (tmp_path / "out-compare.html").stat().st_size > 1000


def test_display_network_on_request(photonet: Command, raw: Path, tmp_path: Path):
    done = photonet("denoise", raw, "-o", tmp_path / "out.tif", "--net", "unet", "--json")
    assert (done.code, done.records[0]["network"]) == (0, "unet")
    assert read_note(read(tmp_path / "out.tif").meta.xmp or b"")["Network"] == "unet"


def test_xtrans_is_denoised_as_camera_rgb(photonet: Command, tmp_path: Path):
    """The DNG is linear then, and develops to the same picture."""
    fuji = wedge(tmp_path / "fuji.dng", cfa=XTRANS)
    done = photonet("denoise", fuji, "-o", tmp_path / "out.dng", "--strength", "0", "--json")
    assert (done.code, done.records[0]["network"]) == (0, "unet"), done.err
    assert read(tmp_path / "out.dng").state == ColorState.CAMERA
    for source in ("fuji", "out"):
        assert photonet("develop", tmp_path / f"{source}.dng", "-o", tmp_path / f"{source}.tif").code == 0
    before, after = (tifffile.imread(tmp_path / f"{name}.tif").astype(int) for name in ("fuji", "out"))
    assert np.abs(before - after).max() <= 32  # of 65535: the steps of a DNG in the dark
    again = photonet("denoise", tmp_path / "out.dng", "-o", tmp_path / "again.dng")
    assert again.code == 0, again.err


def test_noise_must_be_told_where_it_cannot_be_estimated(photonet: Command, tmp_path: Path):
    silent = wedge(tmp_path / "silent.dng")
    refused(photonet("denoise", silent, "-o", tmp_path / "a.dng"), 2, "silent.dng", "--noise")
    assert photonet("denoise", silent, "-o", tmp_path / "a.dng", "--noise", "1e-3,1e-6").code == 0


def test_wrong_use(photonet: Command, raw: Path, tmp_path: Path):
    out = tmp_path / "a.dng"
    refused(photonet("denoise", raw, "-o", out, "--sigma", "10"), 2, "--sigma", "--noise")
    refused(photonet("denoise", raw, "-o", out, "--noise", "7"), 2, "--noise")
    refused(
        photonet("denoise", picture(tmp_path / "p.png"), "-o", tmp_path / "q.png", "--noise", "1e-3,0"), 2, "--noise"
    )
    refused(photonet("denoise", picture(tmp_path / "r.png"), "-o", out), 2, "a.dng")
    assert not out.exists()


def test_a_folder_of_raw_files_becomes_dngs(photonet: Command, small_weights: dict[str, Path], tmp_path: Path):
    """Beside other pictures, which keep their format; named weights of both kinds serve both."""
    wedge_path = tmp_path / "in" / "a.dng"
    wedge_path.parent.mkdir()
    wedge(wedge_path, noise=(2e-3, 1e-5))
    picture(tmp_path / "in" / "b.png")
    named = ["--weights", small_weights["unet"], "--weights", small_weights["raw-unet"]]
    done = photonet("denoise", tmp_path / "in", "-o", tmp_path / "out", "--json", *named)
    assert done.code == 0, done.err
    assert {Path(r["output"]).name: r["network"] for r in done.records} == {"a.dng": "raw-unet", "b.png": "unet"}
    plan = photonet("denoise", tmp_path / "in", "-o", tmp_path / "other", "--dry-run", "--json").records
    assert [Path(record["output"]).name for record in plan] == ["a.dng", "b.png"]


def test_linear_formats_get_linear_light(photonet: Command, raw: Path, tmp_path: Path):
    """No tone curve in an EXR: what it holds is what `develop --no-curve` shows, before the sRGB curve."""
    for command, out, flags in (("denoise", "a.exr", ["--strength", "0"]), ("develop", "b.tif", ["--no-curve"])):
        assert photonet(command, raw, "-o", tmp_path / out, *flags).code == 0
    light, shown = read(tmp_path / "a.exr"), read(tmp_path / "b.tif")
    assert light.state == ColorState.LINEAR
    np.testing.assert_allclose(srgb_encode(light.pixels.clip(0, 1)), shown.pixels / 65535, atol=2e-3)


def test_saturated_highlights_stay(photonet: Command, tmp_path: Path):
    """Camera RGB at its white level comes back as it was, whatever the network makes of it."""
    path = wedge(tmp_path / "a.dng", cfa=XTRANS)
    photo = read(path)
    photo.pixels[8:24, 12:36] = 1
    write(photo, path, overwrite=True)
    assert photonet("denoise", path, "-o", tmp_path / "b.dng").code == 0
    inside = read(tmp_path / "b.dng").pixels[12:20, 18:30]
    np.testing.assert_allclose(inside, 1, atol=1e-3)


def test_sample(photonet: Command, tmp_path: Path):
    """The README's RAW workflow, on the RAW file that comes with the repository."""
    done = photonet("denoise", SAMPLES / "coffee-noisy.dng", "-o", tmp_path / "coffee.dng", "--json")
    assert (done.code, done.records[0]["levels"]) == (0, "from the file"), done.err
    assert photonet("develop", tmp_path / "coffee.dng", "-o", tmp_path / "a.jpg", "--exposure", "0.5").code == 0
    assert pixels(tmp_path / "a.jpg").shape == (400, 600, 3)
