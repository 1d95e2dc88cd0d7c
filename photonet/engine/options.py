"""The base of everything that a user can set: fields become flags, and unknown names are refused."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


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


def _counts(pair: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"{pair[0]} to {pair[1]} is no range of counts: write the fewest, at least 1, first")
    return pair


Counts = Annotated[tuple[int, int], AfterValidator(_counts)]  # (fewest, most)
Range = Annotated[tuple[float, float], AfterValidator(_in_order)]  # (lowest, highest)
RangeFromZero = Annotated[Range, AfterValidator(_from_zero)]
RangeAboveZero = Annotated[Range, AfterValidator(_above_zero)]  # of what is drawn by its logarithm


def _two_numbers(value: Any) -> Any:
    if not isinstance(value, str) or value == "auto":
        return value
    if value.count(",") != 1:
        raise ValueError("write SHOT,READ, as in 1e-3,2e-6")
    return value.split(",")


def _variances(value: tuple[float, float] | str) -> tuple[float, float] | str:
    if isinstance(value, tuple) and not all(0 <= level <= 1 for level in value):
        raise ValueError("variances are between 0 and 1")
    return value


def _level(value: float | str) -> float | str:
    if isinstance(value, float) and not 0 <= value <= 255:
        raise ValueError("sigma is between 0 and 255")
    return value


# shot and read variance at white level 1, written SHOT,READ
Variances = Annotated[tuple[float, float] | Literal["auto"], BeforeValidator(_two_numbers), AfterValidator(_variances)]
Level = Annotated[float | Literal["auto"], AfterValidator(_level)]  # of noise, 0 to 255
