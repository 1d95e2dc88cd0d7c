"""What can be asked of a burst."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from photonet.engine.options import Level, Options, Variances


class BurstOptions(Options):
    """What a user can ask for."""

    reference: Annotated[str, BeforeValidator(str)] = Field(
        "auto",
        description="Frame that the result shows: a file name, or its number from 0; auto takes the sharpest of "
        "the first three.",
    )
    method: Literal["fusion", "kpn", "average", "hdrplus"] = Field(
        "fusion", description="fusion is the trained default; kpn predicts kernels; average and hdrplus are classical."
    )
    noise: Variances = Field(
        "auto",
        description="RAW and linear pictures: shot and read variance at white level 1, as in 1e-3,2e-6; auto takes "
        "those of the file, or measures them.",
    )
    sigma: Level = Field("auto", description="JPEGs and the like: noise level of a frame, 0 to 255; auto measures it.")


class BurstTrials(Options):
    """What `photonet eval burst` measures."""

    gain: str = Field("1,2,4,8", description="Noise levels of the published protocol, separated by commas.")
    frames: int = Field(8, ge=2, le=32, description="Frames of a burst.")
    foreign: bool = Field(False, description="One more frame, of another scene, slips in.")
    raw: bool = Field(False, description="Instead: RAW bursts with the noise of three ISO speeds.")
    gray: bool = Field(False, description="Pictures in gray, as the published figures are.")
