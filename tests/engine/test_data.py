"""Training examples: found, split, kept in a bank, cropped at random."""

import hashlib

import numpy as np
import pytest
import torch

from photonet.color import ColorState, srgb_decode
from photonet.engine.data import (
    Source,
    as_expected,
    build_bank,
    fingerprint,
    list_pictures,
    list_sources,
    read_pictures,
    split,
)
from photonet.engine.task import Network, Tiling
from photonet.errors import InputError, UsageError
from photonet.io import READABLE_SUFFIXES, write
from photonet.photo import Photo


def network(channels=3, **changes):
    return Network("for tests", lambda config: None, lambda net: Tiling(), channels=channels, **changes)


@pytest.fixture
def folder(tmp_path, random_photo):
    """Make a folder with small pictures."""

    def make(name, files, height=6, width=7):
        for number, file in enumerate(files):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            write(random_photo(height, width, seed=number), path, overwrite=True)
        return tmp_path / name

    return make


@pytest.fixture
def bank_of(tmp_path):
    """Make a bank of arrays: one dictionary for each example."""

    def make(*examples):
        sources = []
        for number, _ in enumerate(examples):
            file = tmp_path / f"{number}.raw"
            file.write_bytes(b"pixels")
            sources.append(Source(str(number), (file,)))
        return build_bank(sources, lambda source: examples[int(source.name)], tmp_path / "bank")

    return make


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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_bank_keeps_every_value(dtype, bank_of, random_photo):
    """Sizes that are no multiples of anything, one after another."""
    examples = [
        {"input": random_photo(h, w, 3, dtype, seed=w).pixels, "target": random_photo(h, w, 1, np.uint8).pixels}
        for h, w in ((3, 5), (1, 1), (7, 2))
    ]
    bank = bank_of(*examples)
    assert len(bank) == 3
    for index, example in enumerate(examples):
        kept = bank.example(index)
        assert list(kept) == ["input", "target"]
        for name, array in example.items():
            assert kept[name].dtype == array.dtype
            np.testing.assert_array_equal(kept[name], array)


def test_bank_is_used_again_for_the_same_files(folder, tmp_path):
    photos = folder("photos", ["a.png", "b.png"])
    read = []

    def sample(source):
        read.append(source.name)
        return read_pictures(source, network())

    def build():
        read.clear()
        return build_bank(list_sources(photos, None, READABLE_SUFFIXES), sample, tmp_path / "bank")

    build()
    assert read == ["a.png", "b.png"]
    assert len(build()) == 2
    assert read == []
    folder("photos", ["a.png"], height=9)  # another picture of the same name
    assert build().example(0)["target"].shape == (9, 7, 3)
    assert read == ["a.png", "b.png"]
    (photos / "b.png").unlink()
    assert len(build()) == 1


def test_bank_reports_progress(folder, tmp_path):
    sources, done = list_sources(folder("photos", ["a.png", "b.png"]), None, READABLE_SUFFIXES), []
    build_bank(sources, lambda source: read_pictures(source, network()), tmp_path / "bank", progress=done.append)
    assert done == [1, 2]


def test_a_bank_that_was_not_finished_is_built_anew(folder, tmp_path):
    sources = list_sources(folder("photos", ["a.png", "b.png"]), None, READABLE_SUFFIXES)

    def fails(source):
        if source.name == "b.png":
            raise InputError("broken", source.name)
        return read_pictures(source, network())

    with pytest.raises(InputError):
        build_bank(sources, fails, tmp_path / "bank")
    assert len(build_bank(sources, lambda source: read_pictures(source, network()), tmp_path / "bank")) == 2


def test_error_pair_of_two_sizes(bank_of):
    with pytest.raises(InputError, match=r"0: the pictures of a pair differ in size: input 5×4, target 5×6"):
        bank_of({"input": np.zeros((4, 5, 3), np.uint8), "target": np.zeros((6, 5, 3), np.uint8)})


def test_fingerprint(folder):
    sources = list_sources(folder("photos", ["a.png"]), None, READABLE_SUFFIXES)
    size = sources[0].files[0].stat().st_size
    assert fingerprint(sources) == hashlib.sha256(f"a.png [{size}]".encode()).hexdigest()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_draw_is_deterministic(bank_of, random_photo):
    bank = bank_of({"target": random_photo(20, 30).pixels}, {"target": random_photo(16, 16).pixels})
    first, again, other = (bank.draw(8, 8, seeded(seed))["target"] for seed in (1, 1, 2))
    assert first.shape == (8, 3, 8, 8)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_draw_range(dtype, white, bank_of, random_photo):
    pixels = random_photo(12, 9, dtype=dtype).pixels
    crops = bank_of({"target": pixels}).draw(16, 8, seeded(0))["target"]
    assert crops.min() >= 0
    assert crops.max() <= 1
    known = torch.from_numpy((pixels.astype(np.float32) / white).ravel())
    assert torch.isin(crops, known).all()


def turned(crop):
    """The eight ways a crop can be flipped and turned."""
    return [part.rot90(turns, (-2, -1)) for part in (crop, crop.flip(-1)) for turns in range(4)]


def test_draw_reaches_every_place_and_turn(bank_of):
    """Crops of 2×2 from 3×4: 2·3 places, 8 turns of each, all of them and nothing else."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    picture = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    windows = [picture[:, y : y + 2, x : x + 2] for y in range(2) for x in range(3)]
    expected = {tuple(crop.flatten().tolist()) for window in windows for crop in turned(window)}
    crops = bank_of({"target": pixels}).draw(800, 2, seeded(0))["target"]
    assert {tuple(crop.flatten().tolist()) for crop in crops} == expected
    assert len(expected) == 48


def test_draw_reflects_small_pictures(bank_of, random_photo):
    pixels = random_photo(3, 5).pixels
    padded = torch.from_numpy(np.pad(pixels, [(0, 5), (0, 3), (0, 0)], mode="symmetric")).permute(2, 0, 1) / 255
    for crop in bank_of({"target": pixels}).draw(6, 8, seeded(0))["target"]:
        assert any(torch.equal(crop, way) for way in turned(padded))


def test_draw_keeps_pairs_aligned(bank_of, random_photo):
    target = random_photo(20, 33).pixels
    bank = bank_of({"input": 255 - target, "target": target}, {"input": 255 - target[:5], "target": target[:5]})
    batch = bank.draw(32, 8, seeded(0))
    torch.testing.assert_close(batch["input"] + batch["target"], torch.ones(32, 3, 8, 8))
    assert batch["target"].std() > 0.1


def test_draw_by_the_root_of_the_area(bank_of):
    """Four times the area counts twice: 2/3 of the crops."""
    bank = bank_of({"target": np.zeros((16, 16, 1), np.uint8)}, {"target": np.full((32, 32, 1), 255, np.uint8)})
    assert bank.draw(1500, 2, seeded(0))["target"].mean().item() == pytest.approx(2 / 3, abs=0.03)
