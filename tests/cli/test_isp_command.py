"""`photonet isp`: RAW rendered, and turned back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command, picture, refused, wedge

from photonet.camera.mosaic import XTRANS
from photonet.color import ColorState
from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.io import read, read_note
from photonet.tasks import get_task

CONFIG = {"steps": 2, "growth": 4}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small flow that changes colors a little."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = get_task("isp").networks["squeezed"].build(CONFIG)
    path = tmp_path / "isp.safetensors"
    checkpoint.save(path, Card(task="isp", network="squeezed", config=CONFIG), module.state_dict(), torch.float32)
    return path


@pytest.mark.parametrize("cfa", [None, XTRANS], ids=["Bayer", "X-Trans"])
def test_there_and_back(photonet: Command, weights: Path, tmp_path: Path, cfa):
    raw, rendered, back = wedge(tmp_path / "a.dng", cfa=cfa), tmp_path / "a.png", tmp_path / "b.dng"
    done = photonet("isp", raw, "-o", rendered, "--bit-depth", "16", "--weights", weights)
    assert done.code == 0, done.err
    assert read_note(read(rendered).meta.xmp)["Task"] == "isp"
    done = photonet("isp", "--inverse", rendered, "-o", back, "--weights", weights)
    assert done.code == 0, done.err
    before, after = read(raw), read(back)
    assert before.sensor is not None
    assert after.sensor is not None
    assert after.state == ColorState.MOSAIC
    assert np.array_equal(after.sensor.cfa, before.sensor.cfa)
    assert after.sensor.white_balance == pytest.approx(before.sensor.white_balance)
    inside = np.median(np.abs(after.pixels - before.pixels))  # the flow leaves 0 to 1 somewhere: clipped there
    assert inside < 2e-3


def test_jpeg(photonet: Command, weights: Path, tmp_path: Path):
    raw, rendered = wedge(tmp_path / "a.dng"), tmp_path / "a.jpg"
    assert photonet("isp", raw, "-o", rendered, "--quality", "95", "--weights", weights).code == 0
    assert photonet("isp", "--inverse", rendered, "-o", tmp_path / "b.tif", "--weights", weights).code == 0
    assert photonet("develop", raw, "-o", tmp_path / "a.tif").code == 0
    before, after = (read(tmp_path / name).pixels / 65535 for name in ("a.tif", "b.tif"))
    assert np.median(np.abs(after - before)) < 0.02


def test_what_cannot_be_turned_back_is_said(photonet: Command, weights: Path, tmp_path: Path):
    raw = wedge(tmp_path / "a.dng")
    for name, flags in (("a.jpg", ["--metadata", "none"]), ("a.exr", [])):
        done = photonet("isp", raw, "-o", tmp_path / name, "--json", "--weights", weights, *flags)
        assert any("turning it back" in warning for warning in done.records[0]["warnings"])
    assert not photonet("isp", raw, "-o", tmp_path / "b.jpg", "--json", "--weights", weights).records[0]["warnings"]


def test_no_mixture(photonet: Command, weights: Path, tmp_path: Path):
    """Of the values of RAW and those of a picture."""
    raw = wedge(tmp_path / "a.dng")
    refused(photonet("isp", raw, "-o", tmp_path / "a.jpg", "--strength", "0.5", "--weights", weights), 2, "--strength")


def test_what_was_not_rendered_is_refused(photonet: Command, weights: Path, tmp_path: Path):
    out = tmp_path / "b.dng"
    stranger = picture(tmp_path / "stranger.jpg")
    refused(photonet("isp", "--inverse", stranger, "-o", out, "--weights", weights), 3, "stranger.jpg", "rendered")
    refused(photonet("isp", stranger, "-o", tmp_path / "c.jpg", "--weights", weights), 2, "stranger.jpg", "--inverse")
    rendered = tmp_path / "a.jpg"
    assert photonet("isp", wedge(tmp_path / "a.dng"), "-o", rendered, "--weights", weights).code == 0
    with Image.open(rendered) as image:
        image.crop((0, 0, 20, 20)).save(tmp_path / "cropped.jpg", xmp=image.info["xmp"])
    cropped = tmp_path / "cropped.jpg"
    refused(photonet("isp", "--inverse", cropped, "-o", out, "--weights", weights), 3, "cropped.jpg", "cropped")
    card, tensors = checkpoint.read_tensors(weights)
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, card, {name: tensor * 1.1 for name, tensor in tensors.items()}, torch.float32)
    refused(photonet("isp", "--inverse", rendered, "-o", out, "--weights", other), 4, "a.jpg", "--weights")
    data = rendered.read_bytes()
    (tmp_path / "damaged.jpg").write_bytes(data.replace(b"xyz_to_camera", b"xyz_to_nowhere"[:13]))
    refused(photonet("isp", "--inverse", tmp_path / "damaged.jpg", "-o", out, "--weights", weights), 3, "damaged")
    (tmp_path / "white.jpg").write_bytes(data.replace(b'White="1', b'White="n'))
    refused(photonet("isp", "--inverse", tmp_path / "white.jpg", "-o", out, "--weights", weights), 3, "white level")
    assert not out.exists()
