"""Inputs to try a network with, where no picture is at hand."""

import torch
from torch import Tensor

from photonet.engine.task import Network


def example_inputs(network: Network, height: int, width: int) -> tuple[Tensor, ...]:
    """Noise of the right shape for a network: a picture, then one map for each further argument."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, network.channels, height, width, generator=generator)
    return (picture, *(torch.full((1, network.map_channels, height, width), 0.1) for _ in network.maps))
