"""Measuring how fast a network runs, and how near to what the machine can do."""

import contextlib
import copy
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from photonet.engine.checkpoint import Card
from photonet.engine.device import Device
from photonet.engine.examples import example_inputs
from photonet.engine.loaded import load
from photonet.engine.task import Network
from photonet.engine.tiles import round_up

_MATRIX = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True)
class Measurement:
    """One network at one precision and tile size.

    Args:
        weights: their name.
        device, precision: where it ran.
        tile: side of the square input in pixels, halo included.
        mp_per_s: megapixels of input per second.
        kflop_per_pixel: multiplications and additions.
        gflop_per_s: reached by the network.
        matmul_gflop_per_s: reached by a square matrix multiplication in the same precision, measured just before.
        share: the one over the other.
        peak_mb: on a GPU memory taken at most; on a CPU what the process took at most, during the measurement on
            Linux, since its start elsewhere, 0 where the system does not say.
    """

    weights: str
    device: str
    precision: str
    tile: int
    mp_per_s: float
    kflop_per_pixel: float
    gflop_per_s: float
    matmul_gflop_per_s: float
    share: float
    peak_mb: float

    def as_dict(self) -> dict[str, Any]:
        """Field → value, for tables and JSON."""
        return asdict(self)


@torch.inference_mode()
def measure(name: str, network: Network, module: nn.Module, device: Device, side: int, seconds: float) -> Measurement:
    """Run a network on noise for some seconds.

    Args:
        name: for the result.
        network, module: built, with weights; they stay as they are.
        device: where.
        side: of the square input, rounded up to the network's stride.
        seconds: for the network; the best run counts.
    """
    loaded = load(network, name, Card(task="", network=name), copy.deepcopy(module), device)
    side = round_up(side, loaded.tiling.stride)
    inputs = [tensor.to(device.device) for tensor in example_inputs(network, side, side)]
    with FlopCounterMode(display=False) as counter:
        loaded(inputs)
    flop = counter.get_total_flops()
    matmul = _matmul_rate(device, seconds / 3)
    _reset_peak(device)
    best = _best_time(lambda: loaded(inputs), device, seconds)
    rate = flop / best / 1e9
    return Measurement(
        weights=name,
        device=str(device.device),
        precision=device.precision,
        tile=side,
        mp_per_s=round(side * side / best / 1e6, 3),
        kflop_per_pixel=round(flop / side**2 / 1e3, 1),
        gflop_per_s=round(rate, 1),
        matmul_gflop_per_s=round(matmul, 1),
        share=round(rate / matmul, 3),
        peak_mb=round(_peak_bytes(device) / 1e6),
    )


def _best_time(run: Any, device: Device, seconds: float) -> float:
    best, until = float("inf"), perf_counter() + seconds
    while perf_counter() < until or best == float("inf"):
        began = perf_counter()
        run()
        if device.device.type == "cuda":
            torch.cuda.synchronize(device.device)
        best = min(best, perf_counter() - began)
    return best


def _matmul_rate(device: Device, seconds: float) -> float:
    side = _MATRIX[device.device.type]
    matrix = torch.randn(side, side, device=device.device, dtype=device.dtype)
    return 2 * side**3 / _best_time(lambda: matrix @ matrix, device, seconds) / 1e9


def _reset_peak(device: Device) -> None:
    if device.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device.device)
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # see proc(5): resets VmHWM


def _peak_bytes(device: Device) -> int:
    if device.device.type == "cuda":
        return torch.cuda.max_memory_allocated(device.device)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc/self/status").read_text().splitlines()
            return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
