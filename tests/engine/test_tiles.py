"""Tiles cover a picture once; windows beyond its border are reflected."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from photonet.engine.task import Tiling, Window
from photonet.engine.tiles import Tile, halo, magnify_window, plan_tiles, read_window, round_up

SIZES = [(1, 1), (1, 37), (64, 64), (63, 129), (131, 77), (5, 200)]
TILINGS = [Tiling(), Tiling(stride=8, radius=11), Tiling(stride=16, radius=48, scale=Fraction(1, 16)), Tiling(2, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("side", [0, 1, 16, 48, 1000])
def test_every_pixel_once(size, tiling, side):
    height, width = size
    covered = np.zeros(size, int)
    for tile in plan_tiles(height, width, side, tiling):
        core = tile.core
        covered[core.top : core.top + core.height, core.left : core.left + core.width] += 1
        assert core.top + core.height <= height
        assert core.left + core.width <= width
    assert (covered == 1).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("side", [0, 1, 16, 48, 1000])
def test_windows(size, tiling, side):
    """Multiples of the stride; the radius on every side but where the padded picture ends."""
    ends = [round_up(length, tiling.stride) for length in size]
    for tile in plan_tiles(*size, side, tiling):
        for core, length, read, extent, end in (
            (tile.core.top, tile.core.height, tile.read.top, tile.read.height, ends[0]),
            (tile.core.left, tile.core.width, tile.read.left, tile.read.width, ends[1]),
        ):
            assert core % tiling.stride == read % tiling.stride == extent % tiling.stride == 0
            assert read == max(core - halo(tiling), 0)
            assert read + extent == min(round_up(core + length, tiling.stride) + halo(tiling), end)
            if side:
                assert length <= max(side, tiling.stride)


def test_value_not_square():
    """100×41 in tiles of 48 at stride 8, radius 11: rows of 40, 40, 20, one column."""
    tiles = plan_tiles(100, 41, 48, Tiling(stride=8, radius=11))
    assert [tile.core for tile in tiles] == [Window(0, 0, 40, 41), Window(40, 0, 40, 41), Window(80, 0, 20, 41)]
    assert [tile.read for tile in tiles] == [Window(0, 0, 56, 48), Window(24, 0, 72, 48), Window(64, 0, 40, 48)]


def test_parts_are_even():
    """10 pixels more than a tile make two halves, not a tile and a sliver."""
    heights = [tile.core.height for tile in plan_tiles(138, 8, 128, Tiling(stride=2))]
    assert heights == [70, 68]
    starts = [tile.core.top for tile in plan_tiles(1000, 8, 128, Tiling(stride=2))]
    assert len(starts) == 8
    assert {after - before for before, after in pairwise(starts)} == {126}


@pytest.mark.parametrize(("stride", "radius", "expected"), [(1, 0, 0), (8, 0, 0), (8, 1, 8), (8, 67, 72), (16, 48, 48)])
def test_halo(stride, radius, expected):
    assert halo(Tiling(stride, radius)) == expected


def test_crop():
    output = torch.arange(40 * 48).view(1, 1, 40, 48)
    tile = Tile(read=Window(64, 16, 40, 48), core=Window(80, 24, 20, 17))
    assert torch.equal(tile.crop(output), output[..., 16:36, 8:25])
    # at 1/8, a core of 17 columns has two cells and a part of a third
    small = tile.crop(output[..., :5, :6], Fraction(1, 8))
    assert torch.equal(small, output[..., 2:5, 1:4])
    double = tile.crop(torch.zeros(1, 1, 80, 96), Fraction(2))
    assert double.shape == (1, 1, 40, 34)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 8), (3, 30)])
def test_window_is_reflected(height, width):
    pixels = np.arange(height * width * 3).reshape(height, width, 3)
    window = Window(0, 0, min(2 * height - 1, height + 6), min(2 * width - 1, width + 9))
    padding = [(0, window.height - height), (0, window.width - width), (0, 0)]
    np.testing.assert_array_equal(read_window(pixels, window), np.pad(pixels, padding, mode="reflect"))


def test_tiny_pictures_are_reflected_again_and_again():
    """So that a mosaic keeps the phase of its filter array; one row has nothing to reflect, and is repeated."""
    for height, width in ((3, 20), (2, 3), (1, 5), (1, 1)):
        pixels = np.arange(height * width * 3).reshape(height, width, 3)
        padded = np.pad(pixels, [(0, 32 - height), (0, 32 - width), (0, 0)], mode="reflect")
        np.testing.assert_array_equal(read_window(pixels, Window(0, 0, 32, 32)), padded)


@pytest.mark.parametrize("window", [Window(-5, 3, 12, 9), Window(2, -7, 6, 30), Window(-9, -9, 40, 40)])
def test_windows_begin_anywhere(window):
    """Before the first row or column the picture is reflected, too."""
    pixels = np.arange(20 * 16 * 3).reshape(20, 16, 3)
    padded = np.pad(pixels, [(40, 40), (40, 40), (0, 0)], mode="reflect")
    top, left = window.top + 40, window.left + 40
    part = padded[top : top + window.height, left : left + window.width]
    np.testing.assert_array_equal(read_window(pixels, window), part)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tiling", TILINGS)
def test_windows_are_parts_of_the_whole(size, tiling):
    """Whatever the tile, its window holds what the padded picture holds there."""
    pixels = np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8)
    whole = read_window(pixels, plan_tiles(*size, 0, tiling)[0].read)
    assert whole.shape[0] % tiling.stride == whole.shape[1] % tiling.stride == 0
    np.testing.assert_array_equal(whole[: size[0], : size[1]], pixels)
    for tile in plan_tiles(*size, 32, tiling):
        read = tile.read
        part = whole[read.top : read.top + read.height, read.left : read.left + read.width]
        np.testing.assert_array_equal(read_window(pixels, read), part)


def test_window_inside_is_not_copied():
    pixels = np.zeros((20, 20, 3), np.uint8)
    assert np.shares_memory(read_window(pixels, Window(4, 4, 16, 16)), pixels)


@pytest.mark.parametrize(("rows", "columns", "cell"), [(4, 7, 16), (1, 1, 16), (1, 5, 4), (3, 2, 5)])
def test_magnify_value(rows, columns, cell, generator):
    cells = torch.rand(1, 1, rows, columns, generator=generator)
    whole = magnify_window(cells, cell, Window(0, 0, rows * cell, columns * cell))
    expected = F.interpolate(cells, scale_factor=cell, mode="bilinear", align_corners=False)
    torch.testing.assert_close(whole, expected, rtol=0, atol=2e-6)


def test_magnify_is_the_same_through_every_window(generator):
    cells = torch.rand(1, 1, 5, 4, generator=generator)
    whole = magnify_window(cells, 16, Window(0, 0, 80, 72))
    for window in (Window(0, 0, 8, 8), Window(13, 40, 31, 32), Window(64, 8, 16, 64)):
        part = whole[..., window.top : window.top + window.height, window.left : window.left + window.width]
        assert torch.equal(magnify_window(cells, 16, window), part)


def test_magnify_one_number():
    assert torch.equal(
        magnify_window(torch.full((1, 1, 1, 1), 0.3), 16, Window(5, 9, 4, 6)), torch.full((1, 1, 4, 6), 0.3)
    )
