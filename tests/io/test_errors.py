"""Files that are not one whole picture, and what the messages say."""

import io as std_io
import os
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from photonet import io
from photonet.errors import ExitCode, InputError
from photonet.io.codecs import jpeg
from photonet.photo import Photo

FORMATS = ["jpeg", "png", "tiff", "webp", "avif", "exr", "hdr"]


@pytest.fixture
def cut(noise, tmp_path):
    """A file of a format, cut after a fraction of its bytes."""

    def make(name, fraction, **options):
        data = io.encode(Photo(noise(height=64, width=96)), name, **options)
        path = tmp_path / f"cut.{name}"
        path.write_bytes(data[: int(len(data) * fraction)])
        return path

    return make


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", FORMATS)
def test_error_truncated(cut, name, fraction):
    path = cut(name, fraction)
    with pytest.raises(InputError) as caught:
        io.read(path)
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_error_truncated_progressive_jpeg(noise, pillow_bytes):
    data = pillow_bytes(Image.fromarray(noise(height=64, width=96)), "JPEG", progressive=True)
    for fraction in (0.3, 0.6, 0.95):
        with pytest.raises(InputError):
            io.read_bytes(data[: int(len(data) * fraction)])


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_error_tiff_with_damaged_strips(compression, noise, pillow_bytes):
    data = bytearray(pillow_bytes(Image.fromarray(noise(height=64, width=96)), "TIFF", compression=compression))
    data[len(data) // 3 : len(data) // 3 + 400] = bytes(400)
    if compression == "jpeg":  # resynchronises, as every JPEG decoder does
        assert io.read_bytes(bytes(data)).width == 96
        return
    with pytest.raises(InputError, match="damaged"):
        io.read_bytes(bytes(data))


def test_value_jpeg_with_companions_behind_it(smooth):
    data = io.encode(Photo(smooth), "jpeg")
    photo = io.read_bytes(data + b"\0" * 100 + data[:60])
    np.testing.assert_array_equal(photo.pixels, io.read_bytes(data).pixels)


def test_value_end_marker_in_thumbnail_does_not_count(smooth):
    thumbnail = io.encode(Photo(smooth), "jpeg")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = io.encode(Photo(smooth), "jpeg")
    assert jpeg.is_complete(whole[:2] + segment + whole[2:])
    assert not jpeg.is_complete((whole[:2] + segment + whole[2:])[:-40])


def test_error_png_with_a_flipped_bit(noise):
    data = bytearray(io.encode(Photo(noise()), "png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(InputError, match="damaged"):
        io.read_bytes(bytes(data))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "empty"), (b"hello, not a picture\n", "text"), (bytes(range(200)), "no picture")]
)
def test_error_no_picture(content, message, tmp_path):
    path = tmp_path / "fake.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        io.read(path)
    assert caught.value.code == ExitCode.UNREADABLE


def test_error_paths(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        io.read(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="folder"):
        io.read(tmp_path)
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="link"):
        io.read(link)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_error_no_permission(tmp_path):
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(InputError, match="may not read"):
        io.read(path)


def test_error_no_permission_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError, match="may not read"):
        io.read(tmp_path / "a.jpg")


def huge_png():
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    parts = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", 0xAE426082)


def huge_jpeg(smooth):
    data = bytearray(io.encode(Photo(smooth), "jpeg"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, 60_000, 60_000)
    return bytes(data)


def test_error_bomb(smooth):
    for data in (huge_png(), huge_jpeg(smooth), b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n"):
        with pytest.raises(InputError, match="60000 x 60000"):
            io.read_bytes(data)


def test_value_pillow_limit_is_left_alone():
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError):
        io.read_bytes(huge_png())
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("name", ["tiff", "exr"])
def test_error_not_finite(name, noise):
    pixels = noise(np.float32)
    pixels[0, 0, 0], pixels[3, 5] = np.nan, np.inf
    stream = std_io.BytesIO()
    if name == "tiff":
        tifffile.imwrite(stream, pixels, photometric="rgb")
    else:
        import OpenEXR

        OpenEXR.File({}, {"RGB": pixels}).write(stream)
    with pytest.raises(InputError, match="2 of 960 pixels"):
        io.read_bytes(stream.getvalue(), f"a.{name}")
