"""ICC profiles: which pixels a profile belongs to, and a plain sRGB one."""

import io
from typing import Any

COLOR_SPACE = slice(16, 20)  # of the 128-byte profile header
CREATION_DATE = slice(24, 36)
SPACES = {1: b"GRAY", 3: b"RGB "}
SPACE_NAMES = {b"GRAY": "gray", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "Lab"}


def fitting(icc: bytes | None, channels: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile if it describes pixels with this many channels (1 gray, 3 RGB); else None, with a note."""
    if icc is None:
        return None, ()
    space = icc[COLOR_SPACE]
    if space == SPACES[channels]:
        return icc, ()
    kind = SPACE_NAMES.get(space, "damaged")
    return None, (f"dropped its color profile, which is {kind}: the picture is {'gray' if channels == 1 else 'RGB'}",)


def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes on every day."""
    profile = bytearray(_cms().ImageCmsProfile(_cms().createProfile("sRGB")).tobytes())
    profile[CREATION_DATE] = bytes((7, 230, 0, 1, 0, 1)) + bytes(6)  # 2022-01-01
    return bytes(profile)


def cmyk_to_srgb(image: Any, icc: bytes | None) -> tuple[Any, str]:
    """A Pillow CMYK image as sRGB, and a note that says how.

    Args:
        image: Pillow image in mode CMYK.
        icc: its embedded profile; without one the inks are taken for ideal, which looks too vivid.
    """
    if icc is None or icc[COLOR_SPACE] != b"CMYK":
        return image.convert("RGB"), "converted from CMYK without a profile: colors are approximate"
    cms = _cms()
    converted = cms.profileToProfile(
        image,
        cms.ImageCmsProfile(io.BytesIO(icc)),
        cms.createProfile("sRGB"),
        renderingIntent=cms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=cms.Flags.BLACKPOINTCOMPENSATION,
    )
    return converted, "converted from CMYK to sRGB by its embedded profile"


def _cms() -> Any:
    from PIL import ImageCms

    return ImageCms
