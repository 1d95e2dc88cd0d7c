"""What can be asked of denoising."""

from pydantic import Field

from photonet.engine.options import Level, Options, Variances


class DenoiseOptions(Options):
    """What a user can ask for."""

    sigma: Level = Field(
        "auto", description="Noise level, 0 to 255; auto estimates it place by place. --strength 0 leaves the picture."
    )

    noise: Variances = Field(
        "auto",
        description="RAW: shot and read variance at white level 1, as in 1e-3,2e-6; auto takes those of the file, or "
        "estimates them.",
    )


class DenoiseTrials(Options):
    """What `photonet eval denoise` measures."""

    sigma: str = Field("15,25,50", description="Levels of white Gaussian noise, separated by commas; empty for none.")
    camera: bool = Field(False, description="Also camera grain at three strengths, compressed as JPEG.")
    told: bool = Field(False, description="Tell the network the noise (but of camera grain) instead of estimating it.")
    raw: bool = Field(
        False, description="Instead of white noise and grain: mosaics with the noise of three ISO speeds."
    )
