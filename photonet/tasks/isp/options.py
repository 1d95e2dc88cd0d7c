"""What a user, a recipe and a measurement can tell the invertible ISP."""

from typing import Literal

from pydantic import Field

from photonet.engine.options import RangeAboveZero
from photonet.engine.task import Options


class IspOptions(Options):
    """What a user can ask for."""

    inverse: bool = Field(False, description="Back from a JPEG that this command rendered: -o x.dng.")


class IspTraining(Options):
    """What the training pairs are made of.

    Args:
        quality: (lowest, highest) of the JPEG in between.
        rendering: weight of the rendering's error against that of the recovered RAW.
        rounding: how the gradient passes the rounding of the JPEG: by the published Fourier series, or as if there were
            none, which has far less variance.
        recovery: the error of the recovered RAW: absolute as published, or in decibels, so that a picture that comes
            back nearly exactly counts as much as one whose highlights were clipped.
    """

    quality: RangeAboveZero = (75.0, 96.0)
    rendering: float = Field(1.0, gt=0)
    rounding: Literal["fourier", "straight-through"] = "fourier"
    recovery: Literal["absolute", "decibels"] = "absolute"


class IspTrials(Options):
    """What `photonet eval isp` measures."""

    quality: str = Field("75,90,95", description="Of the JPEG in between, separated by commas.")
    cut: int = Field(0, ge=0, description="Rows and columns cut off first: their old JPEG blocks help some pictures.")
