"""A picture that bursts are cut from."""

from pathlib import Path

import numpy as np
import pytest

from photonet.io import read

SAMPLE = Path(__file__).parents[2] / "samples" / "clean" / "astronaut.png"


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """H W 3 in 0 to 1, with detail, larger than the frames of `bursts`."""
    return read(SAMPLE).pixels[:200, 60:300].astype(np.float32) / 255
