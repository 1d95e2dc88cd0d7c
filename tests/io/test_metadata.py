"""EXIF, XMP, ICC and orientation."""

import io as std_io

import numpy as np
import pytest
import tifffile
from PIL import Image

from photonet import io
from photonet.io.metadata import exif_block
from photonet.photo import Exposure, Metadata, Photo

# The stored picture [[1, 2, 3], [4, 5, 6]] shown upright, for each EXIF orientation.
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}
STORED = np.array(UPRIGHT[1], np.uint8)


def blocks(values):
    """Each value as a gray 8×8 block, 30 levels apart: JPEG keeps such blocks."""
    return np.kron(np.asarray(values, np.uint8) * 30, np.ones((8, 8), np.uint8))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_value_orientation(orientation, name, exif, pillow_bytes):
    image = Image.fromarray(blocks(STORED)).convert("RGB")
    photo = io.read_bytes(pillow_bytes(image, name, exif=b"Exif\0\0" + exif(orientation)))
    expected = blocks(UPRIGHT[orientation])
    assert photo.pixels.shape[:2] == expected.shape
    assert abs(photo.pixels[..., 0].astype(int) - expected).max() <= 3
    assert exif_block.orientation(photo.meta.exif) == 1
    assert io.read_bytes(io.encode(photo, "png")).pixels.shape == photo.pixels.shape  # not turned twice


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_value_orientation_tiff16_with_alpha(orientation, compression):
    color = np.repeat(STORED[..., None], 3, axis=2).astype(np.uint16) * 1000
    stored = np.concatenate([color, STORED[..., None].astype(np.uint16)], axis=2)
    stream = std_io.BytesIO()
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(
        stream, stored, photometric="rgb", extrasamples=["unassalpha"], extratags=tags, compression=compression
    )
    photo = io.read_bytes(stream.getvalue())
    np.testing.assert_array_equal(photo.pixels[..., 1], np.array(UPRIGHT[orientation]) * 1000)
    np.testing.assert_array_equal(photo.layers["alpha"][..., 0], UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", [1, 6])
def test_value_orientation_lzw_tiff(orientation, pillow_bytes):
    data = pillow_bytes(Image.fromarray(STORED), "TIFF", compression="tiff_lzw", tiffinfo={274: orientation})
    np.testing.assert_array_equal(io.read_bytes(data).pixels[..., 0], UPRIGHT[orientation])


def test_value_identify_is_upright(exif, pillow_bytes, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(pillow_bytes(Image.new("RGB", (32, 16)), "JPEG", exif=b"Exif\0\0" + exif(6)))
    assert io.identify(path) == io.FormatInfo("jpeg", 16, 32)


def test_value_only_orientation_changes(exif):
    before = exif(8)
    after = exif_block.upright_exif(before)
    changed = [at for at in range(len(before)) if before[at] != after[at]]
    assert len(changed) == 1
    assert (before[changed[0]], after[changed[0]]) == (8, 1)


def test_value_orientation_removed_in_place(exif):
    shorter = exif_block.without_orientation(exif(8))
    assert len(shorter) == len(exif(8))
    before, after = Image.Exif(), Image.Exif()
    before.load(exif(8))
    after.load(shorter)
    assert 0x0112 not in after
    assert {**after, 0x0112: 8} == dict(before)
    assert after.get_ifd(0x8769) == before.get_ifd(0x8769)


def test_value_xmp_orientation(xmp):
    assert b'tiff:Orientation="1"' in exif_block.upright_xmp(xmp)
    assert (
        exif_block.upright_xmp(b"<tiff:Orientation>8</tiff:Orientation>") == b"<tiff:Orientation>1</tiff:Orientation>"
    )
    assert exif_block.upright_xmp(b'dc:title="6"') == b'dc:title="6"'


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_value_blocks_survive(full_photo, name):
    back = io.read_bytes(io.encode(full_photo, name)).meta
    again = io.read_bytes(io.encode(io.read_bytes(io.encode(full_photo, name)), name)).meta
    assert back.icc == again.icc == full_photo.meta.icc
    kept = full_photo.meta.exif if name != "avif" else exif_block.without_orientation(full_photo.meta.exif)
    assert back.exif == again.exif == kept
    assert back.xmp == again.xmp == exif_block.upright_xmp(full_photo.meta.xmp)
    assert back.exposure == Exposure(1 / 250, 400, 2.8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_value_tiff_keeps_what_can_move(full_photo, noise, dtype):
    data = io.encode(full_photo.with_pixels(noise(dtype)), "tiff")
    back = io.read_bytes(data).meta
    assert back.icc == full_photo.meta.icc
    assert back.xmp == exif_block.upright_xmp(full_photo.meta.xmp)
    assert back.exposure == Exposure(1 / 250, 400, 2.8)
    read = Image.Exif()
    read.load(back.exif)
    assert (read[0x010F], read[0x0132]) == ("Canonet", "2026:11:08 10:20:30")
    assert read.get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0hello"
    assert read.get_ifd(0x8825)[2] == (48.0, 12.0, 30.5)
    assert tifffile.imread(std_io.BytesIO(data)).dtype == dtype  # other readers agree


def test_value_tiff_read_by_pillow(full_photo):
    with Image.open(std_io.BytesIO(io.encode(full_photo, "tiff"))) as image:
        assert image.getexif().get_ifd(0x8769)[0x8827] == 400
        assert image.info["icc_profile"] == full_photo.meta.icc
        np.testing.assert_array_equal(np.asarray(image), full_photo.pixels)


def test_value_basic_drops_place_and_maker_note(full_photo):
    meta = io.read_bytes(io.encode(full_photo, "jpeg", metadata="basic")).meta
    read = Image.Exif()
    read.load(meta.exif)
    assert read[0x0110] == "QL17"
    assert 0x8825 not in read
    assert not {0x927C, 0x9286} & read.get_ifd(0x8769).keys()
    assert meta.exposure == Exposure(1 / 250, 400, 2.8)
    assert meta.xmp is None
    assert meta.icc == full_photo.meta.icc


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "webp", "avif"])
def test_value_none_keeps_only_the_profile(full_photo, name):
    meta = io.read_bytes(io.encode(full_photo, name, metadata="none")).meta
    assert (meta.exif, meta.xmp, meta.icc) == (None, None, full_photo.meta.icc)


def test_value_exr_keeps_exposure(full_photo):
    photo = full_photo.with_pixels(full_photo.pixels, meta=Metadata(exposure=Exposure(0.25, 800, 5.6)))
    meta = io.read_bytes(io.encode(photo, "exr")).meta
    assert (meta.exposure.time_s, meta.exposure.iso) == (0.25, 800)
    assert meta.exposure.f_number == pytest.approx(5.6)


def test_value_oversized_blocks_leave_a_note(smooth, exif, tmp_path):
    meta = Metadata(exif=exif() + bytes(70_000), xmp=b"x" * 70_000)
    report = io.write(Photo(smooth, meta=meta), tmp_path / "a.jpg")
    assert len(report.notes) == 2
    assert io.read(tmp_path / "a.jpg").meta.exposure.iso == 400


@pytest.mark.parametrize("block", [b"", b"II*\0", b"garbage!", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff"])
def test_error_damaged_exif_is_harmless(block):
    assert exif_block.orientation(block) == 1
    assert exif_block.exposure(block) == Exposure()
    assert exif_block.upright_exif(block) == block
    assert exif_block.rebuilt(block, exif_block.MAIN_TAGS, exif_block.BASIC_EXIF_TAGS) is None


def test_notes_on_the_layout_of_a_tiff_stay_behind(tmp_path):
    """tifffile writes {"shape": ...} into the description: of another file that is untrue."""
    pages = np.zeros((3, 20, 24, 3), np.uint8)
    tifffile.imwrite(
        tmp_path / "pages.tif", pages, description=None, metadata={}, extratags=[(271, 2, 6, b"maker\0", True)]
    )
    photo = io.read(tmp_path / "pages.tif")
    io.write(photo, tmp_path / "one.tif")
    assert tifffile.imread(tmp_path / "one.tif").shape == (20, 24, 3)
