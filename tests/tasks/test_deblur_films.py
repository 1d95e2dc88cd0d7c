"""Films as training pairs: long exposures of what moves in them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from photonet.color import srgb_decode, srgb_encode
from photonet.engine.data import Source
from photonet.io import read_frames, write
from photonet.photo import Photo
from photonet.tasks.deblur import TASK
from photonet.tasks.deblur.films import exposure, exposures, sample

SIDE = 150  # pixels of a frame


def frames_of(scene: np.ndarray, count: int, step: float) -> list[np.ndarray]:
    """A camera that moves to the right over a scene, in whole pixels."""
    codes = (scene * 255).round().astype(np.uint8)
    return [np.ascontiguousarray(codes[:SIDE, round(k * step) : round(k * step) + SIDE]) for k in range(count)]


@pytest.fixture
def film(tmp_path: Path):
    """Write frames as a film."""

    def make(frames: list[np.ndarray], name: str = "film.mp4") -> Path:
        path, (height, width) = tmp_path / name, frames[0].shape[:2]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
        if not writer.isOpened():
            pytest.skip("OpenCV has no encoder for mp4v")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path

    return make


def rms(first: np.ndarray, second: np.ndarray) -> float:
    """Without the border, where the flow is made up."""
    inner = slice(16, -16)
    return float(np.sqrt(np.square(first[inner, inner].astype(float) - second[inner, inner]).mean()))


@pytest.mark.parametrize(("count", "step"), [(3, 2), (5, 2), (3, 5)])
def test_exposure(scene: np.ndarray, count: int, step: int):
    """The mean light of all places between the first and the last, around the middle frame."""
    frames = frames_of(scene, count, step)
    blurred = exposure(frames)
    assert blurred is not None
    assert (blurred.dtype, blurred.shape) == (np.uint8, (SIDE, SIDE, 3))
    light = srgb_decode(np.stack(frames_of(scene, (count - 1) * step + 1, 1)) / 255).mean(0)
    expected, middle = srgb_encode(light) * 255, frames[count // 2]
    assert rms(blurred, expected) < 0.2 * rms(blurred, middle)
    dimmer = np.stack(frames_of(scene, (count - 1) * step + 1, 1)).mean(0)  # the mean of what is shown
    assert rms(blurred, expected) < rms(blurred, dimmer)


def test_no_exposure(scene: np.ndarray):
    """Of what stands still or moves too fast, and over a cut."""
    frames, other = frames_of(scene, 3, 2), frames_of(np.ascontiguousarray(scene[::-1, ::-1]), 3, 2)
    assert exposure([frames[0]] * 3) is None
    assert exposure(frames_of(scene, 3, 40)) is None
    assert exposure([frames[0], frames[1], other[2]]) is None
    assert exposure([frames[0], other[1], other[2]]) is None


def test_exposures_of_a_film(scene: np.ndarray, film):
    """One every eight frames, of three, five and seven in turn; the middle one is the target, as it was read."""
    path = film(frames_of(scene, 34, 2))
    shown = list(read_frames(path))
    examples = list(exposures(path))
    assert len(examples) == 4
    for example, target, count in zip(examples, (6, 13, 20, 30), (3, 5, 7, 3), strict=True):
        assert example.keys() == {"blurred", "target"}
        np.testing.assert_array_equal(example["target"], shown[target])
        first = target - count // 2
        np.testing.assert_array_equal(example["blurred"], exposure(shown[first : first + count]))


def test_cuts_are_left_out(scene: np.ndarray, film):
    """A cut between frames 13 and 14: the exposure of frames 11 to 15 is not made, those before and after it are."""
    moving = frames_of(scene, 24, 2)
    cut = [frame if number < 14 else frame[::-1, ::-1] for number, frame in enumerate(moving)]
    path = film(cut)
    shown, examples = list(read_frames(path)), list(exposures(path))
    assert len(examples) == 2
    for example, target in zip(examples, (6, 20), strict=True):
        np.testing.assert_array_equal(example["target"], shown[target])


def test_large_films_are_halved(scene: np.ndarray, film):
    large = [cv2.resize(frame, (720, 400)) for frame in frames_of(scene, 8, 2)]
    (example,) = exposures(film(large))
    assert example["blurred"].shape == example["target"].shape == (200, 360, 3)


def test_sample(scene: np.ndarray, film, tmp_path: Path):
    """All the exposures of a film; of a picture the picture, of a pair the pair."""
    network = TASK.networks["unet"]
    moving = film(frames_of(scene, 16, 2))
    examples = list(sample(Source("film", (moving,)), network))
    assert [set(example) for example in examples] == [{"blurred", "target"}] * 2
    for name in ("a.png", "b.png"):
        write(Photo((scene * 255).astype(np.uint8)), tmp_path / name)
    files = tmp_path / "a.png", tmp_path / "b.png"
    picture, pair = (sample(Source("a", files[:count]), network) for count in (1, 2))
    assert [set(example) for example in (picture, pair)] == [{"target"}, {"input", "target"}]
    assert all(network.sample is sample for network in TASK.networks.values() if network.pairs)


@pytest.mark.parametrize("count", [16, 5])
def test_nothing_moves(scene: np.ndarray, film, count: int):
    """A still film, and one too short for an exposure."""
    path = film(frames_of(scene, count, 0), "still.MP4")
    assert list(sample(Source("film", (path,)), TASK.networks["unet"])) == []
