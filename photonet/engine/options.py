"""The base of everything that a user can set: fields become flags, and unknown names are refused."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Options(BaseModel):
    """Base of every set of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        raise ValueError(f"{pair[0]:g} is more than {pair[1]:g}: write the lowest first")
    return pair


def _from_zero(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] < 0:
        raise ValueError(f"{pair[0]:g} is below 0")
    return pair


def _above_zero(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] <= 0:
        raise ValueError(f"{pair[0]:g} is not above 0")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]  # (lowest, highest)
RangeFromZero = Annotated[Range, AfterValidator(_from_zero)]
RangeAboveZero = Annotated[Range, AfterValidator(_above_zero)]  # of what is drawn by its logarithm
