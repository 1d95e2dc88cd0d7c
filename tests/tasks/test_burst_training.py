"""Bursts: what networks learn from, and how their errors weigh."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bursts import SHIFTS, burst_of, seen
from torch import Generator, nn

from photonet.engine.bank import build_bank
from photonet.engine.data import Batch, Source
from photonet.io import write
from photonet.photo import Photo
from photonet.tasks.burst import TASK
from photonet.tasks.burst.kernels import published_loss
from photonet.tasks.burst.scores import shown
from photonet.tasks.burst.training import BurstTraining, FusionTraining


def test_published_training_is_the_default():
    published = BurstTraining()
    assert (published.frames, published.shift, published.aligned) == ((8, 8), 2.0, False)
    assert published.read == pytest.approx((1e-3, 10**-1.5))
    assert published.shot == pytest.approx((1e-2, 1e-1))


@pytest.fixture(scope="module")
def module() -> nn.Module:
    network = TASK.networks["kpn-gray"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network.build({**network.config, "widths": (4, 4, 4), "depth": 1, "last": 4})


def made_with(scene: np.ndarray, **options: float) -> Batch:
    """A training batch of the published network."""
    network = TASK.networks["kpn-gray"]
    assert network.pair is not None
    batch = {"target": torch.from_numpy(scene[:64, :64, :1]).permute(2, 0, 1)[None]}
    return network.pair(batch, Generator().manual_seed(0), network.training(**options))


def test_annealed_loss_of_single_frames_fades(scene: np.ndarray, module: nn.Module):
    made = made_with(scene)
    losses = [published_loss(module, made, progress) for progress in (0.0, 0.5, 1.0)]
    alone = [(loss["loss"] - loss["together"]).item() for loss in losses]
    assert alone[0] > 100 * 0.05
    assert alone[1] == pytest.approx(alone[0] * np.exp(-9), rel=0.05)
    masses = [losses[0][f"mass_{frame}"].item() for frame in range(8)]
    assert masses == pytest.approx([1 / 8] * 8, rel=0.5)  # none is preferred before training


def test_weights_of_the_kernel_loss(scene: np.ndarray, module: nn.Module):
    """Without the loss of single frames that of all together is left, without that of gradients the squared error."""
    plain, half, whole = (
        published_loss(module, made_with(scene, annealed=annealed, gradients=gradients), 0.0)
        for annealed, gradients in ((0, 0), (50, 1), (100, 1))
    )
    made = made_with(scene)
    inner = (..., slice(8, -8), slice(8, -8))
    output, target = (
        shown(values[inner] / made["exposure"].view(-1, 1, 1, 1))
        for values in (module(made["input"], made["noise_map"]), made["target"])
    )
    torch.testing.assert_close(plain["loss"], (output - target).square().mean())
    assert torch.equal(plain["loss"], plain["together"])
    assert half["together"] > plain["together"]
    torch.testing.assert_close(2 * (half["loss"] - half["together"]), whole["loss"] - whole["together"])


def test_training_on_bursts_of_the_users_own(scene: np.ndarray, tmp_path: Path):
    files = []
    for number, photo in enumerate(burst_of(scene, 0.03)):
        files.append(tmp_path / f"{number}.png")
        write(photo, files[-1])
    write(Photo(seen(scene, SHIFTS[0])), tmp_path / "clean.png")
    source, network = Source("night", (*files, tmp_path / "clean.png")), TASK.networks["fusion"]
    bank = build_bank([source], lambda one: network.sample(one, network), tmp_path / "bank")
    drawn = bank.draw(2, 64, Generator().manual_seed(0))
    assert network.pair is not None
    batch = network.pair(drawn, Generator().manual_seed(0), FusionTraining(told_error=0))
    assert batch["input"].shape == (2, 8 * 3, 64, 64)  # missing frames are the reference's
    assert torch.equal(batch["input"][:, 12:15], batch["input"][:, :3])
    assert batch["shot"].max() == 0
    assert batch["read"].sqrt().mean().item() == pytest.approx(0.03, rel=0.1)
    inner = (..., slice(8, -8), slice(8, -8))
    errors = (batch["input"][:, 3:12] - batch["target"].repeat(1, 3, 1, 1))[inner]
    assert errors.square().mean().sqrt() < 0.05  # aligned
