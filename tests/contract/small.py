"""Every network of the catalog, made small without knowing any of them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from photonet.camera.mosaic import BAYER
from photonet.color import SENSOR_STATES, ColorState
from photonet.engine.checkpoint import Card
from photonet.engine.task import Network
from photonet.photo import Photo, Sensor
from photonet.tasks import CATALOG, get_task

WIDTH, BLOCKS, DEPTH = 12, 1, 3
MAX_PARAMETERS = 150_000  # what still runs and learns in a blink

# What each key of a `Network.config` becomes; a network with another key needs a line here, unless it is a switch.
SHRINK: dict[str, Callable[[Any], Any]] = {
    "widths": lambda value: (WIDTH,) * len(value),
    "blocks": lambda value: (BLOCKS,) * len(value),
    "width": lambda value: WIDTH,
    "depth": lambda value: DEPTH,
    "growth": lambda value: 4,
    "steps": lambda value: 2,
    "squeeze": lambda value: value,  # pixels, not features
    "channels": lambda value: value,  # of the picture
    "frames": lambda value: 3,
    "kernel": lambda value: value,  # pixels, as is
    "fold": lambda value: value,
    "tail": lambda value: value,
    "window": lambda value: value,
    "rounds": lambda value: 1,
    "trust": lambda value: WIDTH,
    "last": lambda value: WIDTH,
}
TAKE_RAW = {"isp"}  # tasks whose networks for display values take what a sensor recorded
NETWORKS = [(task, network) for task in CATALOG for network in get_task(task).networks]
LEARNED = [(task, network) for task, network in NETWORKS if get_task(task).networks[network].learned]


def small_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same network, narrow and shallow."""
    unknown = sorted(key for key, value in config.items() if key not in SHRINK and not isinstance(value, bool))
    assert not unknown, f"tests/contract/small.py cannot make a network small that is configured with {unknown}"
    return {key: value if isinstance(value, bool) else SHRINK[key](value) for key, value in config.items()}


def small_card(task: str, name: str) -> Card:
    """The card of a small network."""
    network = get_task(task).networks[name]
    states = {"expects": network.expects.value, "returns": network.returns.value}
    return Card(task=task, network=name, config=small_config(network.config), **states)


def build_small(network: Network) -> nn.Module:
    """A small network with weights that are always the same random ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = network.build(small_config(network.config))
    count = sum(parameter.numel() for parameter in module.parameters())
    assert count <= MAX_PARAMETERS, f"still {count} parameters: its config needs more keys"
    return module


def noise_photo(task: str, network: Network, height: int, width: int) -> Photo:
    """A float32 picture of soft noise, as the task gives it to the network."""
    rng = np.random.default_rng(height * 1000 + width)
    coarse = rng.random((height // 6 + 2, width // 6 + 2, network.channels), dtype=np.float32)
    pixels = np.kron(coarse, np.ones((6, 6, 1), np.float32))[:height, :width]
    pixels = (pixels + rng.normal(0, 0.05, pixels.shape)).astype(np.float32)
    sensor = Sensor(BAYER["GRBG"], np.zeros((2, 2)), 1.0, (2.0, 1.0, 1.5), np.eye(3), noise=(1e-3, 1e-5))
    if task in TAKE_RAW:
        return Photo(pixels, ColorState.CAMERA, sensor=sensor)
    return Photo(pixels, network.expects, sensor=sensor if network.expects in SENSOR_STATES else None)


def job_photos(task: str, network: Network, height: int, width: int) -> list[Photo]:
    """As many pictures of one scene as a job of the task wants at least, each with noise of its own."""
    photo = noise_photo(task, network, height, width)
    photos = [photo]
    for seed in range(1, get_task(task).photos[0]):
        noise = np.random.default_rng(seed).normal(0, 0.02, photo.pixels.shape).astype(np.float32)
        photos.append(photo.with_pixels(photo.pixels + noise))
    return photos
