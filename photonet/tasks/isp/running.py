"""Rendering RAW pictures, and turning rendered ones back by what their XMP says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from photonet.engine.develop import decoded, mosaiced
from photonet.engine.task import Prepared, Runner
from photonet.errors import InputError, UsageError, WeightsError
from photonet.io import flaws, read_note
from photonet.photo import Photo, Sensor
from photonet.tasks.isp.flow import HIGHEST, recovered, rendered, white_of
from photonet.tasks.isp.options import IspOptions

NAME = "isp"


def prepare(photos: Sequence[Photo], options: IspOptions, runner: Runner) -> Prepared:
    """A RAW picture to render, or a rendered one to turn back."""
    return _backwards(photos[0], runner) if options.inverse else _forwards(photos[0], runner)


def _forwards(photo: Photo, runner: Runner) -> Prepared:
    if photo.sensor is None:
        fix = "give a RAW file; --inverse turns what was rendered back into RAW"
        raise UsageError("only what a sensor recorded can be rendered", photo.meta.source or "", fix)
    picture, white = runner.picture(photo, runner.network), white_of(photo)
    marks = {"Sensor": _described(photo.sensor, photo), "White": str(white)}
    return Prepared(
        lambda window: (picture(window),),
        call=partial(rendered, white=torch.tensor([white])),
        complete=lambda result: replace(result, sensor=None),
        marks=marks,
    )


def _backwards(photo: Photo, runner: Runner) -> Prepared:
    note, where = read_note(photo.meta.xmp), photo.meta.source or ""
    if photo.sensor is not None or note.get("Task") != NAME or "Sensor" not in note:
        fix = "only a file that `photonet isp` rendered, with its XMP, can be turned back"
        raise InputError("carries no note of having been rendered by photonet isp", where, fix)
    if (note.get("Network"), note.get("Weights", "")) != (runner.network, runner.weights_of(runner.network)):
        what = f"rendered by the network {note.get('Network')} with the weights {note.get('Weights')}"
        raise WeightsError(what, where, "name them with --weights")
    sensor, white = _parsed(note["Sensor"], photo), _parsed_white(note.get("White", ""), where)
    picture = runner.picture(photo, runner.network)
    return Prepared(
        lambda window: (picture(window),),
        call=partial(recovered, white=torch.tensor([white])),
        complete=lambda result: _below_white(mosaiced(decoded(replace(result, sensor=sensor)))),
        dtype=np.float32,
    )


def _below_white(sites: Photo) -> Photo:
    """No sensor tells more than its white level; clipped in place."""
    np.minimum(sites.pixels, 1, out=sites.pixels)
    return sites


def _described(sensor: Sensor, photo: Photo) -> str:
    """The sensor, and the size of the picture, as JSON."""
    return json.dumps(
        {
            "cfa": sensor.cfa.tolist(),
            "white_balance": list(sensor.white_balance),
            "xyz_to_camera": np.asarray(sensor.xyz_to_camera).tolist(),
            "size": [photo.width, photo.height],
        },
        separators=(",", ":"),
    )


def _parsed(text: str, photo: Photo) -> Sensor:
    """The inverse of `_described`; levels are those of photonet's own values.

    Raises:
        InputError: it is damaged, or the picture was cropped, turned or scaled since.
    """
    where = photo.meta.source or ""
    try:
        found: Mapping[str, Any] = json.loads(text)
        cfa, matrix = np.array(found["cfa"], int), np.array(found["xyz_to_camera"], float)
        red, green, blue = map(float, found["white_balance"])
        size = list(found["size"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"its note on the sensor is damaged ({error})", where) from error
    if size != [photo.width, photo.height]:
        raise InputError("cropped, turned or scaled since it was rendered", where, "take the file as it was rendered")
    sensor = Sensor(cfa, np.zeros(cfa.shape), 1.0, (red, green, blue), matrix)
    if problems := flaws(sensor):
        raise InputError(f"its note on the sensor is damaged ({'; '.join(problems)})", where)
    return sensor


def _parsed_white(text: str, where: Path | str) -> float:
    try:
        white = float(text)
    except ValueError:
        white = 0.0
    if not 1 <= white <= HIGHEST:
        raise InputError(f"its note on the white level is damaged ({text!r})", where)
    return white
