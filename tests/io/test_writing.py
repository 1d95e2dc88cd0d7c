"""Clipping, dither, depth, and files that appear whole or not at all."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from photonet import io
from photonet.color import ColorState
from photonet.errors import PhotonetError, UsageError
from photonet.io import atomic
from photonet.io.quantize import quantize
from photonet.photo import Photo


def test_value_clipped_pixels_are_counted(tmp_path):
    pixels = np.full((10, 10, 3), 0.5, np.float32)
    pixels[0, 0] = (1.5, 1.5, 0.5)
    pixels[0, 1, 2] = -0.25
    pixels[0, 2] = 1 + 1e-6  # rounds to white: nothing is lost
    report = io.write(Photo(pixels), tmp_path / "a.png", bit_depth=16)
    assert report.clipped == 2
    assert report.path == tmp_path / "a.png"
    assert report.bytes == (tmp_path / "a.png").stat().st_size
    back = io.read(report.path).pixels
    assert back[0, 0].tolist() == [65535, 65535, 32768]
    assert back[0, 1, 2] == 0


def test_value_dither_keeps_exact_values_and_the_mean():
    exact = (np.arange(256, dtype=np.float32) / 255).reshape(16, 16, 1)
    np.testing.assert_array_equal(quantize(exact, np.uint8).samples.ravel(), np.arange(256))
    wide = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16, 1)
    np.testing.assert_array_equal(quantize(wide, np.uint8).samples.ravel(), np.arange(256))
    between = np.full((300, 300, 1), 100.3 / 255, np.float32)
    dithered = quantize(between, np.uint8).samples
    assert set(np.unique(dithered)) == {100, 101}
    assert dithered.mean() == pytest.approx(100.3, abs=0.01)
    np.testing.assert_array_equal(dithered, quantize(between, np.uint8).samples)  # the same on every day


def test_value_eight_to_sixteen_bits():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(quantize(pixels, np.uint16).samples, pixels.astype(np.uint16) * 257)


def test_value_linear_is_encoded_for_display():
    photo = Photo(np.full((4, 4, 3), 0.2140411, np.float32), ColorState.LINEAR)
    back = io.read_bytes(io.encode(photo, "png"))
    assert back.state is ColorState.SRGB
    assert abs(back.pixels.astype(int) - 32768).max() <= 1


def test_value_display_is_decoded_for_exr():
    photo = Photo(np.full((4, 4, 3), 128, np.uint8))
    np.testing.assert_allclose(io.read_bytes(io.encode(photo, "exr", bit_depth=32)).pixels, 0.2158605, rtol=1e-5)


def test_value_depth_follows_photo_and_format(noise):
    depths = {np.uint8: np.uint8, np.uint16: np.uint16, np.float32: np.uint16}
    for own, stored in depths.items():
        assert io.read_bytes(io.encode(Photo(noise(own)), "png")).pixels.dtype == stored
    assert io.read_bytes(io.encode(Photo(noise(np.uint16)), "tiff", bit_depth=8)).pixels.dtype == np.uint8


def test_value_notes_say_what_is_lost(noise, tmp_path):
    photo = Photo(noise(), layers={"alpha": noise(channels=1)})
    assert any("alpha" in note for note in io.write(photo, tmp_path / "a.jpg").notes)
    assert any("quality" in note for note in io.write(photo, tmp_path / "a.png", quality=80).notes)
    gray = Photo(noise(channels=1))
    assert any("gray" in note for note in io.write(gray, tmp_path / "a.webp").notes)


def test_value_half_overflow_and_radiance_sign(tmp_path):
    photo = Photo(np.array([[[1e6, 1, 1], [-1, 1, 1]]], np.float32), ColorState.LINEAR)
    assert io.write(photo, tmp_path / "a.exr", bit_depth=16).clipped == 1
    assert io.write(photo, tmp_path / "a.hdr").clipped == 1
    assert io.write(photo, tmp_path / "b.exr").clipped == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"bit_depth": 16}),
        ("a.jpg", {"quality": 0}),
        ("a.xyz", {}),
        ("a", {}),
        ("a.cr2", {}),
        ("a.png", {"metadata": "some"}),
        ("missing/a.png", {}),
    ],
)
def test_error_usage(smooth, tmp_path, name, options):
    with pytest.raises(UsageError):
        io.write(Photo(smooth), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"bit_depth": 16}),
        ("a.jpg", {"quality": 101}),
        ("a.xyz", {}),
        ("a.cr2", {}),
        ("a.jpg", {"format": "png", "bit_depth": 32}),
        (None, {}),
    ],
)
def test_error_known_before_there_is_a_photo(name, options):
    with pytest.raises(UsageError):
        io.check_writable(name and Path(name), **options)


def test_value_writable():
    io.check_writable(Path("a.jpg"), quality=1)
    io.check_writable(Path("a.x"), format="tiff", bit_depth=32)
    io.check_writable(None, format="png", bit_depth=16)


def test_value_pack_is_encode_with_a_report(noise):
    photo = Photo(noise(), layers={"alpha": noise(channels=1)})
    packed = io.pack(photo, "jpeg")
    assert packed.data == io.encode(photo, "jpeg")
    assert any("alpha" in note for note in packed.notes)


def test_error_too_large_for_the_format():
    with pytest.raises(UsageError, match="16383"):
        io.encode(Photo(np.zeros((1, 16_384, 3), np.uint8)), "webp")


def test_error_states_without_a_format(smooth):
    with pytest.raises(UsageError, match="mosaic"):
        io.encode(Photo(smooth[..., :1], ColorState.MOSAIC), "png")


@pytest.mark.parametrize("name", ["png", "tiff", "exr"])
def test_error_not_finite(name, noise, tmp_path):
    pixels = noise(np.float32)
    pixels[1, 1, 1] = np.nan
    with pytest.raises(PhotonetError, match="not finite") as caught:
        io.write(Photo(pixels), tmp_path / f"a.{name}")
    assert f"a.{name}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_error_never_overwrites(smooth, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        io.write(Photo(smooth), path)
    assert path.read_bytes() == b"precious"
    io.write(Photo(smooth), path, overwrite=True)
    np.testing.assert_array_equal(io.read(path).pixels, smooth)
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_error_a_race_never_overwrites(tmp_path, monkeypatch, links):
    """Another program takes the name after our check."""
    path = tmp_path / "a.png"
    monkeypatch.setattr(atomic, "check_target", lambda *_: path.write_bytes(b"precious"))
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    with pytest.raises(UsageError, match="exists"):
        atomic.write_atomic(path, b"ours")
    assert path.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_value_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", _no_links)
    atomic.write_atomic(tmp_path / "a.bin", b"ours")
    assert (tmp_path / "a.bin").read_bytes() == b"ours"
    assert len(list(tmp_path.iterdir())) == 1


def _no_links(*_):
    raise OSError(1, "Operation not permitted")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_error_a_failure_leaves_nothing(smooth, tmp_path, monkeypatch, failing):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(io.OutputError, match="Free some space"):
        io.write(Photo(smooth), path, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_error_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_atomic(tmp_path / "a.bin", b"ours")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_value_mode_follows_umask(smooth, tmp_path):
    before = os.umask(0o027)
    try:
        io.write(Photo(smooth), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
