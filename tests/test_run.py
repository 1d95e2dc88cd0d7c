"""`photonet.run`: the command line's work from Python."""

import numpy as np
import pytest
import torch

import photonet
from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks import get_task

CONFIG = {"channels": 3, "depth": 3, "width": 8}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "dncnn.safetensors"
    module = get_task("denoise").networks["dncnn-color"].build(CONFIG)
    checkpoint.save(path, Card(task="denoise", network="dncnn-color", config=CONFIG), module.state_dict())
    return path


def test_value_weights_by_path(weights, random_photo):
    photo = random_photo(20, 30)
    results = [
        photonet.run("denoise", photo, weights=given, device="cpu", precision="fp32", **limits).pixels
        for given, limits in ((weights, {}), (str(weights), {"max_memory": 0.001}), ([weights], {"tile": 64}))
    ]
    assert results[0].shape == photo.pixels.shape
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(("count", "message"), [(0, "no picture"), (2, "one picture, not 2")])
def test_error_number_of_pictures(count, message, weights):
    with pytest.raises(UsageError, match=message):
        photonet.run("denoise", [Photo(np.zeros((8, 8, 3), np.uint8))] * count, weights=weights)
