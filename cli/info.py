"""`photonet info`, `doctor` and `bench`: what a file is, what this machine has, how fast networks run on it."""

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from photonet.errors import ExitCode, PhotonetError
from photonet.io import Told, camera_model
from photonet.photo import Exposure, Sensor

from . import flags
from .console import bars, fail, out, table

LONG = 0.3  # seconds, from which on an exposure is written as a decimal
PACKAGES = ("photonet", "torch", "torchvision", "numpy", "opencv-python", "rawpy", "pillow", "tifffile", "OpenEXR")
EXTRAS = {
    "formats": ("pi-heif",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "import": ("h5py",),
    "train": ("tensorboard",),
}


def add_to(root: typer.Typer) -> None:
    """Put the commands into the application."""
    root.command()(info)
    root.command()(doctor)
    root.command()(bench)


def info(
    files: Annotated[list[Path], typer.Argument(help="Pictures.")],
    cfa: flags.CFA = None,
    black: flags.BLACK = None,
    white: flags.WHITE = None,
    wb: flags.WB = None,
    matrix: flags.MATRIX = None,
    size: flags.SIZE = None,
    as_json: flags.JSON = False,
    verbose: flags.VERBOSE = 0,
) -> None:
    """What is in a picture file: size, depth, color, exposure, metadata; of a RAW file also its sensor."""
    told = flags.told(cfa, black, white, wb, matrix, size)
    codes = []
    for path in files:
        try:
            found = _describe(path, told)
        except PhotonetError as error:
            codes.append(fail(error, verbose))
        else:
            lines = (f"{key:14} {_plain(value)}" for key, value in found.items())
            text = json.dumps(found) if as_json else "\n".join(lines)
            out.print(text, markup=False)
    if codes:
        raise typer.Exit(codes[0] if len(files) == 1 else ExitCode.SOME_FAILED)


def _plain(value: Any) -> Any:
    """Of what a file holds, as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value) or "none"
    return value


def _describe(path: Path, told: Told) -> dict[str, Any]:
    from photonet.io import identify, read

    photo = read(path, told)
    kind = "raw" if photo.sensor else identify(path, told).format
    return {
        "file": str(path),
        "format": kind,
        "size": f"{photo.width}×{photo.height}",
        "channels": photo.pixels.shape[2],
        "depth": str(photo.pixels.dtype),
        "state": photo.state.value,
        "layers": ", ".join(photo.layers) or "none",
        "camera": camera_model(photo.meta.exif) or "unknown",
        "exposure": _exposure(photo.meta.exposure),
        "metadata bytes": {name: len(getattr(photo.meta, name) or b"") for name in ("exif", "xmp", "icc")},
        **(_sensor(photo.sensor) if photo.sensor else {}),
        "notes": list(photo.meta.notes),
    }


def _sensor(sensor: Sensor) -> dict[str, Any]:
    levels = sorted({float(level) for level in sensor.black.flatten()})
    shot, read = sensor.noise or (None, None)
    return {
        "cfa": "".join("RGB"[color] for color in sensor.cfa.flatten()) if sensor.cfa.size > 1 else "none, linear RGB",
        "black": levels[0] if len(levels) == 1 else sensor.black.tolist(),
        "white": sensor.white,
        "white balance": [round(gain, 4) for gain in sensor.white_balance],
        "xyz to camera": sensor.xyz_to_camera.round(4).tolist(),
        "noise": {"shot": shot, "read": read} if sensor.noise else "no profile in the file",
    }


def _exposure(exposure: Exposure) -> str:
    time = exposure.time_s and (f"1/{1 / exposure.time_s:.0f}" if exposure.time_s < LONG else f"{exposure.time_s:g}")
    parts = (("{} s", time), ("ISO {:g}", exposure.iso), ("f/{:.3g}", exposure.f_number))
    return ", ".join(form.format(value) for form, value in parts if value is not None) or "unknown"


def doctor(as_json: flags.JSON = False) -> None:
    """Versions, devices, instruction sets, extras and weights: what to send with a bug report."""
    import torch

    from photonet.engine.checkpoint import read_card, shipped
    from photonet.engine.device import cpu_flags, pick_device

    wanted = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16"}
    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    found = {
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()},
        "cpu": sorted(cpu_flags() & wanted),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "default device": str(pick_device()),
        "weights": {path.stem: read_card(path).digest[:16] for path in shipped()},
    }
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        text = ", ".join(f"{k} {v or 'not installed'}" for k, v in value.items()) if isinstance(value, dict) else value
        out.print(f"{name:14} {text or 'none'}", markup=False)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def bench(
    nets: Annotated[
        list[str] | None, typer.Argument(help="Weights by name or file; all shipped ones without any.")
    ] = None,
    tile: Annotated[list[int] | None, typer.Option(help="Side of the tiles in pixels; several times.", min=1)] = None,
    precision: Annotated[list[str] | None, typer.Option(help="fp32, bf16, fp16; several times.")] = None,
    device: flags.DEVICE = "auto",
    seconds: Annotated[float, typer.Option(help="Time for each measurement.", min=0.1)] = 3.0,
    as_json: flags.JSON = False,
    verbose: flags.VERBOSE = 0,
) -> None:
    """Megapixels per second, FLOP/s against the machine's own matrix multiplication, and peak memory."""
    from photonet.engine import checkpoint
    from photonet.engine.bench import Measurement, measure
    from photonet.engine.device import pick_device
    from photonet.errors import WeightsError
    from photonet.tasks import get_task

    paths = [checkpoint.find(name) for name in nets] if nets else checkpoint.shipped()
    if not paths:
        raise WeightsError("no weights are installed", fix="name a file")
    kinds = precision or [pick_device(device).precision]
    rows: list[Measurement] = []
    with bars(not as_json) as shown:
        total = len(paths) * len(kinds) * len(tile or [1024])
        for path in paths:
            card, tensors = checkpoint.read_tensors(path)
            network, module = checkpoint.build(get_task(card.task), card, tensors, path)
            for kind in kinds:
                for side in tile or [1024]:
                    shown.show(path.stem, len(rows), total)
                    rows.append(measure(path.stem, network, module, pick_device(device, kind), side, seconds))
    records = [row.as_dict() for row in rows]
    if as_json:
        print(json.dumps(records))
    else:
        table("bench", list(records[0]), [list(record.values()) for record in records])
