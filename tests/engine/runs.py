"""Trainings of a network of a few hundred weights that knows no task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from photonet.engine.data import Batch
from photonet.engine.device import Device
from photonet.engine.task import Network, Options, Tiling

CPU = Device(torch.device("cpu"), torch.float32)
TINY = {"crop": 16, "batch": 2, "validation_crop": 16, "warmup": 2, "lr": 3e-3}


Trainer = Callable[..., Path]


class Noise(Options):
    sigma: float = 0.1


class Blur(nn.Module):
    """Two convolutions wide enough for Muon, with a batch norm between, so that buffers are saved as well."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 1), nn.BatchNorm2d(32), nn.Conv2d(32, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.body(x)


def pair(crops: Batch, generator: Generator, options: Any) -> Batch:
    clean = crops["target"]
    noisy = crops.get("input", clean + options.sigma * torch.randn(clean.shape, generator=generator))
    return {"input": noisy, "target": clean}


def loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    return {"loss": (net(batch["input"]) - batch["target"]).square().mean()}


def network(**changes: Any) -> Network:
    fields: dict[str, Any] = {
        "summary": "toy",
        "build": lambda config: Blur(),
        "tiling": lambda net: Tiling(),
        "training": Noise,
        "pair": pair,
        "loss": loss,
        "score": lambda net, batch: -(net(batch["input"]) - batch["target"]).square().mean(),
    }
    return Network(**{**fields, **changes})


def stop_after(steps: int) -> Callable[[], bool]:
    """A stop button that is pressed after so many steps."""
    left = iter([False] * (steps - 1) + [True])
    return lambda: next(left)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in log(folder) if "loss" in line}


def state(folder: Path, name: str = "resume.pt") -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


def assert_same(first: Any, second: Any, where: str = "state") -> None:
    """Equal to the last bit, all the way down."""
    if isinstance(first, Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}.{index}")
    else:
        assert first == second, where
