"""Alignment: of frames made from photographs by known motions, and what is seen between their pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from photonet.camera.align import SMALLEST, STEPS, TILE, Motion, find_motion, sampled
from photonet.io import read

CLEAN = Path(__file__).parents[2] / "samples" / "clean"
NOISE = 0.02
CORNER = 20  # pixels that the reference begins right of and below the photograph, so that frames are all photograph


@pytest.fixture(scope="module")
def photographs():
    """All three of the samples, gray, between 0 and 1."""
    pixels = {name: read(CLEAN / f"{name}.png").pixels for name in ("astronaut", "camera", "cat")}
    return {name: np.float32(p.mean(2) / 255) for name, p in pixels.items()}


def noisy(picture, seed):
    return picture + np.random.default_rng(seed).normal(0, NOISE, picture.shape).astype(np.float32)


def warped(photograph, size, matrix):
    """Reference, and frame that shows it where the matrix takes its places."""
    height, width = size
    begin = np.array([[1, 0, CORNER], [0, 1, CORNER], [0, 0, 1.0]])
    motion = begin @ matrix @ np.linalg.inv(begin)
    frame = cv2.warpPerspective(photograph, motion, photograph.shape[::-1], flags=cv2.INTER_CUBIC)
    cut = np.s_[CORNER : CORNER + height, CORNER : CORNER + width]
    return noisy(photograph[cut], 1), noisy(frame[cut], 2)


def handheld(photograph, size, shift, degrees=0.0):
    """Reference, frame, and the matrix that takes places of the reference to those of the frame."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(((size[1] - 1) / 2, (size[0] - 1) / 2), degrees, 1)
    matrix[:2, 2] += shift
    return *warped(photograph, size, matrix), matrix


def grid(height, width):
    return np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))


def places_by(matrix, height, width):
    x, y = grid(height, width)
    a, b, c = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return np.stack([a / c, b / c], 2)


def error(motion, matrix, size):
    """Root mean square distance in pixels over the picture."""
    difference = motion.at(*grid(*size)) - places_by(matrix, *size)
    return np.sqrt(np.square(difference).sum(2).mean())


def still(size=(64, 64), offsets=None, factor=1, matrix=None):
    offsets = np.zeros((1, 1, 2)) if offsets is None else offsets
    return Motion(np.eye(3) if matrix is None else matrix, offsets, size, 1.0, 0.0, factor)


# 200 and 256 are sizes that a Fourier transform needs no padding for, 205 and 251 are not
@pytest.mark.parametrize("size", [(205, 251), (200, 256), (260, 270)])
@pytest.mark.parametrize(("shift", "degrees"), [((0, 0), 0), ((3.3, -5.7), 0), ((-2.2, 4.1), 0.7), ((10, 8), -1)])
@pytest.mark.parametrize("name", ["astronaut", "cat"])
def test_finds_shift_and_rotation(photographs, name, size, shift, degrees):
    reference, frame, matrix = handheld(photographs[name], size, shift, degrees)
    motion = find_motion(reference, frame)
    assert motion is not None
    assert error(motion, matrix, size) < 0.1
    assert motion.correlation > 0.9
    assert not motion.offsets.any()


@pytest.mark.parametrize("size", [(205, 251), (200, 256)])
def test_leaves_the_pictures_as_they_are(photographs, size):
    reference, frame, _ = handheld(photographs["cat"], size, (3, -5))
    before = reference.copy(), frame.copy()
    find_motion(reference, frame)
    np.testing.assert_array_equal(reference, before[0])
    np.testing.assert_array_equal(frame, before[1])


def test_brightness_on_any_scale(photographs):
    size = (205, 251)
    reference, frame, matrix = handheld(photographs["astronaut"], size, (3.3, -5.7))
    motion = find_motion(reference * 4000 + 100, frame * 4000 + 100)
    assert motion is not None
    assert error(motion, matrix, size) < 0.1
    assert not motion.offsets.any()


