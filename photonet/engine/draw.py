"""The training pairs of a step: crops and what a network makes of them, from seeds alone."""

import numpy as np
import torch
from torch import Generator

from photonet.engine.bank import Bank
from photonet.engine.data import Batch
from photonet.engine.recipe import Recipe
from photonet.engine.task import Network


def draw(
    network: Network,
    recipe: Recipe,
    bank: Bank,
    batch: int,
    crop: int,
    seed: int,
    number: int,
    device: torch.device,
) -> Batch:
    """Draw crops and make training pairs of them; the same seed and number always give the same ones.

    Args:
        batch: number of crops.
        crop: their side in pixels.
        seed, number: of the training, and of the batch in it; at least 0.
        device: that the pairs are made on.

    Returns:
        What the network's `pair` makes of the crops: `input` and `target`, B C crop crop or as it says, and its maps.
    """
    # the generator of a CPU takes no more than 32 bits: both numbers are mixed into each of these
    places, noise = (int(state) for state in np.random.SeedSequence((seed, number)).generate_state(2))
    crops = bank.draw(batch, crop, Generator().manual_seed(places))
    crops = {name: tensor.to(device) for name, tensor in crops.items()}
    options = network.training.model_validate(recipe.training)
    return network.pair(crops, Generator(device).manual_seed(noise), options)  # type: ignore[misc]
