"""Ranges that a recipe may name."""

import pytest
from pydantic import ValidationError

from photonet.tasks.denoise.display import DenoiseTraining
from photonet.tasks.isp.options import IspTraining


@pytest.mark.parametrize(
    ("field", "pair", "message"),
    [
        ("sigma", (50, 5), "lowest first"),
        ("sigma", (-5, 50), "below 0"),
        ("grain", (0, 20), "not above 0"),
        ("blur", (1, -1), "lowest first"),
        ("blur", (float("nan"), 1), "lowest first"),
    ],
)
def test_error_range(field: str, pair: tuple[float, float], message: str):
    with pytest.raises(ValidationError, match=message):
        DenoiseTraining(**{field: pair})


def test_error_range_of_quality():
    with pytest.raises(ValidationError, match="lowest first"):
        IspTraining(quality=(96, 75))


def test_ranges_that_are_none():
    assert DenoiseTraining(blur=(-1, 0), sigma=(25, 25)).blur == (-1, 0)
