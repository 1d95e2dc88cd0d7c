"""Engines of the tests of batches."""

import pytest
from toys import negatives

from photonet.engine.infer import Engine


@pytest.fixture
def engine() -> Engine:
    """Makes negatives."""
    return negatives()
