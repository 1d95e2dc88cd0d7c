"""From pixels to tensors and back: depth, color state, channels, strength."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from photonet.color import ColorState, srgb_decode, srgb_encode
from photonet.engine.canvas import Canvas, picture_of
from photonet.engine.task import Network, Tiling, Window
from photonet.engine.tiles import plan_tiles
from photonet.errors import UsageError
from photonet.photo import Metadata, Photo


def network(channels=3, **changes):
    return Network("for tests", lambda config: nn.Identity(), lambda net: Tiling(), channels=channels, **changes)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_picture(dtype, white, random_photo):
    photo = random_photo(6, 9, dtype=dtype)
    tensor = picture_of(photo, network())(Window(1, 2, 4, 5))
    assert tensor.shape == (1, 3, 4, 5)
    assert tensor.dtype == torch.float32
    expected = photo.pixels[1:5, 2:7].astype(np.float64) / white
    np.testing.assert_allclose(tensor[0].permute(1, 2, 0).numpy(), expected, rtol=1e-6)


def test_picture_in_the_state_that_the_network_expects(random_photo):
    photo = random_photo(4, 4, dtype=np.float32, state=ColorState.LINEAR)
    tensor = picture_of(photo, network())(Window(0, 0, 4, 4))
    np.testing.assert_allclose(tensor[0].permute(1, 2, 0).numpy(), srgb_encode(photo.pixels), rtol=1e-5)
    photo = random_photo(4, 4, dtype=np.uint8)
    tensor = picture_of(photo, network(expects=ColorState.LINEAR))(Window(0, 0, 4, 4))
    np.testing.assert_allclose(
        tensor[0].permute(1, 2, 0).numpy(), srgb_decode(photo.pixels / 255), rtol=1e-4, atol=1e-6
    )


def test_gray_for_a_color_network(random_photo):
    photo = random_photo(4, 5, channels=1)
    tensor = picture_of(photo, network())(Window(0, 0, 4, 5))
    assert tensor.shape == (1, 3, 4, 5)
    assert torch.equal(tensor[:, 0], tensor[:, 2])


def test_error_color_for_a_gray_network(random_photo):
    photo = random_photo(4, 4)
    photo = photo.with_pixels(photo.pixels, meta=Metadata(source="night.jpg"))
    with pytest.raises(UsageError, match=r"night.jpg: this network is for gray pictures"):
        picture_of(photo, network(channels=1))


def test_error_state(random_photo):
    photo = random_photo(4, 4, channels=1, state=ColorState.MOSAIC)
    with pytest.raises(UsageError, match="mosaic values cannot be turned into srgb"):
        picture_of(photo, network())


def place_all(canvas, photo, output, side=0):
    """Put tiles of an output that covers the padded picture."""
    for tile in plan_tiles(photo.height, photo.width, side, Tiling()):
        read = tile.read
        canvas.place(tile, output[..., read.top : read.top + read.height, read.left : read.left + read.width])
    return canvas.pixels


def test_value_rounded_and_clipped(random_photo):
    photo = random_photo(1, 6)
    values = torch.tensor([-0.2, 0.0, 99.4 / 255, 99.6 / 255, 1.0, 1.7]).expand(1, 3, 1, 6)
    pixels = place_all(Canvas(photo, ColorState.SRGB, Fraction(1), None, 1.0), photo, values)
    assert pixels.dtype == np.uint8
    assert pixels[0, :, 1].tolist() == [0, 0, 99, 100, 255, 255]
    pixels = place_all(Canvas(photo, ColorState.SRGB, Fraction(1), "uint16", 1.0), photo, values)
    assert pixels[0, :, 1].tolist() == [0, 0, round(99.4 * 257), round(99.6 * 257), 65535, 65535]


def test_value_float_is_not_clipped(random_photo):
    photo = random_photo(1, 3)
    values = torch.tensor([-0.2, 0.5, 1.7]).expand(1, 3, 1, 3)
    pixels = place_all(Canvas(photo, ColorState.SRGB, Fraction(1), np.float32, 1.0), photo, values)
    np.testing.assert_array_equal(pixels[0, :, 0], np.float32([-0.2, 0.5, 1.7]))


def test_value_strength(random_photo):
    photo = random_photo(2, 2, dtype=np.float32)
    output = torch.full((1, 3, 2, 2), 0.8)
    pixels = place_all(Canvas(photo, ColorState.SRGB, Fraction(1), None, 0.25), photo, output)
    np.testing.assert_allclose(pixels, 0.75 * photo.pixels + 0.2, rtol=1e-6)


def test_color_result_for_a_gray_picture_is_averaged(random_photo):
    photo = random_photo(1, 1, channels=1, dtype=np.float32)
    output = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1)
    assert place_all(Canvas(photo, ColorState.SRGB, Fraction(1), None, 1.0), photo, output).item() == pytest.approx(0.3)


def test_scale(random_photo):
    """A network that doubles: tiles land at twice their place."""
    photo = random_photo(5, 7, dtype=np.float32)
    output = torch.rand(1, 3, 10, 14)
    canvas = Canvas(photo, ColorState.SRGB, Fraction(2), None, 1.0)
    for tile in plan_tiles(5, 7, 3, Tiling()):
        read = tile.read
        rows, columns = (slice(2 * a, 2 * (a + n)) for a, n in ((read.top, read.height), (read.left, read.width)))
        canvas.place(tile, output[..., rows, columns])
    np.testing.assert_array_equal(canvas.pixels, output[0].permute(1, 2, 0).numpy())


def test_linear_comes_back_linear():
    photo = Photo(np.full((1, 2, 3), 0.25, np.float32), ColorState.LINEAR)
    output = torch.tensor([0.5, 1.2]).expand(1, 3, 1, 2)  # sRGB values
    pixels = place_all(Canvas(photo, ColorState.SRGB, Fraction(1), None, 1.0), photo, output)
    np.testing.assert_allclose(pixels[0, :, 0], srgb_decode(np.array([0.5, 1.2])), rtol=1e-5)
