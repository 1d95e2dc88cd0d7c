"""Mosaics: DNG out and in again, headerless files, what the user tells, and what cannot be."""

import io as std_io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from photonet import io
from photonet.color import SRGB_TO_XYZ, ColorState
from photonet.errors import InputError, PhotonetError, UsageError
from photonet.io import Told, pack, read, write
from photonet.io.codecs.raw import upright
from photonet.photo import Metadata, Photo, Sensor

MATRIX = np.array([[0.9020, -0.2890, -0.0715], [-0.4535, 1.2436, 0.2348], [-0.0934, 0.1919, 0.7086]])
PHASES = {"RGGB": [0, 1, 1, 2], "BGGR": [2, 1, 1, 0], "GRBG": [1, 0, 2, 1], "GBRG": [1, 2, 0, 1]}


def sensor(letters="RGGB", **changes):
    cfa = np.array(PHASES[letters]).reshape(2, 2)
    fields = {"cfa": cfa, "black": np.zeros((2, 2)), "white": 1.0, "white_balance": (1.949, 1.0, 1.344)}
    return Sensor(**{**fields, "xyz_to_camera": MATRIX, "noise": (1e-3, 2e-6), **changes})


def mosaic(height=30, width=44, **changes):
    """A mosaic that is brighter to the right, a little of it below black."""
    values = np.linspace(-0.02, 1, height * width, dtype=np.float32).reshape(width, height).T
    return Photo(np.ascontiguousarray(values)[..., None], ColorState.MOSAIC, sensor=sensor(**changes))


@pytest.mark.parametrize("letters", PHASES)
def test_round_trip(letters, tmp_path):
    photo = mosaic(letters=letters)
    report = write(photo, tmp_path / "a.dng")
    assert (report.clipped, report.notes) == (0, ())
    assert io.identify(tmp_path / "a.dng") == io.FormatInfo("raw", 44, 30)
    back = read(tmp_path / "a.dng")
    assert (back.state, back.pixels.shape, back.pixels.dtype) == (ColorState.MOSAIC, (30, 44, 1), np.float32)
    assert np.abs(back.pixels - photo.pixels).max() <= 0.5 / (62000 - 2048) + 1e-7
    assert back.pixels.min() < -0.019  # signed
    assert np.array_equal(back.sensor.cfa, photo.sensor.cfa)
    assert back.sensor.white_balance == pytest.approx(photo.sensor.white_balance, rel=1e-4)
    assert back.sensor.noise == pytest.approx((1e-3, 2e-6))
    np.testing.assert_allclose(back.sensor.xyz_to_camera, MATRIX, atol=1e-5)
    assert back.meta.notes == ()


def test_it_is_a_file_that_a_stranger_reads(tmp_path):
    """The fields of the specification, read without photonet."""
    write(mosaic(letters="GRBG"), tmp_path / "a.dng")
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
    assert bytes(tags[50706]) == bytes((1, 4, 0, 0))
    assert bytes(tags[33422]) == bytes(PHASES["GRBG"])
    assert (tags[262], tags[50714], tags[50717], tags[50778]) == (32803, 2048, 62000, 21)
    neutral = np.divide(tags[50728][0::2], tags[50728][1::2])
    assert neutral.tolist() == pytest.approx([1 / 1.949, 1, 1 / 1.344], rel=1e-5)


def test_libraw_develops_it(tmp_path):
    """A gray picture of the sensor, white balanced by LibRaw, is gray."""
    import rawpy

    flat = np.array([[0.3 / 1.949, 0.3], [0.3, 0.3 / 1.344]], np.float32)
    photo = replace(mosaic(), pixels=np.tile(flat, (15, 22))[..., None])
    write(photo, tmp_path / "a.dng")
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        rgb = raw.postprocess(
            gamma=(1, 1), no_auto_bright=True, use_camera_wb=True, output_bps=16, adjust_maximum_thr=0
        )
    assert rgb[5, 5].tolist() == pytest.approx([0.3 * 65535] * 3, rel=0.01)


