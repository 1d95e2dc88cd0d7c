"""Bayer mosaics, for networks that know only those that begin with red."""

from photonet.camera.mosaic import FLIPS_TO_RGGB, bayer_phase
from photonet.color import ColorState
from photonet.errors import UsageError
from photonet.photo import Photo


def is_bayer(photo: Photo) -> bool:
    """Whether a photo is a Bayer mosaic."""
    return photo.state == ColorState.MOSAIC and photo.sensor is not None and bayer_phase(photo.sensor.cfa) is not None


def flips_of(photo: Photo, network: str) -> tuple[int, ...]:
    """Axes over which windows of a mosaic, B 1 H W, are turned for a network, and its output is turned back.

    Raises:
        UsageError: it is no Bayer mosaic.
    """
    phase = bayer_phase(photo.sensor.cfa) if photo.sensor is not None else None
    if phase is None:
        what = f"{network} is for Bayer mosaics, and this is none"
        raise UsageError(what, photo.meta.source or "", "leave --net out: another network takes it")
    return FLIPS_TO_RGGB[phase]
