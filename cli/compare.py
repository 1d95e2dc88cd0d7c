"""The page that `--compare` writes: before and after in one HTML file that needs nothing else."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from photonet.color import ColorState
from photonet.errors import InputError, UsageError
from photonet.io import read as read_photo
from photonet.io.atomic import check_target, write_atomic
from photonet.io.metadata.icc import fitting
from photonet.photo import Photo

from .compare_crops import choose_crops, cut, measure_detail, preview, shrink

MAX_PAIRS = 60  # 60 pairs are about 40 MB: what a browser still opens without complaint
PREVIEW_SIDES = (1600, 1280, 1024)  # pixels on the long side of the sliding pictures; the first that fits
PAIR_BYTES = 525_000  # JPEG bytes of one pair: 700 kB in base64
CROP_BYTES = 72_000  # JPEG bytes of one crop, before and after
FULL_CHROMA, HALF_CHROMA = 0, 2  # Pillow's names for 4:4:4 and 4:2:0
# Crops are quantized alike at all frequencies, in steps of so many levels: JPEG's own tables wipe fine noise away,
# and a comparison would flatter the input (noise of 8 levels, at 75 kB: off by 5 levels this way, by 6 the usual way).
CROP_STEPS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 28, 40)
PREVIEW_QUALITIES = (95, 92, 88, 84, 80, 75, 70, 62, 54, 45)
FAIR = 6  # rather a smaller preview than one below the sixth quality
MAX_ICC_BYTES = 8_192  # profiles of displays are smaller; those of scanners and printers would fill the page


@dataclass(frozen=True)
class Pair:
    """One picture before and after.

    Args:
        name: heading, as a rule the file name.
        before: the input file.
        after: the result, with the same height and width.
        caption: one line on what was done ("noise 8.6 found, 0.8 s").
    """

    name: str
    before: Path
    after: Path
    caption: str


@dataclass(frozen=True)
class _Side:
    """What is kept of a picture when its pixels are dropped."""

    size: tuple[int, int]
    preview: Image.Image
    icc: bytes | None
    detail: np.ndarray | None


def write_page(
    pairs: Sequence[Pair],
    path: Path,
    title: str,
    *,
    overwrite: bool,
    read: Callable[[Path], Photo] = read_photo,
    read_result: Callable[[Path], Photo] = read_photo,
) -> Path:
    """Write one self-contained HTML page: a slider over every picture, and crops at full resolution.

    One picture is open at a time, so memory does not grow with their number. A page that cannot be finished leaves
    nothing behind.

    Args:
        pairs: the pictures; those after the first `MAX_PAIRS` are left out, and the page says how many.
        path: the page to write.
        title: heading of the page.
        overwrite: replace the page if it is there.
        read, read_result: open the file before, and the one after.

    Returns:
        The path of the page.
    """
    check_target(path, overwrite)
    if not pairs:
        raise UsageError("there is no picture to compare", path, "Give at least one picture with its result.")
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_name("compare.html").read_text("utf-8")
    )
    shown = pairs[:MAX_PAIRS]
    chunks = template.generate(
        title=title,
        names=[pair.name for pair in shown],
        left_out=len(pairs) - len(shown),
        sections=(_section(pair, read, read_result) for pair in shown),
    )
    # file names may hold bytes that are no text: they become question marks
    write_atomic(path, b"".join(chunk.encode("utf-8", "replace") for chunk in chunks), overwrite)
    return path


def _section(pair: Pair, read: Callable[[Path], Photo], read_result: Callable[[Path], Photo]) -> dict[str, Any]:
    """Everything that the template says about one pair."""
    before = _survey(read(pair.before))
    photo = read_result(pair.after)
    after = _survey(photo)
    if before.size != after.size:
        sizes = [f"{width}x{height}" for width, height in (before.size, after.size)]
        raise InputError(
            f"the input has {sizes[0]} pixels, the result {sizes[1]}", pair.after, "Compare pictures of one size."
        )
    crops = choose_crops(before.size, before.detail, after.detail)
    afters = [cut(photo, crop.box) for crop in crops]
    photo = read(pair.before)  # for a second time: where to look was not known the first time
    befores = [cut(photo, crop.box) for crop in crops]
    del photo

    icc = (before.icc, after.icc)
    jpegs = [_encode(images, icc, CROP_BYTES, _crop_settings()) for images in zip(befores, afters, strict=True)]
    previews = _encode_previews((before.preview, after.preview), icc, PAIR_BYTES - _total(*jpegs))
    return {
        "name": pair.name,
        "caption": pair.caption,
        "size": before.size,
        "preview": before.preview.size,
        "uris": _uris(previews),
        "crops": [
            {"box": crop.box, "reason": crop.reason, "uris": _uris(images)}
            for crop, images in zip(crops, jpegs, strict=True)
        ],
    }


def _survey(photo: Photo) -> _Side:
    return _Side(
        size=(photo.width, photo.height),
        preview=preview(photo, PREVIEW_SIDES[0]),
        icc=_usable_icc(photo),
        detail=measure_detail(photo),
    )


def _usable_icc(photo: Photo) -> bytes | None:
    """The profile, where a browser should apply it: small, of the right kind, and on display values."""
    icc = photo.meta.icc
    if photo.state is not ColorState.SRGB or not icc or len(icc) > MAX_ICC_BYTES:
        return None
    return fitting(icc, photo.pixels.shape[2])[0]


Images = tuple[Image.Image, Image.Image]
Jpegs = tuple[bytes, bytes]
Profiles = tuple[bytes | None, bytes | None]
Settings = Mapping[str, Any]  # of Pillow's JPEG writer


def _crop_settings() -> list[Settings]:
    tables = ([[step] * 64] * 2 for step in CROP_STEPS)
    return [{"qtables": table, "quality": 50, "subsampling": FULL_CHROMA} for table in tables]  # 50: tables as given


def _preview_settings(subsampling: int) -> list[Settings]:
    return [{"quality": quality, "subsampling": subsampling} for quality in PREVIEW_QUALITIES]


def _encode_previews(images: Images, icc: Profiles, limit: int) -> Jpegs:
    """Both previews as large as fits `limit` at a fair quality, else small at whatever quality fits.

    Colors are stored at full resolution where there is room: small pictures show their color noise as it is.
    """
    for side, subsampling in ((PREVIEW_SIDES[0], FULL_CHROMA), *((side, HALF_CHROMA) for side in PREVIEW_SIDES)):
        smaller = (shrink(images[0], side), shrink(images[1], side))
        jpegs = _encode(smaller, icc, limit, _preview_settings(subsampling)[:FAIR])
        if _total(jpegs) <= limit:
            return jpegs
    return _encode(smaller, icc, limit, _preview_settings(HALF_CHROMA))


def _encode(images: Images, icc: Profiles, limit: int, settings: Sequence[Settings]) -> Jpegs:
    """Both pictures in one way, so that the comparison is fair: the first that fits `limit`, else the last."""

    def encoded(setting: Settings) -> Jpegs:
        return _jpeg(images[0], icc[0], setting), _jpeg(images[1], icc[1], setting)

    low, high = 0, len(settings) - 1
    while low < high:
        middle = (low + high) // 2
        if _total(encoded(settings[middle])) <= limit:
            high = middle
        else:
            low = middle + 1
    return encoded(settings[low])


def _jpeg(image: Image.Image, icc: bytes | None, setting: Settings) -> bytes:
    buffer = io.BytesIO()  # not "optimize": Pillow's buffer for it is too small for noise, and it would raise
    image.save(buffer, "JPEG", icc_profile=icc, **setting)
    return buffer.getvalue()


def _total(*pairs: Jpegs) -> int:
    return sum(len(before) + len(after) for before, after in pairs)


def _uris(jpegs: Jpegs) -> tuple[str, ...]:
    return tuple("data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii") for jpeg in jpegs)
