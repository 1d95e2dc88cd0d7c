"""Pictures and metadata blocks, small and made by hand."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from photonet.photo import Metadata, Photo

HEIGHT, WIDTH = 24, 40


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def noise(rng):
    """Random pixels of a depth and a number of channels."""

    def make(dtype=np.uint8, channels=3, height=HEIGHT, width=WIDTH):
        if np.dtype(dtype).kind == "f":
            return rng.random((height, width, channels), dtype=np.float32)
        return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype, endpoint=True)

    return make


@pytest.fixture
def smooth():
    """A soft 8-bit ramp that lossy formats keep within a few levels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([5 * x, 8 * y, 3 * (x + y)], axis=2).astype(np.uint8)


@pytest.fixture
def wide_gamut():
    """An RGB profile with Display P3 primaries: a made sRGB one, its colorant tags overwritten."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2919, 0.6922, 0.0419),
        b"bXYZ": (0.1572, 0.0666, 0.7841),
    }
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in colorants:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in colorants[name]))
    return bytes(profile)


@pytest.fixture
def exif():
    """A block as a camera writes it: big-endian, with orientation, exposure, maker note, place and comment."""

    def make(orientation=1):
        block = Image.Exif()
        block[0x010F], block[0x0110], block[0x0132] = "Canonet", "QL17", "2026:11:08 10:20:30"
        block[0x0112] = orientation
        block.get_ifd(0x8769).update(
            {
                0x829A: IFDRational(1, 250),
                0x829D: IFDRational(28, 10),
                0x8827: 400,
                0x927C: b"maker note",
                0x9286: b"ASCII\0\0\0hello",
            }
        )
        block.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.5)})
        return block.tobytes().removeprefix(b"Exif\0\0")

    return make


@pytest.fixture
def xmp():
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="t"/></x:xmpmeta>'


@pytest.fixture
def full_photo(smooth, exif, xmp, wide_gamut):
    """A picture with every kind of metadata."""
    return Photo(smooth, meta=Metadata(exif=exif(), xmp=xmp, icc=wide_gamut))


@pytest.fixture
def pillow_bytes():
    """A file made by Pillow from an image and `save` options."""

    def make(image, format, **options):
        stream = io.BytesIO()
        image.save(stream, format, **options)
        return stream.getvalue()

    return make
