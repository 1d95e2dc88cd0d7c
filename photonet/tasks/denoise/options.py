"""What can be asked of denoising."""

from typing import Any, Literal

from pydantic import Field, field_validator

from photonet.engine.task import Options


class DenoiseOptions(Options):
    """What a user can ask for."""

    sigma: float | Literal["auto"] = Field(
        "auto", description="Noise level, 0 to 255; auto estimates it place by place. --strength 0 leaves the picture."
    )

    noise: tuple[float, float] | Literal["auto"] = Field(
        "auto",
        description="RAW: shot and read variance at white level 1, as in 1e-3,2e-6; auto takes those of the file, or "
        "estimates them.",
    )

    @field_validator("noise", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        if not isinstance(value, str) or value == "auto":
            return value
        if value.count(",") != 1:
            raise ValueError("write SHOT,READ, as in 1e-3,2e-6")
        return value.split(",")

    @field_validator("noise")
    @classmethod
    def _variances(cls, value: tuple[float, float] | str) -> tuple[float, float] | str:
        if isinstance(value, tuple) and not all(0 <= level <= 1 for level in value):
            raise ValueError("variances are between 0 and 1")
        return value

    @field_validator("sigma")
    @classmethod
    def _in_range(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 <= value <= 255:
            raise ValueError("sigma is between 0 and 255")
        return value


class DenoiseTrials(Options):
    """What `photonet eval denoise` measures."""

    sigma: str = Field("15,25,50", description="Levels of white Gaussian noise, separated by commas; empty for none.")
    camera: bool = Field(False, description="Also camera grain at three strengths, compressed as JPEG.")
    told: bool = Field(False, description="Tell the network the noise (but of camera grain) instead of estimating it.")
    raw: bool = Field(
        False, description="Instead of white noise and grain: mosaics with the noise of three ISO speeds."
    )
