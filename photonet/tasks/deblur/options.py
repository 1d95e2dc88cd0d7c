"""What can be asked of deblurring."""

from pathlib import Path

from pydantic import Field

from photonet.engine.options import Options

EXTENTS = "0,5,12,25"


class DeblurTrials(Options):
    """What `photonet eval deblur` measures."""

    extent: str | None = Field(
        None,
        description="Camera shake, diagonal in pixels of what it draws, with commas; 0 is a sharp picture. "
        f"{EXTENTS} by default.",
    )
    kernels: Path | None = Field(
        None, description="Instead: measured kernels, each on every picture; a .mat file, or a folder of gray pictures."
    )
    quality: int = Field(100, ge=1, le=100, description="JPEG quality of the blurred picture; 100 is none.")
