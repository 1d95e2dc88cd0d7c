"""RAW files, developed for display by LibRaw: camera white balance, sRGB, 16 bits, turned upright.

Brightness is not stretched, so that the frames of a bracket or a burst keep their relative exposure.
"""

import math
from typing import Any, BinaryIO

from photonet.io import metadata
from photonet.io.frame import QUARTER_TURNS, Frame, Header
from photonet.photo import Exposure

SRGB_GAMMA = (2.4, 12.92)
FLIP_TO_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's codes for half and quarter turns


def probe(stream: BinaryIO) -> Header:
    """Size of the visible area, and how the camera was held."""
    with open_raw(stream) as raw:
        sizes = raw.sizes
        orientation = FLIP_TO_ORIENTATION.get(sizes.flip, 1)
        return Header(sizes.iwidth, sizes.iheight, orientation if orientation in QUARTER_TURNS else 1)


def decode(stream: BinaryIO) -> Frame:
    """16-bit sRGB. EXIF comes along from RAW files that are built like a TIFF, else at least the exposure."""
    import rawpy

    with open_raw(stream) as raw:
        exposure = exposure_of(raw)
        pixels = raw.postprocess(
            output_bps=16,
            use_camera_wb=True,
            no_auto_bright=True,
            gamma=SRGB_GAMMA,
            output_color=rawpy.ColorSpace.sRGB,
        )
    exif = metadata.from_tiff(stream)
    return Frame(pixels, exif=exif, exposure=exposure, notes=("developed by LibRaw",))


def open_raw(stream: BinaryIO) -> Any:
    """LibRaw's view of a file, to be closed."""
    import rawpy

    stream.seek(0)
    return rawpy.imread(stream)


def exposure_of(raw: Any) -> Exposure:
    """Exposure as LibRaw knows it; without an ISO speed the rest is a placeholder as well (1 s, f/1)."""
    other = getattr(raw, "other", None)  # since rawpy 0.25
    if other is None or not other.iso_speed > 0:
        return Exposure()
    values = (other.shutter_speed, other.iso_speed, other.aperture)
    return Exposure(*(float(value) if math.isfinite(value) and value > 0 else None for value in values))
