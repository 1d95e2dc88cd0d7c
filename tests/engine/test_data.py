"""Training examples: found, split and read."""

import hashlib

import numpy as np
import pytest

from photonet.color import ColorState, srgb_decode
from photonet.engine.data import (
    Source,
    as_expected,
    fingerprint,
    list_pictures,
    list_sources,
    read_pictures,
    split,
)
from photonet.engine.task import Network, Tiling
from photonet.errors import InputError, UsageError
from photonet.io import READABLE_SUFFIXES
from photonet.photo import Photo


def network(channels=3, **changes):
    return Network("for tests", lambda config: None, lambda net: Tiling(), channels=channels, **changes)


def test_list_photos(folder):
    photos = folder("photos", ["b.png", "a.jpg", "sub/c.tif"])
    (photos / "notes.txt").write_text("no picture")
    (photos / ".hidden.png").write_bytes(b"")
    sources = list_sources(photos, None, READABLE_SUFFIXES)
    assert [source.name for source in sources] == ["a.jpg", "b.png", "sub/c.tif"]
    assert sources[2].files == (photos / "sub" / "c.tif",)


def test_list_pairs(folder):
    noisy, clean = folder("noisy", ["a.jpg", "sub/b.jpg"]), folder("clean", ["a.png", "sub/b.jpg"])
    sources = list_sources(None, (noisy, clean), READABLE_SUFFIXES)
    assert sources == [
        Source("a", (noisy / "a.jpg", clean / "a.png")),
        Source("sub/b", (noisy / "sub" / "b.jpg", clean / "sub" / "b.jpg")),
    ]


def test_error_partners(folder):
    noisy, clean = folder("noisy", ["a.png", "b.png", "c.png"]), folder("clean", ["a.png", "d.png"])
    with pytest.raises(UsageError, match="3 pictures have no partner: b, c, d") as caught:
        list_sources(None, (noisy, clean), READABLE_SUFFIXES)
    assert str(noisy) in caught.value.where
    assert str(clean) in caught.value.where


def test_error_same_name_twice(folder):
    noisy, clean = folder("noisy", ["a.jpg", "a.png"]), folder("clean", ["a.png"])
    with pytest.raises(UsageError, match=r"noisy: a.jpg and a.png cannot be told apart"):
        list_sources(None, (noisy, clean), READABLE_SUFFIXES)


def test_error_nothing_there(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        list_pictures(tmp_path / "missing", READABLE_SUFFIXES)
    with pytest.raises(InputError, match="no pictures in this folder"):
        list_sources(tmp_path, None, READABLE_SUFFIXES)
    with pytest.raises(UsageError, match="exactly one of --photos and --pairs"):
        list_sources(None, None, READABLE_SUFFIXES)
    with pytest.raises(UsageError, match="exactly one of --photos and --pairs"):
        list_sources(tmp_path, (tmp_path, tmp_path), READABLE_SUFFIXES)


def test_folders_of_frames_and_their_targets(folder):
    bursts = folder("bursts", ["a/1.png", "a/0.png", "deep/b/0.png"])
    clean = folder("clean", ["a.png", "deep/b.png"])
    sources = list_sources(None, (bursts, clean), READABLE_SUFFIXES, merged=True)
    assert [(s.name, [f.name for f in s.files]) for s in sources] == [
        ("a", ["0.png", "1.png", "a.png"]),
        ("deep/b", ["0.png", "b.png"]),
    ]
    (clean / "a.png").unlink()
    with pytest.raises(UsageError, match="no partner: a"):
        list_sources(None, (bursts, clean), READABLE_SUFFIXES, merged=True)


def names_of(sources):
    return [source.name for source in sources]


def test_split():
    sources = [Source(name, ()) for name in ("clic-000.png", "clic-001.png", "cid-000.png", "sub/clic-002.png")]
    rest, held = split(sources, ["clic-00[01]*", "sub/*"])
    assert names_of(held) == ["clic-000.png", "clic-001.png", "sub/clic-002.png"]
    assert names_of(rest) == ["cid-000.png"]
    assert names_of(split(sources, ["nothing-*", "none"])[1]) == ["clic-000.png"]  # a recipe from other pictures


@pytest.mark.parametrize(("count", "held"), [(1, 1), (2, 1), (20, 1), (21, 2), (100, 5)])
def test_split_without_patterns(count, held):
    sources = [Source(str(number), ()) for number in range(count)]
    training, validation = split(sources, ())
    assert len(validation) == held
    assert training
    assert count == 1 or not set(names_of(training)) & set(names_of(validation))


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, 153), (np.uint16, 153), (np.float32, 153.0)])
def test_value_as_expected_gray(dtype, expected):
    """0.299·100 + 0.587·200 + 0.114·50 = 153.0 for display values."""
    photo = Photo(np.array([[[100, 200, 50]]], dtype))
    gray = as_expected(photo, network(channels=1))
    assert gray.shape == (1, 1, 1)
    assert gray.dtype == dtype
    assert gray.item() == pytest.approx(expected, rel=1e-6)


