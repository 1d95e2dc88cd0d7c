"""What `photonet bench` counts; how long it takes is nobody's promise."""

import sys

import numpy as np
import pytest
import torch

from photonet.engine import bench
from photonet.engine.bench import measure
from photonet.engine.device import Device
from photonet.engine.examples import example_inputs
from photonet.engine.task import Network, Tiling
from photonet.nets.dncnn import DnCNN
from photonet.tasks.denoise import TASK


@pytest.fixture
def small_matrix(monkeypatch):
    monkeypatch.setitem(bench._MATRIX, "cpu", 32)


def dncnn():
    return Network("for tests", lambda config: DnCNN(**config), lambda net: Tiling(stride=4, radius=net.radius))


def test_value_operations(small_matrix, cpu):
    """3→8, 8→8 and 8→3 channels, 9 taps, a multiplication and an addition each."""
    found = measure("tiny", dncnn(), DnCNN(3, 3, 8), cpu, 30, 0.003)
    assert found.kflop_per_pixel == pytest.approx(2 * 9 * (24 + 64 + 24) / 1000, abs=0.06)
    assert found.tile == 32  # up to the stride
    assert (found.weights, found.device, found.precision) == ("tiny", "cpu", "fp32")


def test_numbers_agree(small_matrix, cpu):
    found = measure("tiny", dncnn(), DnCNN(3, 3, 8), cpu, 64, 0.003)
    assert found.mp_per_s > 0
    assert found.peak_mb > 0
    assert found.gflop_per_s == pytest.approx(found.mp_per_s * found.kflop_per_pixel, rel=0.05, abs=0.06)
    assert found.share == pytest.approx(found.gflop_per_s / found.matmul_gflop_per_s, rel=0.1, abs=0.06)
    assert list(found.as_dict()) == list(bench.Measurement.__dataclass_fields__)


def test_weights_stay_as_they_are(small_matrix):
    """Otherwise float32 after bf16 would run on rounded ones."""
    module = DnCNN(3, 3, 8)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    measure("tiny", dncnn(), module, Device(torch.device("cpu"), torch.bfloat16), 32, 0.003)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets an earlier peak")
def test_peak_is_of_the_measurement(cpu):
    np.ones(100_000_000, np.uint8)
    assert bench._peak_bytes(cpu) > 100e6
    before = bench._peak_bytes(cpu)
    bench._reset_peak(cpu)
    assert bench._peak_bytes(cpu) < before


@pytest.mark.parametrize("name", TASK.networks)
def test_example_inputs(name):
    """Every network of a task takes what the bench gives it."""
    network = TASK.networks[name]
    small = {"width": 4} if "dncnn" in name else {"widths": (4, 4, 4)}
    module = network.build({**network.config, **small}).eval()
    tiling = network.tiling(network.deploy(module))
    inputs = example_inputs(network, 4 * tiling.stride, 5 * tiling.stride)
    assert inputs[0].shape == (1, network.channels, 4 * tiling.stride, 5 * tiling.stride)
    with torch.inference_mode():
        output = module(*inputs)
    assert output.shape[-2:] == tuple(side * tiling.scale for side in inputs[0].shape[-2:])