def test_linear_camera_colors(tmp_path):
    pixels = np.random.default_rng(0).random((32, 48, 3), np.float32)
    photo = Photo(pixels, ColorState.CAMERA, sensor=sensor())
    write(photo, tmp_path / "a.dng")
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        page = file.pages[0]
        assert (page.photometric, page.samplesperpixel) == (34892, 3)
        np.testing.assert_allclose((page.asarray() - 2048.0) / (62000 - 2048), pixels, atol=1e-5)
        assert page.tags[50714].value == (2048,) * 3  # one level for each color
    back = read(tmp_path / "a.dng")
    assert (back.state, back.sensor.cfa.shape) == (ColorState.CAMERA, (1, 1))
    np.testing.assert_allclose(back.pixels, pixels, atol=1e-5)
    assert back.sensor.white_balance == pytest.approx(photo.sensor.white_balance, rel=1e-4)


def test_exif_comes_along_and_changes_no_color(tmp_path):
    """LibRaw has a matrix of its own for this camera: that of the file wins."""
    exif = Image.Exif()
    exif.update({271: "Canon", 272: "Canon EOS 5D Mark III"})
    write(replace(mosaic(), meta=Metadata(exif=exif.tobytes()[6:])), tmp_path / "a.dng")
    back = read(tmp_path / "a.dng")
    assert b"5D Mark III" in back.meta.exif
    np.testing.assert_allclose(back.sensor.xyz_to_camera, MATRIX, atol=1e-5)


def test_xmp_comes_along(tmp_path):
    photo = mosaic()
    noted = photo.with_pixels(photo.pixels, meta=Metadata(xmp=io.with_note(None, {"Task": "denoise"})))
    write(noted, tmp_path / "a.dng")
    assert read(tmp_path / "a.dng").meta.xmp == noted.meta.xmp


def test_16_bits_of_a_mosaic():
    whole = replace(mosaic(), pixels=np.full((4, 4, 1), 65535, np.uint16))
    assert pack(whole, "dng").data == pack(replace(whole, pixels=np.ones((4, 4, 1), np.float32)), "dng").data


def test_what_is_beyond_the_range_is_counted():
    photo = mosaic()
    pixels = photo.pixels.copy()
    pixels[0, :3] = 1.5
    assert pack(replace(photo, pixels=pixels), "dng").clipped == 3


def test_error_a_display_picture_is_no_dng():
    with pytest.raises(UsageError, match="a finished picture"):
        pack(Photo(np.zeros((4, 4, 3), np.uint8)), "dng")


def test_error_not_finite():
    photo = mosaic()
    photo.pixels[3, 3] = np.nan
    with pytest.raises(PhotonetError, match=r"NaN|finite"):
        pack(photo, "dng")


def test_error_output_exists(tmp_path):
    (tmp_path / "a.dng").write_text("precious")
    with pytest.raises(PhotonetError, match="exists"):
        write(mosaic(), tmp_path / "a.dng")
    assert (tmp_path / "a.dng").read_text() == "precious"