def test_tilt(photographs):
    """A homography that no shift and rotation comes near."""
    size, tilt = (205, 251), np.array([[1.02, 0.01, -2], [-0.005, 0.99, 1], [4e-5, -3e-5, 1]])
    motion = find_motion(*warped(photographs["astronaut"], size, tilt))
    assert motion is not None
    assert error(motion, tilt, size) < 0.15


def test_unrelated_pictures(photographs):
    size = np.s_[:205, :251]
    assert find_motion(noisy(photographs["astronaut"][size], 1), noisy(photographs["cat"][size], 2)) is None
    assert find_motion(noisy(photographs["astronaut"][size], 1), np.full((205, 251), 0.5, np.float32)) is None


def test_further_than_a_hand_moves(photographs):
    photograph = photographs["cat"]
    assert find_motion(noisy(photograph[:205, :251], 1), noisy(photograph[60:265, 100:351], 2)) is None


def test_reduced_view(photographs):
    """Found in a quarter of the pixels, places are those of all pixels."""
    size = (448, 440)
    reference, frame, matrix = handheld(photographs["camera"], size, (6.5, -9.25), 0.5)
    half = [cv2.resize(p, (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA) for p in (reference, frame)]
    motion = find_motion(*half, factor=2)
    assert motion is not None
    assert error(motion, matrix, size) < 0.2
    distances = np.linalg.norm(places_by(matrix, *size) - places_by(np.eye(3), *size), axis=2)
    assert motion.shift == pytest.approx(np.median(distances), abs=0.2)


def test_a_patch_that_moved_on_its_own(photographs):
    size, top, left, side = (290, 430), 64, 96, 64
    reference = photographs["cat"][: size[0], : size[1]]
    frame = reference.copy()
    frame[top - 3 : top - 3 + side, left + 4 : left + 4 + side] = reference[top : top + side, left : left + side]
    motion = find_motion(noisy(reference, 1), noisy(frame, 2))
    assert motion is not None
    middle = np.array([[left + side / 2]]), np.array([[top + side / 2]])
    found = motion.at(*middle)[0, 0] - np.array(middle)[:, 0, 0]
    assert np.hypot(*(found - (4, -3))) < 1.2  # tiles are compared with what is around them, which holds it back
    moved = motion.offsets.any(2)
    first, last = (top // TILE, left // TILE), ((top + side) // TILE, (left + side) // TILE)
    assert moved[first[0] + 1 : last[0] - 1, first[1] + 1 : last[1] - 1].all()
    far = np.ones_like(moved)
    far[max(first[0] - 3, 0) : last[0] + 3, first[1] - 3 : last[1] + 3] = False
    # the patch draws the homography a quarter of a pixel its way, and some tiles go back
    assert np.abs(motion.offsets[far]).max() < 0.5
    assert moved[far].mean() < 0.1
    x, y = grid(100, 200)
    rest = motion.at(x + 230, y + 190) - np.stack([x + 230, y + 190], 2)
    assert np.abs(rest).max() < 0.5


def test_unlike_grows_with_a_foreign_patch(photographs):
    reference = photographs["astronaut"][:208, :256]
    shares = []
    for side in (0, 48, 96):
        frame = reference.copy()
        frame[80 : 80 + side, 90 : 90 + side] = 1 - photographs["cat"][80 : 80 + side, 90 : 90 + side]
        motion = find_motion(noisy(reference, 1), noisy(frame, 2))
        assert motion is not None
        shares.append(motion.unlike)
        # of the tiles, those of the patch, and half a tile and what they are compared with around it
        assert shares[-1] <= ((side + 3 * TILE) / TILE) ** 2 / (13 * 16) * bool(side)
    assert shares[0] == 0
    assert shares[1] > 0.03
    assert shares[2] > shares[1] + 0.1


def test_pictures_too_small_for_it():
    generator = np.random.default_rng(4)
    reference, other = generator.random((2, SMALLEST - 1, 60), np.float32)
    motion = find_motion(reference, other, 3)
    assert motion is not None
    assert motion.shift == 0
    assert motion.factor == 3
    np.testing.assert_allclose(motion.at(*grid(69, 180)), places_by(np.eye(3), 69, 180), atol=1e-9)


def test_at_value():
    """A reduced pixel (u, v) lies at 2 u + 0.5; there a shift of one is one of two pixels."""
    matrix = np.array([[1, 0, 1.5], [0, 1, -2], [0, 0, 1]])
    x, y = grid(5, 6)
    found = still(matrix=matrix, factor=2).at(x, y)
    np.testing.assert_allclose(found, np.stack([x + 3, y - 4], 2), atol=1e-9)
    assert still(matrix=matrix, factor=2).shift == pytest.approx(5)
    # a magnification about the middle of the first reduced pixel, at 0.5
    np.testing.assert_allclose(
        still(matrix=np.diag([2, 2, 1.0]), factor=2).at(x, y), np.stack([2 * x - 0.5, 2 * y - 0.5], 2), atol=1e-9
    )


def test_offsets_between_the_middles_of_tiles():
    offsets = np.zeros((4, 4, 2))
    offsets[1, 2] = 4, -2
    motion = still(offsets=offsets)
    middle = (2.5 * TILE - 0.5, 1.5 * TILE - 0.5)
    columns = np.array([[middle[0], middle[0] + TILE / 2, middle[0] + TILE, middle[0] - TILE / 4]])
    rows = np.full_like(columns, middle[1])
    expected = np.array([[(4, -2), (2, -1), (0, 0), (3, -1.5)]])
    np.testing.assert_allclose(motion.at(columns, rows) - np.stack([columns, rows], 2), expected, atol=1e-9)


@pytest.mark.parametrize("width", [64, 72, 88])
def test_offsets_of_the_last_tile_lie_in_its_middle(width):
    """Where the width is no multiple of a tile, tiles are a little wider or narrower."""
    tiles = round(width / TILE)
    offsets = np.zeros((4, tiles, 2))
    offsets[:, -1, 0] = 1 + np.arange(4)
    offsets[:, -2, 0] = -1
    between = np.array([[width - width / tiles - 0.5]])  # the border of the last two
    found = still((64, width), offsets).at(between, np.array([[TILE / 2 - 0.5]]))
    np.testing.assert_allclose(found[0, 0, 0] - between[0, 0], 0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_sampled_at_whole_places(dtype, channels):
    pixels = (np.random.default_rng(1).random((20, 30, channels)) * 200).astype(dtype)
    x, y = grid(9, 11)
    values, seen = sampled(pixels, np.stack([x + 7, y + 5], 2))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, pixels[5:14, 7:18])
    assert seen.all()


def test_sampled_at_half_places():
    """The cubic of slope -3/4, halfway: -3, 19, 19 and -3 of 32."""
    pixels = np.random.default_rng(2).random((24, 30, 2), np.float32)
    weights = np.array([-3, 19, 19, -3]) / 32
    x, y = grid(10, 12)
    along = sum(w * pixels[6:16, 4 + k : 16 + k] for k, w in enumerate(weights))
    np.testing.assert_allclose(sampled(pixels, np.stack([x + 5.5, y + 6], 2))[0], along, atol=1e-6)
    both = sum(
        w * v * pixels[5 + i : 15 + i, 4 + k : 16 + k] for k, w in enumerate(weights) for i, v in enumerate(weights)
    )
    values, _ = sampled(pixels, np.stack([x + 5.5, y + 6.5], 2))
    np.testing.assert_allclose(values, both, atol=1e-6)
    cubic = cv2.remap(pixels, np.float32(x + 5.5), np.float32(y + 6.5), cv2.INTER_CUBIC)
    np.testing.assert_allclose(values, cubic, atol=1e-6)


def test_sampled_is_rounded_to_steps():
    pixels = np.random.default_rng(2).random((16, 16, 1), np.float32)
    x, y = grid(6, 6)
    places = np.stack([x + 5 + 3 / STEPS, y + 4], 2)
    np.testing.assert_array_equal(sampled(pixels, places)[0], sampled(pixels, places + 0.4 / STEPS)[0])
    assert not np.array_equal(sampled(pixels, places)[0], sampled(pixels, places + np.array([0.6 / STEPS, 0]))[0])


def test_sampled_says_what_is_outside():
    pixels = np.arange(20, dtype=np.float32).reshape(4, 5, 1)
    x = np.array([[-40, -0.6, -0.4, 4.4, 4.6, 2, 2, 2, 2, 900]])
    y = np.array([[1, 1, 1, 1, 1, -0.6, -0.4, 3.4, 3.6, 900]])
    values, seen = sampled(pixels, np.stack([x, y], 2))
    assert seen.tolist() == [[False, False, True, True, False, False, True, True, False, False]]
    assert values[0, 0, 0] == pixels[1, 0, 0]  # replicated
    assert values[0, -1, 0] == pixels[-1, -1, 0]


@pytest.mark.parametrize("period", [1, 2])
def test_sampled_gives_a_window_as_the_whole(period):
    pixels = np.random.default_rng(3).random((40, 60, 1), np.float32)
    matrix = np.array([[0.999, -0.02, 3.3], [0.02, 0.999, -2.7], [0, 0, 1]])
    places = places_by(matrix, 40, 60)
    whole, seen = sampled(pixels, places, period)
    for cut in (np.s_[6:22, 10:32], np.s_[0:4, 0:6], np.s_[30:40, 38:60]):
        values, inside = sampled(pixels, places[cut], period)
        np.testing.assert_array_equal(inside, seen[cut])
        np.testing.assert_allclose(values, whole[cut], rtol=0, atol=1e-6)


@pytest.mark.parametrize("period", [2, 6])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0.37, -1.61), (3.5, 5.25), (-20, 30)])
def test_sampled_keeps_colors_apart(period, shift):
    colors = np.arange(1.0, period**2 + 1, dtype=np.float32).reshape(period, period)
    pixels = np.tile(colors, (24 // period, 36 // period))[..., None]
    x, y = grid(24, 36)
    values, _ = sampled(pixels, np.stack([x + shift[0], y + shift[1]], 2), period)
    np.testing.assert_allclose(values, pixels, rtol=1e-6)


def test_sampled_of_a_mosaic_goes_to_the_place():
    """On a ramp that is linear in each color, every color is found where it is looked for."""
    x, y = grid(24, 36)
    colors = np.tile(np.array([[0, 100], [200, 300]]), (12, 18))
    pixels = (colors + 2 * x - y)[..., None].astype(np.float32)
    for shift in ((1, 0), (2, -4), (0.5, 1.25)):
        values, _ = sampled(pixels, np.stack([x + shift[0], y + shift[1]], 2), 2)
        inside = np.s_[8:-8, 8:-8]
        # OpenCV's cubic is not exact on ramps, by up to 1/16 of the step between neighbors, which is 4 along a row
        np.testing.assert_allclose(values[inside], (pixels + 2 * shift[0] - shift[1])[inside], atol=0.4)


@pytest.mark.parametrize("size", [(24, 100), (30, 200), (40, 1500), (1500, 40)])
def test_low_and_narrow_pictures(size):
    """OpenCV's flow crashes on some of them when it is asked as they are."""
    reference = np.random.default_rng(0).random(size, np.float32)
    motion = find_motion(reference, np.roll(reference, 1, 1))
    assert motion is not None
    assert motion.shift == pytest.approx(1, abs=0.1)
