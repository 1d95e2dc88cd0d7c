"""The bank of training examples: kept, used again, cropped at random."""

import numpy as np
import pytest
import torch

from photonet.engine.bank import build_bank
from photonet.engine.data import Source, list_sources, read_pictures
from photonet.engine.task import Network, Tiling
from photonet.errors import InputError
from photonet.io import READABLE_SUFFIXES


def network(channels=3, **changes):
    return Network("for tests", lambda config: None, lambda net: Tiling(), channels=channels, **changes)


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


def test_several_examples_of_one_source(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"frames")
    frames = [np.full((4, 5, 3), value, np.uint8) for value in (1, 2, 3)]
    bank = build_bank([Source("film", (file,))], lambda source: [{"target": f} for f in frames], tmp_path / "bank")
    assert [bank.example(index)["target"][0, 0, 0] for index in range(3)] == [1, 2, 3]


def test_draw_mixes_no_pairs_with_clean_pictures(bank_of):
    plain = [{"target": np.full((8, 8, 1), 10, np.uint8)} for _ in range(2)]
    pairs = [{"input": np.full((8, 8, 1), 20, np.uint8), "target": np.full((8, 8, 1), 30, np.uint8)} for _ in range(2)]
    bank = bank_of(plain[0], pairs[0], plain[1], pairs[1])
    kinds = set()
    for seed in range(20):
        batch = bank.draw(4, 8, seeded(seed))
        kinds.add(tuple(batch))
        assert batch["target"].unique().tolist() == [np.float32((30 if "input" in batch else 10) / 255)]
        assert len(batch["target"]) == 4
    assert kinds == {("target",), ("input", "target")}


def test_error_nothing_to_learn_from(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"frames")
    with pytest.raises(InputError, match="nothing to learn from in 1 files"):
        build_bank([Source("film", (file,))], lambda source: [], tmp_path / "bank")
