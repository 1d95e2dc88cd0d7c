import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from photonet.color import ColorState, srgb_encode
from photonet.errors import InputError, UsageError
from photonet.photo import Metadata, Photo
from photonet_cli.compare import MAX_PAIRS, Pair, write_page
from photonet_cli.compare_crops import choose_crops, crop_side, display, measure_detail, preview


def from_memory(photos: dict[str, Photo]) -> dict[str, Callable[[Path], Photo]]:
    """What `write_page` reads with, where nothing is on disk."""

    def read(path: Path) -> Photo:
        return photos[path.name]

    return {"read": read, "read_result": read}


class Page(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.source = path.read_text("utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def images(self) -> list[np.ndarray]:
        """The pixels of every picture on the page."""
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        jpegs = [base64.b64decode(source.removeprefix("data:image/jpeg;base64,"), validate=True) for source in sources]
        return [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs]

    def boxes(self) -> list[tuple[int, ...]]:
        """Left, top, width and height of every crop, as its caption says."""
        return [tuple(map(int, found)) for found in re.findall(r"x (\d+)\s+y (\d+)\s+(\d+)\S(\d+)", self.text)]


def textured(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth waves that differ everywhere, so that a crop from a wrong place is noticed; uint8 H W C."""
    rows, columns = np.mgrid[:height, :width] / 40.0
    waves = [np.sin(rows * (1 + k) + columns * (2 - k) + rows * columns / 9 + seed) for k in range(channels)]
    return (128 + 90 * np.stack(waves, axis=2)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    clean = textured(480, 700)
    noise = np.random.default_rng(0).normal(0, 8, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    before, after = save(tmp_path / "before.png", noisy), save(tmp_path / "after.png", clean)
    return Pair("before.png", before, after, "noise 8.0 found, 0.8 s")


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_smoke(pair: Pair, tmp_path: Path):
    path = write_page([pair], tmp_path / "page.html", "photonet denoise", overwrite=False)
    page = Page(path)
    assert path == tmp_path / "page.html"
    assert "noise 8.0 found, 0.8 s" in page.text
    assert "480 px" in page.text
    assert sum(tag == "nav" for tag, _ in page.tags) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["after.png", "before.png", "page.html"]


def test_nothing_from_elsewhere(pair: Pair, tmp_path: Path):
    page = Page(write_page([pair], tmp_path / "page.html", "t", overwrite=False))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[\w+/=]+", "", page.source))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")


def test_images_are_the_pictures(pair: Pair, tmp_path: Path):
    page = Page(write_page([pair], tmp_path / "page.html", "t", overwrite=False))
    before, after, *crops = page.images()
    assert before.shape == after.shape == (480, 700, 3)
    assert distance(before, pixels_of(pair.before)) < 6
    assert distance(after, pixels_of(pair.after)) < 2
    boxes = page.boxes()
    assert len(crops) == 2 * len(boxes)
    assert 3 <= len(boxes) <= 4
    for (left, top, width, height), crop_before, crop_after in zip(boxes, crops[::2], crops[1::2], strict=True):
        assert crop_before.shape[:2] == crop_after.shape[:2] == (height, width)
        window = slice(top, top + height), slice(left, left + width)
        assert distance(crop_before, pixels_of(pair.before)[window]) < 3  # the noise itself is 6.4
        assert distance(crop_after, pixels_of(pair.after)[window]) < 2
        shifted = slice(top, top + height - 8), slice(left, left + width - 8)
        assert distance(crop_after[8:, 8:], pixels_of(pair.after)[shifted]) > 8


def test_text_is_escaped(pair: Pair, tmp_path: Path):
    name = '<b>"it\'s"</b> & <script>alert(1)</script> 夏の花.jpg'
    hostile = Pair(name, pair.before, pair.after, "<i>caption</i>")
    page = Page(write_page([hostile, hostile], tmp_path / "page.html", "<u>title</u>", overwrite=False))
    tags = [tag for tag, _ in page.tags]
    assert not {"b", "u", "i"} & set(tags) - {"b"}
    assert tags.count("script") == 1
    assert "<u>title</u>" in page.text
    assert page.text.count(name) == 4  # twice in the index, twice as a heading
    labels = [
        attributes["alt"]
        for tag, attributes in page.tags
        if tag == "img" and attributes["alt"] not in ("before", "after")
    ]
    assert labels == [f"{name}, before", f"{name}, after"] * 2


def test_name_that_is_no_text(pair: Pair, tmp_path: Path):
    bad = Pair(b"\xff.jpg".decode("utf-8", "surrogateescape"), pair.before, pair.after, "")
    assert "?.jpg" in Page(write_page([bad], tmp_path / "page.html", "t", overwrite=False)).text


def test_many_pairs(tmp_path: Path):
    small = save(tmp_path / "small.png", textured(24, 40))
    pairs = [Pair(f"{number}.png", small, small, "") for number in range(MAX_PAIRS + 7)]
    page = Page(write_page(pairs, tmp_path / "page.html", "t", overwrite=False))
    assert [tag for tag, _ in page.tags].count("section") == MAX_PAIRS
    assert "7 are left out" in page.text
    targets = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert targets == {attributes["id"] for tag, attributes in page.tags if tag == "section"}


def test_size_is_bounded(tmp_path: Path):
    clean = textured(1500, 2200)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 50, clean.shape), 0, 255).astype(np.uint8)
    before, after = save(tmp_path / "before.png", noisy), save(tmp_path / "after.png", clean)
    path = write_page([Pair("noise", before, after, "")], tmp_path / "page.html", "t", overwrite=False)
    assert path.stat().st_size < 720_000
    assert max(Page(path).images()[0].shape) <= 1600


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2000), (2000, 3), (64, 64), (63, 500), (321, 960)])
def test_any_size(tmp_path: Path, height: int, width: int):
    pixels = textured(height, width)
    before, after = save(tmp_path / "before.png", pixels), save(tmp_path / "after.png", 255 - pixels)
    page = Page(write_page([Pair("p", before, after, "")], tmp_path / "page.html", "t", overwrite=False))
    for left, top, wide, high in page.boxes():
        assert 0 <= left <= left + wide <= width
        assert 0 <= top <= top + high <= height


def test_gray_beside_color(tmp_path: Path):
    before = save(tmp_path / "before.png", textured(300, 400, channels=1))
    after = save(tmp_path / "after.png", textured(300, 400))
    shapes = [
        image.ndim
        for image in Page(
            write_page([Pair("p", before, after, "")], tmp_path / "p.html", "t", overwrite=False)
        ).images()
    ]
    assert shapes[:2] == [2, 3]


def test_linear_and_deep_pictures(tmp_path: Path):
    linear = np.linspace(-0.1, 1.2, 300 * 400 * 3, dtype=np.float32).reshape(300, 400, 3)
    deep = (srgb_encode(linear.clip(0, 1)) * 65535).astype(np.uint16)
    linear[0, 0] = np.nan
    photos = {"before": Photo(linear, ColorState.LINEAR), "after": Photo(deep, ColorState.SRGB)}
    pair = Pair("p", Path("before"), Path("after"), "")
    page = Page(write_page([pair], tmp_path / "p.html", "t", overwrite=False, **from_memory(photos)))
    before, after, *_ = page.images()
    assert distance(before, after) < 1.5


def test_display_values():
    linear = np.array([[[0.0, 0.2158605, 1.0], [-1.0, 5.0, np.inf]]], dtype=np.float32)
    shown = display(Photo(linear, ColorState.LINEAR), slice(None))
    assert shown.tolist() == [[[0, 128, 255], [0, 255, 255]]]  # 0.2158605 encodes to 128 / 255
    deep = np.array([[[0, 257 * 100, 65535]]], dtype=np.uint16)
    assert display(Photo(deep), slice(None)).tolist() == [[[0, 100, 255]]]


def test_preview_keeps_the_mean():
    photo = Photo(textured(1200, 1805))
    small = preview(photo, 400)
    assert small.size == (400, 266)
    assert np.asarray(small).mean() == pytest.approx(photo.pixels.mean(), abs=0.5)


def test_crops_find_the_change():
    before, after = np.full((960, 1280, 3), 90, np.uint8), np.full((960, 1280, 3), 90, np.uint8)
    before[700:800, 1000:1100] += np.random.default_rng(0).integers(0, 40, (100, 100, 3), dtype=np.uint8)
    size = (1280, 960)
    crops = choose_crops(size, measure_detail(Photo(before)), measure_detail(Photo(after)))
    side = crop_side(size)
    assert [crop.reason for crop in crops[:3]] == ["center", "largest change", "flat area"]
    assert crops[0].box == ((1280 - side) // 2, (960 - side) // 2, side, side)
    left, top, width, height = crops[1].box
    assert left <= 1000 <= 1100 <= left + width
    assert top <= 700 <= 800 <= top + height


def test_crops_do_not_overlap():
    rng = np.random.default_rng(0)
    for size in ((1280, 960), (448, 300), (700, 701), (5000, 400), (130, 70), (4000, 6000)):
        cells = crop_side(size) // 4
        before, after = (rng.random((size[1] // cells, size[0] // cells)) * 100 for _ in range(2))
        crops = choose_crops(size, before, after)
        assert len(crops) >= 3
        for number, one in enumerate(crops):
            for other in crops[:number]:
                apart = [abs(one.box[axis] - other.box[axis]) >= one.box[2] for axis in (0, 1)]
                assert any(apart)


def test_same_page_twice(pair: Pair, tmp_path: Path):
    one = write_page([pair], tmp_path / "one.html", "t", overwrite=False)
    two = write_page([pair], tmp_path / "two.html", "t", overwrite=False)
    assert one.read_bytes() == two.read_bytes()


def test_profile_is_kept(tmp_path: Path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = textured(60, 80)
    photos = {
        "before": Photo(pixels, meta=Metadata(icc=profile)),
        "after": Photo(pixels[:, :, :1], meta=Metadata(icc=profile)),  # a profile for RGB on a gray picture
    }
    pair = Pair("p", Path("before"), Path("after"), "")
    path = write_page([pair], tmp_path / "p.html", "t", overwrite=False, **from_memory(photos))
    jpegs = [base64.b64decode(data) for data in re.findall(r"base64,([\w+/=]+)", path.read_text("utf-8"))]
    profiles = [Image.open(io.BytesIO(jpeg)).info.get("icc_profile") for jpeg in jpegs]
    assert profiles == [profile, None] * 2


def test_error(pair: Pair, tmp_path: Path):
    page = tmp_path / "page.html"
    with pytest.raises(UsageError, match="no picture"):
        write_page([], page, "t", overwrite=False)
    other = save(tmp_path / "other.png", textured(480, 699))
    with pytest.raises(InputError, match=r"other\.png.*700x480.*699x480"):
        write_page([pair, Pair("p", pair.before, other, "")], page, "t", overwrite=False)
    assert not page.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["after.png", "before.png", "other.png"]
    page.write_text("mine")
    with pytest.raises(UsageError, match=r"page\.html"):
        write_page([pair], page, "t", overwrite=False)
    assert page.read_text() == "mine"
    assert write_page([pair], page, "t", overwrite=True).stat().st_size > 1000
