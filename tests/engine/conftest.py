"""Engines and folders of pictures."""

import pytest
from toys import negatives

from photonet.engine.infer import Engine
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
