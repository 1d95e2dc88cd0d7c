"""What the codecs built on Pillow share: opening without decoding, pixels in stripes, modes, metadata."""

import threading
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from photonet.io.frame import Frame, Header, split_alpha
from photonet.io.metadata import icc as profiles
from photonet.io.metadata.exif_block import orientation, strip_prefix

STRIPE_PIXELS = 1 << 20
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L")

_limit_lock = threading.Lock()


class Carried(NamedTuple):
    """Raw metadata blocks, as a Frame wants them."""

    exif: bytes | None
    xmp: bytes | None
    icc: bytes | None


def open_image(stream: BinaryIO, *format_names: str) -> Any:
    """A Pillow image whose header is read, and no more.

    Pillow refuses large pictures through a global limit; ours is checked by `reading`, so its is lifted meanwhile.
    """
    from PIL import Image

    stream.seek(0)
    with _limit_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream, formats=list(format_names))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def probe(stream: BinaryIO, *format_names: str) -> Header:
    """Size and EXIF orientation from the header."""
    with open_image(stream, *format_names) as image:
        width, height = image.size
        return Header(width, height, orientation(carried(image).exif))


def carried(image: Any) -> Carried:
    """The metadata blocks of a Pillow image."""
    info = image.info
    return Carried(strip_prefix(info.get("exif")), info.get("xmp") or None, info.get("icc_profile") or None)


def frame_of(image: Any) -> Frame:
    """Decode an opened image of any mode: palettes are looked up, CMYK becomes sRGB, transparency becomes alpha.

    Raises OSError where the file ends before the picture does.
    """
    blocks = carried(image)
    notes: tuple[str, ...] = ()
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in ("WEBP", "AVIF", "PNG", "HEIF", "GIF"):  # a phone's JPEG has hidden companions
        notes += (f"first picture of {frames}",)
    if image.mode == "CMYK":
        image, note = profiles.cmyk_to_srgb(image, blocks.icc)
        blocks, notes = blocks._replace(icc=None), (*notes, note)
    pixels, alpha = split_alpha(_samples(_plain(image)))
    return Frame(pixels, alpha, **blocks._asdict(), orientation=orientation(blocks.exif), notes=notes)


def to_image(frame: Frame) -> Any:
    """An 8-bit frame as a Pillow image of mode L, LA, RGB or RGBA."""
    from PIL import Image

    samples = frame.samples
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def save_options(frame: Frame) -> dict[str, bytes]:
    """The metadata blocks that are present, as arguments for `Image.save`."""
    blocks = {"exif": frame.exif, "xmp": frame.xmp, "icc_profile": frame.icc}
    return {name: block for name, block in blocks.items() if block}


def _plain(image: Any) -> Any:
    """The same picture in one of the modes that map to an array directly."""
    transparent = "transparency" in image.info
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "L" and transparent:
        return image.convert("LA")
    if image.mode in ("P", "PA", "RGBa") or (image.mode == "RGB" and transparent):
        return image.convert("RGBA" if transparent or image.mode != "P" else "RGB")
    if image.mode == "La":
        return image.convert("LA")
    return image if image.mode in PLAIN_MODES else image.convert("RGB")


def _samples(image: Any) -> np.ndarray:
    """H W C samples, copied in stripes: Pillow's own conversion would hold the picture three times."""
    image.load()
    width, height = image.size
    samples = np.empty((height, width, len(image.getbands())), np.uint16 if image.mode.startswith("I;16") else np.uint8)
    rows = max(1, STRIPE_PIXELS // width)
    for top in range(0, height, rows):
        stripe = image.crop((0, top, width, min(top + rows, height)))
        samples[top : top + rows] = np.asarray(stripe).reshape(stripe.height, width, -1)
    return samples
