"""OpenEXR: linear light in half or float, RGB or luminance, with alpha.

EXR holds no EXIF: exposure goes into the standard attributes expTime, isoSpeed and aperture.
"""

import io
from typing import Any, BinaryIO

import numpy as np

from photonet.color import ColorState
from photonet.errors import InputError
from photonet.io.frame import Encoded, Frame, Header, split_alpha
from photonet.photo import Exposure

EXPOSURE_ATTRIBUTES = {"time_s": "expTime", "iso": "isoSpeed", "f_number": "aperture"}
BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # what a file without chromaticities means
PRIMARIES_TOLERANCE = 1e-3


def probe(stream: BinaryIO) -> Header:
    """Size of the data window."""
    first, last = _open(stream, header_only=True).header()["dataWindow"]
    return Header(int(last[0] - first[0] + 1), int(last[1] - first[1] + 1))


def decode(stream: BinaryIO) -> Frame:
    """RGB or luminance, with alpha where there is one, as float32; other channels are left out, with a note."""
    file = _open(stream)
    header = file.header()
    arrays = {name: channel.pixels for name, channel in file.channels().items()}
    base = next((name for name in ("RGBA", "RGB", "Y") if name in arrays), None)
    if base is None or {"RY", "BY"} & arrays.keys():
        raise InputError(f"no RGB or Y channels, only {', '.join(arrays)}", "", "Export the beauty pass as RGB.")
    if arrays[base].dtype.kind != "f":
        raise InputError("the EXR holds integers, not light", "", "Export half or float channels.")
    pixels, alpha = split_alpha(arrays.pop(base).astype(np.float32, copy=False))
    if alpha is None and "A" in arrays:
        alpha = arrays.pop("A").astype(np.float32, copy=False)[..., None]
    exposure = Exposure(**{field: header.get(name) for field, name in EXPOSURE_ATTRIBUTES.items()})
    notes = _notes(header, sorted(arrays), len(file.parts))
    return Frame(pixels, alpha, state=ColorState.LINEAR, exposure=exposure, notes=notes)


def encode(frame: Frame, quality: int) -> Encoded:
    """Half or float, as the frame's pixels are, packed without loss (ZIP)."""
    import OpenEXR

    del quality  # no loss
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    values = {name: getattr(frame.exposure, field) for field, name in EXPOSURE_ATTRIBUTES.items()}
    header |= {name: float(value) for name, value in values.items() if value is not None}
    if frame.pixels.shape[2] == 3:
        channels = {"RGB" if frame.alpha is None else "RGBA": frame.samples}
    else:
        channels = {"Y": np.ascontiguousarray(frame.pixels[..., 0])}
        if frame.alpha is not None:
            channels["A"] = np.ascontiguousarray(frame.alpha[..., 0])
    stream = io.BytesIO()
    OpenEXR.File(header, channels).write(stream)
    return Encoded(stream.getvalue())


def _open(stream: BinaryIO, header_only: bool = False) -> Any:
    import OpenEXR

    stream.seek(0)
    return OpenEXR.File(stream, header_only=header_only)


def _notes(header: dict[str, Any], others: list[str], parts: int) -> tuple[str, ...]:
    notes = []
    if parts > 1:
        notes.append(f"first part of {parts}")
    if others:
        notes.append(f"left out channels: {', '.join(others)}")
    primaries = header.get("chromaticities")
    if primaries is not None and not np.allclose(np.ravel(primaries), BT709, atol=PRIMARIES_TOLERANCE):
        notes.append("the primaries are not those of sRGB: values are kept as they are")
    return tuple(notes)
