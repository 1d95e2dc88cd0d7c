"""What the engine does when a network runs out of memory, or gives values that are not finite."""

import numpy as np
import pytest
import torch
from toys import Halve, engine_of

from photonet.engine.device import Device
from photonet.engine.infer import SMALLEST_TILE
from photonet.engine.task import Options, Tiling
from photonet.errors import DeviceError, PhotonetError
from photonet.photo import Photo


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