class TestTold:
    @pytest.fixture
    def headerless(self, tmp_path):
        values = np.arange(24, dtype="<u2").reshape(4, 6) * 600 + 600
        path = tmp_path / "a.raw"
        path.write_bytes(values.tobytes())
        return path

    def test_value_headerless(self, headerless):
        told = Told("GBRG", 600, 15000, (2.0, 1.0, 1.5), tuple(MATRIX.flatten()), (6, 4))
        photo = read(headerless, told)
        np.testing.assert_allclose(photo.pixels[..., 0], np.arange(24).reshape(4, 6) / 24, atol=1e-6)
        assert photo.sensor.cfa.tolist() == [[1, 2], [0, 1]]
        assert photo.sensor.white_balance == (2.0, 1.0, 1.5)
        assert photo.meta.notes == ("headerless: taken as little-endian 16-bit numbers",)

    def test_it_says_what_it_assumed(self, headerless):
        notes = " ".join(read(headerless, Told(size=(6, 4))).meta.notes)
        assert all(word in notes for word in ("--cfa RGGB", "--white 16383", "--wb 1,1,1", "no color matrix"))

    def test_told_wins(self, tmp_path):
        write(mosaic(), tmp_path / "a.dng")
        told = Told("BGGR", 1000, 50000, (1.5, 1.0, 1.2))
        photo = read(tmp_path / "a.dng", told)
        assert photo.sensor.cfa.tolist() == [[2, 1], [1, 0]]
        assert (photo.sensor.black.max(), photo.sensor.white) == (1000, 50000)
        assert photo.sensor.white_balance == (1.5, 1.0, 1.2)

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            (Told("RGBG", size=(6, 5)), "not 6×5"),
            (Told("RGB", size=(6, 4)), "no filter array"),
            (Told(matrix=(1.0, 2.0), size=(6, 4)), "9 numbers"),
        ],
    )
    def test_error_usage(self, headerless, told, words):
        with pytest.raises(UsageError, match=words):
            read(headerless, told)

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            (Told(black=20000, size=(6, 4)), "is not below white"),
            (Told(white=float("inf"), size=(6, 4)), "not a finite number"),
            (Told(black=float("nan"), size=(6, 4)), "not a finite number"),
            (Told(white=0.0, size=(6, 4)), "is not below white"),
            (Told("RRGG", size=(6, 4)), "no filter array"),
            (Told(white_balance=(0.0, 1.0, 1.0), size=(6, 4)), "white balance"),
            (Told(white_balance=(1.0, 0.0, 1.0), size=(6, 4)), "white balance"),
            (Told(white_balance=(float("nan"), 1.0, 1.0), size=(6, 4)), "white balance"),
            (Told(matrix=(1.0,) * 9, size=(6, 4)), "cannot be inverted"),
            (Told(matrix=(float("nan"),) * 9, size=(6, 4)), "cannot be inverted"),
        ],
    )
    def test_error_absurd(self, headerless, told, words):
        with pytest.raises(UsageError, match=words):
            read(headerless, told)

    def test_error_no_size_for_colors(self, tmp_path):
        (tmp_path / "a.raw").write_bytes(bytes(8))
        with pytest.raises(InputError, match="too few"):
            read(tmp_path / "a.raw", Told(size=(2, 2)))

    def test_gains_are_relative_to_green(self, headerless):
        photo = read(headerless, Told(white_balance=(2.0, 2.0, 3.0), size=(6, 4)))
        assert photo.sensor.white_balance == (1.0, 1.0, 1.5)

    def test_a_pipe_has_no_name(self, headerless):
        photo = io.read_bytes(headerless.read_bytes(), "stdin", Told(size=(6, 4)))
        assert photo.pixels.shape == (4, 6, 1)
        assert io.identify(headerless, Told(size=(6, 4))) == io.FormatInfo("raw", 6, 4)

    def test_no_effect_on_other_files(self, tmp_path):
        io.write(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "a.png")
        assert any("no effect" in note for note in read(tmp_path / "a.png", Told(black=5.0)).meta.notes)
        assert read(tmp_path / "a.png").meta.notes == ()


def test_error_absurd_matrix(tmp_path):
    write(mosaic(xyz_to_camera=np.ones((3, 3))), tmp_path / "a.dng")
    with pytest.raises(InputError, match="cannot be inverted"):
        read(tmp_path / "a.dng")


@pytest.mark.parametrize("content", [b"", b"text", bytes(3000)])
def test_error_no_raw_file(tmp_path, content):
    (tmp_path / "a.dng").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.dng"):
        read(tmp_path / "a.dng")


def test_error_missing(tmp_path):
    with pytest.raises(InputError, match="gone"):
        read(tmp_path / "gone.dng")


def test_error_truncated(tmp_path):
    data = pack(mosaic(200, 300), "dng").data
    (tmp_path / "a.dng").write_bytes(data[: len(data) // 3])
    with pytest.raises(InputError, match=r"a\.dng"):
        read(tmp_path / "a.dng")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (6, 9)])
def test_a_turned_mosaic_has_a_turned_array(orientation, size):
    """Each site's color follows its value."""
    photo = mosaic(*size, letters="GRBG")
    colors = np.tile(photo.sensor.cfa, (5, 5))[: size[0], : size[1], None].astype(np.float32)
    turned = upright(photo.with_pixels(colors), orientation)
    height, width = turned.pixels.shape[:2]
    assert (height, width) == (size if orientation in (1, 3) else size[::-1])
    assert np.array_equal(turned.pixels[..., 0], np.tile(turned.sensor.cfa, (5, 5))[:height, :width])


def test_value_matrix():
    """White stays white, and a sensor whose colors are those of sRGB needs no matrix."""
    np.testing.assert_allclose(sensor().matrix.sum(1), 1, atol=1e-9)
    plain = sensor(xyz_to_camera=np.linalg.inv(np.array(SRGB_TO_XYZ)))
    np.testing.assert_allclose(plain.matrix, np.eye(3), atol=1e-9)


def test_smoke_from_memory():
    data, clipped, _ = pack(mosaic(), "dng")
    assert clipped == 0
    assert io.read_bytes(data, "a.dng").pixels.shape == (30, 44, 1)
    assert tifffile.TiffFile(std_io.BytesIO(data)).pages[0].shape == (30, 44)
