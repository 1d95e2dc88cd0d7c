"""The engine: tiled equals whole, depth kept, and what it does when a network fails."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toys import Halve

from photonet.color import ColorState, srgb_decode, srgb_encode
from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.engine.device import Device
from photonet.engine.infer import SMALLEST_TILE, Engine
from photonet.engine.task import Network, Options, Task, Tiling
from photonet.errors import DeviceError, PhotonetError, UsageError, WeightsError
from photonet.io import read_note, write
from photonet.nets.dncnn import DnCNN
from photonet.nets.noise_level import NoiseLevel
from photonet.nets.unet import DenoisingUNet
from photonet.photo import Metadata, Photo
from photonet.tasks.denoise import TASK as DENOISE
from photonet.tasks.denoise.options import DenoiseOptions

SIZES = [(131, 77), (45, 210), (1, 1), (3, 90), (64, 64)]
SIGMA_25 = DenoiseOptions(sigma=25.0)


def task_of(tiling=None, **changes):
    """A task with one network, whose module a test gives with `Engine.add`."""
    network = Network("for tests", lambda config: nn.Identity(), lambda net: tiling or Tiling(), **changes)
    return Task("testing", "for tests", {"net": network})


def engine_of(module, device, tiling=None, changes=None, **arguments):
    engine = Engine(task_of(tiling, **(changes or {})), device, {}, **arguments)
    engine.add("net", module)
    return engine


class Denoisers:
    """Denoise with the real architectures, narrow and with random weights."""

    def __init__(self, device):
        torch.manual_seed(4)
        self.device = device
        self.modules = {
            "unet": DenoisingUNet(3, (8, 12, 16), (1, 1, 2)),
            "dncnn-color": DnCNN(3, 20, 12),
            "dncnn-gray": DnCNN(1, 17, 12),
            "noise-level": NoiseLevel((8, 8, 8)),
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


class OutOfMemory(Halve):
    """x / 2, for pictures of at most so many pixels."""

    def __init__(self, pixels, error=torch.OutOfMemoryError):
        super().__init__()
        self.pixels, self.error, self.seen = pixels, error, []

    def forward(self, x):
        self.seen.append(tuple(x.shape[-2:]))
        if x.shape[-1] * x.shape[-2] > self.pixels:
            raise self.error("out of memory: tried to allocate 1 TB")
        return super().forward(x)


class Overflows(Halve):
    """x / 2; in 16 bits bright pictures come out as infinite as those of an overflowing network."""

    def __init__(self, threshold=0.0, value=float("nan"), ever=False):
        super().__init__()
        self.threshold, self.value, self.ever = threshold, value, ever

    def forward(self, x):
        result = super().forward(x)
        if (self.ever or self.factor.dtype == torch.bfloat16) and x.mean() >= self.threshold:
            result[..., 0, 0] = self.value
        return result


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


def bfloat16():
    return Device(torch.device("cpu"), torch.bfloat16)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_finite_is_run_again_in_float32(value, random_photo):
    photo = random_photo(30, 40, dtype=np.float32)
    result = engine_of(Overflows(value=value), bfloat16(), tile=16).run([photo], Options())
    assert result.retried == 6
    np.testing.assert_array_equal(result.photo.pixels, photo.pixels / 2)


def test_only_what_is_not_finite_is_run_again():
    pixels = np.full((16, 48, 3), 0.25, np.float32)
    pixels[:, 16:32] = 0.75
    result = engine_of(Overflows(threshold=0.5), bfloat16(), tile=16).run([Photo(pixels)], Options())
    assert result.retried == 1
    np.testing.assert_array_equal(result.photo.pixels, pixels / 2)


def test_finite_is_not_run_again(cpu, random_photo):
    assert engine_of(Overflows(), cpu).run([random_photo(8, 8)], Options()).retried == 0


def test_map_is_run_again_too(random_photo):
    photo = random_photo(20, 20, dtype=np.float32)
    values = engine_of(Overflows(), bfloat16(), tile=8).map("net", photo)
    np.testing.assert_array_equal(values[0].permute(1, 2, 0).numpy(), photo.pixels / 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_error_never_finite(value, random_photo):
    engine = engine_of(Overflows(value=value, ever=True), bfloat16())
    with pytest.raises(PhotonetError, match="values that are not finite") as caught:
        engine.run([random_photo(8, 8)], Options())
    assert caught.value.where == "net"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_out_of_memory_halves_the_tile(error, cpu, random_photo):
    photo, module = random_photo(300, 280, dtype=np.float32), OutOfMemory(160 * 160, error)
    result = engine_of(module, cpu, Tiling(stride=8)).run([photo], Options())
    np.testing.assert_array_equal(result.photo.pixels, photo.pixels / 2)
    assert result.tile == 152  # half of 300, up to a multiple of 8
    assert module.seen == [(304, 280), *[(152, 144), (152, 136)] * 2]


def test_out_of_memory_twice(cpu, random_photo):
    """The tile is halved until it fits, whatever it was at first."""
    photo, module = random_photo(600, 40), OutOfMemory(200 * 40)
    result = engine_of(module, cpu, tile=4096).run([photo], Options())
    np.testing.assert_array_equal(result.photo.pixels, engine_of(Halve(), cpu).run([photo], Options()).photo.pixels)
    assert result.tile == 150
    assert module.seen[:2] == [(600, 40), (300, 40)]


def test_out_of_memory_in_a_map(cpu, random_photo):
    photo = random_photo(300, 40, dtype=np.float32)
    values = engine_of(OutOfMemory(200 * 40), cpu).map("net", photo)
    np.testing.assert_array_equal(values[0].permute(1, 2, 0).numpy(), photo.pixels / 2)


@pytest.mark.parametrize("size", [(8, 8), (300, 310)])
def test_error_out_of_memory(size, cpu, random_photo):
    module = OutOfMemory(0)
    with pytest.raises(DeviceError, match="out of memory even with the smallest tiles") as caught:
        engine_of(module, cpu).run([random_photo(*size)], Options())
    assert caught.value.where == "cpu fp32"
    assert len(module.seen) == (1 if max(size) < 2 * SMALLEST_TILE else 2)


def test_error_of_a_network_is_not_swallowed(cpu, random_photo):
    class Broken(Halve):
        def forward(self, x):
            raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        engine_of(Broken(), cpu).run([random_photo(8, 8)], Options())


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
