"""The engine: tiled equals whole, depth and state kept, weights and arguments checked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toys import Halve, engine_of

from photonet.color import ColorState, srgb_decode, srgb_encode
from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.engine.infer import SMALLEST_TILE, Engine
from photonet.engine.task import Options, Tiling
from photonet.errors import UsageError, WeightsError
from photonet.io import read_note, write
from photonet.nets.dncnn import DnCNN
from photonet.nets.noise_level import CELL, NoiseLevel
from photonet.nets.unet import ResidualUNet
from photonet.photo import Metadata, Photo
from photonet.tasks.denoise import TASK as DENOISE
from photonet.tasks.denoise.options import DenoiseOptions

SIZES = [(131, 77), (45, 210), (1, 1), (3, 90), (64, 64)]
SIGMA_25 = DenoiseOptions(sigma=25.0)


class Denoisers:
    """Denoise with the real architectures, narrow and with random weights."""

    def __init__(self, device):
        torch.manual_seed(4)
        self.device = device
        self.modules = {
            "unet": ResidualUNet(3, (8, 12, 16), (1, 1, 2)),
            "dncnn-color": DnCNN(3, 20, 12),
            "dncnn-gray": DnCNN(1, 17, 12),
            "noise-level": NoiseLevel(lambda picture: F.avg_pool2d(picture, CELL), 3, (8, 8, 8)),
        }
        with torch.no_grad():
            self.modules["unet"].unet.tail.weight.mul_(10)  # its first weights hardly change a picture
            for norm in (m for m in self.modules["dncnn-color"].modules() if isinstance(m, nn.BatchNorm2d)):
                norm.bias.uniform_(0, 0.2)

    def __call__(self, net, **arguments):
        engine = Engine(DENOISE, self.device, {}, net=net, **arguments)
        for name, module in self.modules.items():
            engine.add(name, module)
        return engine


@pytest.fixture
def denoisers(cpu):
    return Denoisers(cpu)


@pytest.mark.parametrize("net", ["unet", "dncnn-color"])
@pytest.mark.parametrize("size", SIZES)
def test_tiled_equals_whole(net, size, denoisers, random_photo):
    photo, options = random_photo(*size, dtype=np.float32), SIGMA_25 if net == "unet" else DenoiseOptions()
    whole = denoisers(net, tile=1024).run([photo], options)
    tiled = denoisers(net, tile=32).run([photo], options)
    assert whole.photo.pixels.shape == photo.pixels.shape
    assert np.abs(whole.photo.pixels - photo.pixels).max() > 0.01  # the network did something
    np.testing.assert_allclose(tiled.photo.pixels, whole.photo.pixels, rtol=0, atol=1e-5)
    assert (whole.tile, tiled.tile) == (1024, 32)


def test_tiled_equals_whole_gray(denoisers, random_photo):
    photo = random_photo(61, 118, channels=1, dtype=np.float32)
    whole, tiled = (denoisers("dncnn-gray", tile=side).run([photo], DenoiseOptions()) for side in (1024, 32))
    np.testing.assert_allclose(tiled.photo.pixels, whole.photo.pixels, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_tiled_equals_whole_with_an_estimated_level(size, denoisers, random_photo):
    photo = random_photo(*size, dtype=np.float32)
    whole, tiled = (denoisers("unet", tile=side).run([photo], DenoiseOptions()) for side in (1024, 32))
    np.testing.assert_allclose(tiled.photo.pixels, whole.photo.pixels, rtol=0, atol=1e-5)
    assert tiled.notes == whole.notes
    assert set(whole.notes) == {"noise"}


@pytest.mark.parametrize("size", SIZES)
def test_map_tiled_equals_whole(size, denoisers, random_photo):
    photo = random_photo(*size)
    whole, tiled = (denoisers("unet", tile=side).map("noise-level", photo) for side in (1024, 32))
    assert whole.shape == (1, 2, -(-size[0] // 16), -(-size[1] // 16))
    assert whole.dtype == torch.float32
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


def test_noise_level_of_a_number(denoisers, random_photo):
    result = denoisers("unet").run([random_photo(16, 16)], SIGMA_25)
    assert result.notes == {"noise": pytest.approx(25)}
    assert result.network == "unet"


def test_error_blind_network_takes_no_level(denoisers, random_photo):
    with pytest.raises(UsageError, match="DnCNN is blind"):
        denoisers("dncnn-color").run([random_photo(8, 8)], SIGMA_25)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_depth_and_channels_are_kept(dtype, channels, denoisers, random_photo):
    photo = random_photo(20, 33, channels, dtype)
    result = denoisers("unet").run([photo], SIGMA_25).photo
    assert result.pixels.dtype == dtype
    assert result.pixels.shape == photo.pixels.shape
    assert not np.array_equal(result.pixels, photo.pixels)


def test_depth_is_chosen(denoisers, random_photo):
    photo = random_photo(20, 33)
    fine = denoisers("unet").run([photo], SIGMA_25, dtype="uint16").photo.pixels
    exact = denoisers("unet").run([photo], SIGMA_25, dtype="float32").photo.pixels
    assert (fine.dtype, exact.dtype) == (np.uint16, np.float32)
    np.testing.assert_allclose(fine / 65535, exact.clip(0, 1), rtol=0, atol=0.51 / 65535)


def test_gray_is_color_with_equal_channels(denoisers, random_photo):
    gray = random_photo(24, 19, channels=1, dtype=np.float32)
    color = Photo(np.repeat(gray.pixels, 3, 2))
    results = [denoisers("unet").run([photo], SIGMA_25).photo.pixels for photo in (gray, color)]
    np.testing.assert_allclose(results[0], results[1].mean(2, keepdims=True), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_0_is_the_input(dtype, channels, cpu, random_photo):
    photo = random_photo(33, 40, channels, dtype)
    result = engine_of(Halve(), cpu, strength=0.0).run([photo], Options()).photo
    np.testing.assert_array_equal(result.pixels, photo.pixels)


def test_strength_is_a_mixture(cpu, random_photo):
    photo = random_photo(10, 11, dtype=np.float32)
    result = engine_of(Halve(), cpu, strength=0.5).run([photo], Options()).photo
    np.testing.assert_allclose(result.pixels, 0.75 * photo.pixels, rtol=1e-6)


def test_everything_but_the_pixels_is_kept(cpu, random_photo):
    photo = random_photo(6, 5)
    alpha = np.arange(30, dtype=np.uint8).reshape(6, 5)
    photo = replace(photo, meta=Metadata(exif=b"MM", notes=("first page of 3",)), layers={"alpha": alpha})
    before = photo.pixels.copy()
    result = engine_of(Halve(), cpu).run([photo], Options()).photo
    assert (replace(result.meta, xmp=None), result.state) == (photo.meta, photo.state)
    assert read_note(result.meta.xmp)["Task"] == "testing"
    assert result.layers["alpha"] is alpha
    np.testing.assert_array_equal(photo.pixels, before)


def test_linear_comes_back_linear(cpu, random_photo):
    photo = random_photo(12, 13, dtype=np.float32, state=ColorState.LINEAR)
    photo = photo.with_pixels(photo.pixels * 4 - 0.5)  # beyond white and below black
    result = engine_of(Halve(), cpu, tile=8).run([photo], Options()).photo
    assert result.state == ColorState.LINEAR
    np.testing.assert_allclose(result.pixels, srgb_decode(srgb_encode(photo.pixels) / 2), rtol=1e-4, atol=1e-6)


def test_error_mosaic(cpu, random_photo):
    photo = random_photo(8, 8, channels=1, state=ColorState.MOSAIC)
    with pytest.raises(UsageError, match="only what a sensor recorded"):  # a mosaic without its sensor
        engine_of(Halve(), cpu).run([photo], Options())


def test_progress(cpu, random_photo):
    calls = []
    engine = engine_of(Halve(), cpu, tile=16)
    engine.run([random_photo(30, 40)], Options(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_tile_size_follows_the_memory(cpu):
    tiling = Tiling(stride=8, radius=20, bytes_per_pixel=100)
    engine = engine_of(Halve(), cpu, tiling, max_memory=200 * 1000 * 1000)
    assert engine.tile_size(engine.loaded("net")) == (1000 - 2 * 24) // 8 * 8  # float32 takes twice the memory
    small = engine_of(Halve(), cpu, tiling, max_memory=1000)
    assert small.tile_size(small.loaded("net")) == SMALLEST_TILE
    given = engine_of(Halve(), cpu, tiling, tile=50)
    assert given.tile_size(given.loaded("net")) == 56


def test_added_network_is_deployed_and_does_not_learn(cpu, denoisers):
    module = denoisers("dncnn-color").loaded("dncnn-color").module
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.training


def test_error_arguments_are_listed_at_once(cpu):
    with pytest.raises(UsageError) as caught:
        Engine(DENOISE, cpu, {}, net="noise-level", tile=-1, max_memory=-1, strength=1.5)
    for part in ("no network 'noise-level', only unet", "--tile: -1", "--max-memory: -1", "--strength: 1.5"):
        assert part in str(caught.value)


def test_weights_from_a_file(cpu, tmp_path, random_photo, denoisers):
    path, module = tmp_path / "mine.safetensors", denoisers.modules["unet"]
    config = {"channels": 3, "widths": (8, 12, 16), "blocks": (1, 1, 2)}
    checkpoint.save(path, Card(task="denoise", network="unet", config=config), module.state_dict(), torch.float32)
    photo = random_photo(20, 21)
    engine = Engine(DENOISE, cpu, {"unet": path})
    expected = denoisers("unet").run([photo], SIGMA_25).photo.pixels
    np.testing.assert_array_equal(engine.run([photo], SIGMA_25).photo.pixels, expected)
    assert engine.loaded("unet") is engine.loaded("unet")
    assert engine.loaded("unet").path == path


def test_error_weights_of_another_network(cpu, tmp_path, denoisers):
    path = tmp_path / "mine.safetensors"
    card = Card(task="denoise", network="dncnn-gray", config={"channels": 1, "depth": 17, "width": 12})
    checkpoint.save(path, card, denoisers.modules["dncnn-gray"].state_dict())
    with pytest.raises(WeightsError, match="these weights are for the network dncnn-gray, not for unet"):
        Engine(DENOISE, cpu, {"unet": path}).loaded("unet")


def test_photonet_run(tmp_path, random_photo, denoisers):
    """From Python: a file in, a Photo out."""
    import photonet

    weights, picture = tmp_path / "mine.safetensors", tmp_path / "picture.png"
    card = Card(task="denoise", network="unet", config={"widths": (8, 12, 16)})
    checkpoint.save(weights, card, denoisers.modules["unet"].state_dict(), torch.float32)
    photo = random_photo(20, 21)
    write(photo, picture)
    arguments = {"sigma": 25, "weights": str(weights), "device": "cpu", "precision": "fp32"}
    result = photonet.run("denoise", picture, **arguments)
    expected = denoisers("unet").run([photo], SIGMA_25).photo.pixels
    np.testing.assert_array_equal(result.pixels, expected)
    assert result.meta.source == picture
    with pytest.raises(UsageError, match="sigmoid"):
        photonet.run("denoise", picture, sigmoid=25)
    with pytest.raises(UsageError, match="there is no task 'denoize'"):
        photonet.run("denoize", picture)
