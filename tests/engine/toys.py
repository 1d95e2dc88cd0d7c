"""Modules of one weight, a task that makes negatives, and pictures to run it on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from photonet.engine.batch import Compute, Outcome, Output, run_batch
from photonet.engine.device import Device
from photonet.engine.infer import Engine
from photonet.engine.plan import Job, plan
from photonet.engine.task import Network, Options, Prepared, Runner, Task, Tiling, one_by_one, prepare_picture
from photonet.photo import Photo

BAD_WIDTH = 13  # pictures this wide make the task fail


class Halve(nn.Module):
    """x / 2."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Negative(nn.Module):
    """1 - x."""

    def __init__(self) -> None:
        super().__init__()
        self.white = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.white - x


def task_of(tiling: Tiling | None = None, **changes: Any) -> Task:
    """A task with one network, whose module a test gives with `Engine.add`."""
    network = Network("for tests", lambda config: nn.Identity(), lambda net: tiling or Tiling(), **changes)
    return Task("testing", "for tests", {"net": network})


def engine_of(
    module: nn.Module,
    device: Device,
    tiling: Tiling | None = None,
    changes: dict[str, Any] | None = None,
    **arguments: Any,
) -> Engine:
    """An engine with this one module."""
    engine = Engine(task_of(tiling, **(changes or {})), device, {}, **arguments)
    engine.add("net", module)
    return engine


def prepare(photos: Sequence[Photo], options: Any, runner: Runner) -> Prepared:
    if photos[0].width == BAD_WIDTH:
        raise ZeroDivisionError("a fault in the task")
    return prepare_picture(photos, options, runner)


def negatives(radius: int = 0, **arguments: Any) -> Engine:
    """An engine that makes negatives on a CPU.

    Args:
        radius: that the network claims to have.
        arguments: of the engine.
    """
    network = Network("negative", lambda config: Negative(), lambda net: Tiling(radius=radius, bytes_per_pixel=8))
    task = Task("negate", "Make negatives.", {"negative": network}, prepare=prepare)
    engine = Engine(task, Device(torch.device("cpu"), torch.float32), {}, **arguments)
    engine.add("negative", Negative())
    return engine


def picture(path: Path, seed: int = 0, width: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (15, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **({"quality": 100} if path.suffix == ".jpg" else {}))
    return path


def jobs_of(source: Path, out: Path, **options: Any) -> list[Job]:
    return plan([str(source)], f"{out}/", "negate", one_by_one, **options)


def computing(engine: Engine) -> Compute:
    """What an engine does with the photos of a job."""
    return lambda photos, dtype, progress: engine.run(photos, Options(), dtype, progress)


def run(engine: Engine, jobs: Sequence[Job], output: Output | None = None, **options: Any) -> list[Outcome]:
    return list(run_batch(computing(engine), jobs, output or Output(), **options))
