"""What tests of several folders need: seeded random numbers, pictures made by hand, and a CPU in float32."""

import os
from pathlib import Path

import numpy as np
import pytest

from photonet.color import ColorState
from photonet.photo import Photo


@pytest.fixture
def generator():
    """A torch generator with a fixed seed."""
    import torch

    return torch.Generator().manual_seed(5)


@pytest.fixture
def random_photo():
    """A picture of independent random pixels."""

    def make(height, width, channels=3, dtype=np.uint8, state=ColorState.SRGB, seed=3):
        values = np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)
        scale = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
        return Photo((values * scale).astype(dtype), state)

    return make


@pytest.fixture
def cpu():
    """The CPU in float32, whatever it can do better."""
    import torch

    from photonet.engine.device import Device

    return Device(torch.device("cpu"), torch.float32)


@pytest.fixture
def data_folder():
    """`$PHOTONET_DATA`, where there are pictures to measure with; skips without."""
    folder = os.environ.get("PHOTONET_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PHOTONET_DATA names no folder")
    return Path(folder)


@pytest.fixture
def peers(data_folder):
    """Published weights beside the data; skips without."""
    folder = data_folder.parent / "peers"
    if not folder.is_dir():
        pytest.skip("there is no folder peers beside PHOTONET_DATA")
    return folder
