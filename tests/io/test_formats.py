"""Unusual files of each format."""

import io as std_io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from photonet import io
from photonet.color import ColorState
from photonet.errors import InputError, UsageError
from photonet.io import formats
from photonet.photo import Photo


def png(width, height, depth, color_type, rows, *chunks):
    """A PNG by hand."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    body = b"".join(chunk(*each) for each in chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def test_smoke_importing_loads_no_decoder():
    decoders = {"cv2", "torch", "PIL.Image", "tifffile", "rawpy", "OpenEXR", "skimage"}
    code = f"import sys, photonet.io; print(*({decoders} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_value_content_decides(smooth, tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(io.encode(Photo(smooth), "png"))
    assert io.identify(path).format == "png"
    np.testing.assert_array_equal(io.read(path).pixels, smooth)


def test_value_names():
    assert formats.named("JPG").name == formats.named(".jpeg").name == "jpeg"
    assert io.suffix_for("jpeg") == ".jpg"
    assert {".cr2", ".heic", ".png"} <= io.READABLE_SUFFIXES
    assert ".cr2" not in io.WRITABLE_SUFFIXES
    with pytest.raises(UsageError, match="png"):
        formats.named("psd")


def test_value_palette_png(pillow_bytes):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    plain = io.read_bytes(pillow_bytes(image, "PNG"))
    np.testing.assert_array_equal(plain.pixels, [[[10, 20, 30], [200, 100, 50]]])
    assert not plain.layers
    see_through = io.read_bytes(pillow_bytes(image, "PNG", transparency=bytes([77, 255])))
    np.testing.assert_array_equal(see_through.pixels, plain.pixels)
    np.testing.assert_array_equal(see_through.layers["alpha"][..., 0], [[77, 255]])


@pytest.mark.parametrize(("name", "kind"), [("GIF", "gif"), ("BMP", "bmp")])
def test_value_formats_that_are_only_read(pillow_bytes, name, kind, tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    path = tmp_path / f"picture.{kind}"
    path.write_bytes(pillow_bytes(image, name))
    assert io.identify(path) == io.FormatInfo(kind, 2, 1)
    np.testing.assert_array_equal(io.read(path).pixels, [[[10, 20, 30], [200, 100, 50]]])
    with pytest.raises(UsageError, match="reads"):
        io.encode(io.read(path), kind)


def test_an_animation_gives_its_first_picture(pillow_bytes):
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    photo = io.read_bytes(pillow_bytes(first, "GIF", save_all=True, append_images=[second]))
    assert photo.pixels[0, 0].tolist() == [255, 0, 0]
    assert photo.meta.notes == ("first picture of 2",)


def test_value_one_bit_png_and_tiff(pillow_bytes):
    image = Image.fromarray(np.array([[True, False, True]]))
    for data in (
        pillow_bytes(image, "PNG"),
        pillow_bytes(image, "TIFF"),
        pillow_bytes(image, "TIFF", compression="group4"),
    ):
        np.testing.assert_array_equal(io.read_bytes(data).pixels[..., 0], [[255, 0, 255]])


def test_value_16_bit_png_by_hand():
    rows = b"\0" + struct.pack(">6H", 1, 2, 3, 0x1234, 0x5678, 0x9ABC)
    photo = io.read_bytes(png(2, 1, 16, 2, rows))
    np.testing.assert_array_equal(photo.pixels, np.array([[[1, 2, 3], [0x1234, 0x5678, 0x9ABC]]], np.uint16))
    gray_alpha = io.read_bytes(png(1, 1, 16, 4, b"\0" + struct.pack(">2H", 300, 40_000)))
    assert gray_alpha.pixels.tolist() == [[[300]]]
    assert gray_alpha.layers["alpha"].tolist() == [[[40_000]]]


def test_value_png_compressed_xmp_and_late_exif(exif):
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>")
    data = png(1, 1, 8, 0, b"\0\x80", (b"iTXt", text))
    assert io.read_bytes(data).meta.xmp == b"<x/>"


def cmyk_jpeg(pillow_bytes, **options):
    """Full cyan and magenta with half of the rest."""
    return pillow_bytes(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100, **options)


def test_value_cmyk_jpeg_without_profile(pillow_bytes):
    photo = io.read_bytes(cmyk_jpeg(pillow_bytes))
    assert abs(photo.pixels.reshape(-1, 3).astype(int) - [0, 255, 255]).max() <= 2
    assert any("CMYK" in note for note in photo.meta.notes)
    assert photo.meta.icc is None


def test_value_cmyk_tiff(pillow_bytes):
    photo = io.read_bytes(pillow_bytes(Image.new("CMYK", (4, 4), (0, 255, 0, 0)), "TIFF"))
    np.testing.assert_array_equal(photo.pixels[0, 0], [255, 0, 255])


def test_value_gray_profile_only_on_gray(pillow_bytes, wide_gamut):
    data = pillow_bytes(Image.new("L", (8, 8), 9), "JPEG", icc_profile=wide_gamut)
    photo = io.read_bytes(data)
    assert photo.meta.icc is None
    assert any("profile" in note for note in photo.meta.notes)


def test_value_tiff_variants(noise):
    def written(array, **options):
        stream = std_io.BytesIO()
        tifffile.imwrite(stream, array, **options)
        return io.read_bytes(stream.getvalue())

    color = noise(np.uint16)
    planar = written(np.moveaxis(color, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(planar.pixels, color)
    np.testing.assert_array_equal(written(color, photometric="rgb", byteorder=">").pixels, color)
    half = written(noise(np.float32).astype(np.float16), photometric="rgb")
    assert half.pixels.dtype == np.float32
    assert half.state is ColorState.LINEAR
    white_is_zero = written(np.array([[0, 200]], np.uint8), photometric="miniswhite")
    assert white_is_zero.pixels[..., 0].tolist() == [[255, 55]]
    stack = written(noise(np.uint8, 3)[None].repeat(3, axis=0), photometric="rgb")
    assert stack.meta.notes == ("first page of 3",)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_value_lzw_tiff(mode, noise, pillow_bytes):
    image = Image.fromarray(noise(channels=4)).convert(mode)
    photo = io.read_bytes(pillow_bytes(image, "TIFF", compression="tiff_lzw"))
    samples = np.asarray(image).reshape(*photo.pixels.shape[:2], -1)
    np.testing.assert_array_equal(photo.pixels, samples[..., : photo.pixels.shape[2]])
    if mode.endswith("A"):
        np.testing.assert_array_equal(photo.layers["alpha"], samples[..., -1:])


def test_value_lzw_tiff_16_bits(noise):
    import cv2

    pixels = noise(np.uint16)
    _, data = cv2.imencode(".tiff", pixels[..., ::-1])  # OpenCV writes LZW with a predictor
    np.testing.assert_array_equal(io.read_bytes(data.tobytes()).pixels, pixels)


def test_value_dng_like_tiff_is_raw():
    stream = std_io.BytesIO()
    tifffile.imwrite(stream, np.zeros((4, 4), np.uint16), extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
    assert formats.detect(stream, "plain.tif").name == "raw"
    plain = std_io.BytesIO()
    tifffile.imwrite(plain, np.zeros((4, 4), np.uint16))
    assert formats.detect(plain, "plain.tif").name == "tiff"


def test_error_heic_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    data = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"
    with pytest.raises(InputError, match="pip install pi-heif"):
        io.read_bytes(data, "a.heic")


def test_error_exr_without_color():
    import OpenEXR

    stream = std_io.BytesIO()
    OpenEXR.File({}, {"Z": np.zeros((4, 4), np.float32)}).write(stream)
    with pytest.raises(InputError, match="Z"):
        io.read_bytes(stream.getvalue())


def test_value_exr_extra_channels_are_named():
    import OpenEXR

    stream = std_io.BytesIO()
    plane = np.ones((4, 4), np.float32)
    OpenEXR.File({}, {"R": plane, "G": plane, "B": plane, "Z": plane}).write(stream)
    assert io.read_bytes(stream.getvalue()).meta.notes == ("left out channels: Z",)


def test_value_cmyk_by_profile_is_noted(pillow_bytes):
    """A profile of the wrong kind is not used; a real CMYK one is too large to make here."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = io.read_bytes(cmyk_jpeg(pillow_bytes, icc_profile=srgb))
    assert any("without a profile" in note for note in photo.meta.notes)
