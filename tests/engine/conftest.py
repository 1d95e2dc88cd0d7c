"""Engines, folders of pictures, and trainings on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from runs import CPU, TINY, Trainer, network
from toys import negatives

from photonet.engine.data import Source
from photonet.engine.infer import Engine
from photonet.engine.recipe import Recipe
from photonet.engine.task import Network
from photonet.engine.train import train
from photonet.io import write


@pytest.fixture
def engine() -> Engine:
    """Makes negatives."""
    return negatives()


@pytest.fixture
def folder(tmp_path, random_photo):
    """Make a folder with small pictures."""

    def make(name, files, height=6, width=7):
        for number, file in enumerate(files):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            write(random_photo(height, width, seed=number), path, overwrite=True)
        return tmp_path / name

    return make


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Four pictures of different sizes, one smaller than a crop."""
    found = []
    for number, size in enumerate(((40, 30), (12, 50), (20, 20), (33, 17))):
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        found.append(Source(path.name, (path,)))
    return found


@pytest.fixture
def trained(sources: list[Source]) -> Trainer:
    """`trained(folder, steps=6)` gives the folder of a finished run."""

    def run(folder: Path, net: Network | None = None, *, of: list[Source] | None = None, **options: Any) -> Path:
        fields = {key: options.pop(key) for key in list(options) if key in Recipe.model_fields}
        recipe = Recipe(**{"task": "toy", "network": "blur", **TINY, "steps": 6, **fields})
        used = sources if of is None else of
        weights = train(recipe, net or network(), (used[1:], used[:1]), folder, CPU, **options)
        assert weights == folder / "weights.safetensors"
        return folder

    return run