def test_value_as_expected(random_photo):
    gray = random_photo(3, 4, channels=1)
    np.testing.assert_array_equal(as_expected(gray, network()), np.repeat(gray.pixels, 3, 2))
    color = random_photo(3, 4)
    assert as_expected(color, network()) is color.pixels
    linear = as_expected(color, network(expects=ColorState.LINEAR))
    assert linear.dtype == np.float32
    np.testing.assert_allclose(linear, srgb_decode(color.pixels / 255), rtol=1e-4, atol=1e-6)


def test_read_pictures(folder):
    noisy, clean = folder("noisy", ["x.png", "a.png"]), folder("clean", ["a.png"])
    pair = read_pictures(Source("a", (noisy / "a.png", clean / "a.png")), network())
    assert list(pair) == ["input", "target"]
    assert not np.array_equal(pair["input"], pair["target"])
    assert list(read_pictures(Source("a", (clean / "a.png",)), network())) == ["target"]


def test_fingerprint(folder):
    sources = list_sources(folder("photos", ["a.png"]), None, READABLE_SUFFIXES)
    size = sources[0].files[0].stat().st_size
    assert fingerprint(sources) == hashlib.sha256(f"a.png [{size}]".encode()).hexdigest()


def test_a_star_stands_for_any_folder(folder):
    """GoPro's layout as it is."""
    for scene in ("GOPR1", "GOPR2"):
        for kind in ("blur", "blur_gamma", "sharp"):
            root = folder(f"train/{scene}/{kind}", ["000047.png", "000048.png"])
    train = root.parent.parent
    sources = list_sources(None, (train / "*" / "blur_gamma", train / "*" / "sharp"), READABLE_SUFFIXES)
    assert [source.name for source in sources] == [f"GOPR{n}/00004{m}" for n in (1, 2) for m in (7, 8)]
    for source in sources:
        scene, name = source.name.split("/")
        assert source.files == (train / scene / f"blur_gamma/{name}.png", train / scene / f"sharp/{name}.png")


def test_a_star_stands_for_any_folder_of_bursts(folder):
    for scene in ("a", "b"):
        root = folder(f"{scene}/noisy/night", ["1.png", "2.png"])
        folder(f"{scene}/clean", ["night.png"])
    scenes = root.parent.parent.parent
    sources = list_sources(None, (scenes / "*" / "noisy", scenes / "*" / "clean"), READABLE_SUFFIXES, merged=True)
    assert [source.name for source in sources] == ["a/night", "b/night"]
    files = ("b/noisy/night/1.png", "b/noisy/night/2.png", "b/clean/night.png")
    assert sources[1].files == tuple(scenes / file for file in files)


def test_error_a_star_stands_for_nothing(folder):
    clean = folder("train/a/sharp", ["1.png"])
    with pytest.raises(UsageError, match="no such folder"):
        list_sources(None, (clean.parent.parent / "*" / "blurry", clean), READABLE_SUFFIXES)
