"""An ISP that runs backwards: RAW becomes a JPEG that can be turned into RAW again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from photonet.camera import process, unprocess
from photonet.camera.jpeg import SUBSAMPLING, fourier_round, jpeg, straight_through
from photonet.camera.mosaic import GREEN
from photonet.camera.noise import uniform
from photonet.camera.unprocess import Camera, draw_camera, sensor_of
from photonet.color import ColorState, srgb_decode, srgb_encode
from photonet.engine.data import Batch
from photonet.engine.develop import PLAIN, decoded, develop, mosaiced
from photonet.engine.task import Network, Options, Prepared, Runner, Task, Tiling, Trial, decibels
from photonet.errors import InputError, UsageError, WeightsError
from photonet.io import encode, read_bytes, read_note
from photonet.nets.invertible import InvertibleIsp
from photonet.photo import Photo, Sensor

SUMMARY = "Render RAW files as JPEGs that can be turned back into RAW."
NAME = "isp"
CLIPPED_SHARE = 0.3  # of the pixels, in the trials of highlights
BRIGHTEST = 1.5  # stops that training pictures are brighter at most
ELSEWHERE = 0.3  # share of the training crops whose white is that of another crop, as if both were of one picture
HIGHEST = 2.5  # value of an encoded scene: a linear 7 times white, more than white balance makes of any sensor
DARK = 1e-4  # of white
GOOD_RENDERING = 34.0  # decibels, from which on only the way back counts
SAMPLES, CANDIDATES = 100_000, 17  # pixels and values that what becomes white is chosen from
JPEG_ERROR = 1.5 / 255  # of a rendering's pixels, about, at quality 90
WORTH = (
    1e-3  # of a decibel of the recovered RAW beside the rendering's absolute error: what it takes from that of a RAW
)


class IspOptions(Options):
    """What a user can ask for."""

    inverse: bool = Field(False, description="Back from a JPEG that this command rendered: -o x.dng.")


class IspTraining(Options):
    """What the training pairs are made of.

    Args:
        quality: (lowest, highest) of the JPEG in between.
        rendering: weight of the rendering's error against that of the recovered RAW.
        rounding: how the gradient passes the rounding of the JPEG: by the published Fourier series, or as if there were
            none, which has far less variance.
        recovery: the error of the recovered RAW: absolute as published, or in decibels, so that a picture that comes
            back nearly exactly counts as much as one whose highlights were clipped.
    """

    quality: tuple[float, float] = (75.0, 96.0)
    rendering: float = Field(1.0, gt=0)
    rounding: Literal["fourier", "straight-through"] = "fourier"
    recovery: Literal["absolute", "decibels"] = "absolute"


class IspTrials(Options):
    """What `photonet eval isp` measures."""

    quality: str = Field("75,90,95", description="Of the JPEG in between, separated by commas.")


def rendered(net: Callable[..., Tensor], scene: Tensor, white: Tensor) -> Tensor:
    """The flow renders what already is on the curve of the development, with room for what that would clip.

    Args:
        scene: B 3 H W, values of `photonet.engine.develop.encoded`.
        white: B, of `white_of`.
    """
    return net(process.open_curve(scene, white))


def recovered(net: Callable[..., Tensor], picture: Tensor, white: Tensor) -> Tensor:
    """The inverse of `rendered`, up to `white`: no error of a picture becomes more light than there was."""
    return unprocess.open_curve(net(picture, backwards=True).float().clamp_max(1), white)


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
    if (note.get("Network"), note.get("Weights", "")) != (runner.network, runner.weights):
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
    return Sensor(cfa, np.zeros(cfa.shape), 1.0, (red, green, blue), matrix)


def _parsed_white(text: str, where: Path | str) -> float:
    try:
        white = float(text)
    except ValueError:
        white = 0.0
    if not 1 <= white <= HIGHEST:
        raise InputError(f"its note on the white level is damaged ({text!r})", where)
    return white


def white_of(scene: Photo) -> float:
    """The value of an encoded scene that is to become white."""
    stride = max(round((scene.height * scene.width / SAMPLES) ** 0.5), 1)
    values = torch.from_numpy(scene.pixels[::stride, ::stride].copy())
    return round(best_whites(values.flatten()[None]).item(), 4)


def best_whites(values: Tensor) -> Tensor:
    """Of encoded scenes, B N, what each should have as white, at least 1: the value that loses least, B.

    What is brighter is cut off, and the more there is room for, the more the errors of a JPEG grow on the way back.
    """
    brightest = values.amax(1).clamp(1, HIGHEST)
    shares = torch.linspace(0, 1, CANDIDATES, device=values.device)
    whites = 1 + shares[:, None] * (brightest - 1)
    costs = []
    for white in whites:
        shown = torch.minimum(values.clamp_min(process.TOE), white[:, None])
        noise = JPEG_ERROR / process.open_curve_slope(shown[:, None, None], white)[:, 0, 0]
        costs.append((noise.square() + (values.clamp_min(1) - shown).clamp_min(0).square()).mean(1))
    return whites.gather(0, torch.stack(costs).argmin(0, keepdim=True))[0]


def recorded(display: Tensor, camera: Camera, brighter: Tensor | float = 1) -> Tensor:
    """Camera RGB, B 3 H W in 0 to 1, whose development a display picture is; where it is brighter, cut at white."""
    light = srgb_decode(unprocess.base_curve(display)) * brighter
    return process.white_balance(unprocess.color_matrix(light, camera.matrix), 1 / camera.balance).clamp(0, 1)


def make_pair(batch: Batch, generator: Generator, options: IspTraining) -> Batch:
    """Clean display pictures → what the flow sees of their RAW, and their rendering; and a JPEG for each.

    Args:
        batch: `target` B 3 H W.
    """
    display = batch["target"]
    count = len(display)
    camera = draw_camera(count, generator)
    brighter = 2 ** uniform(count, -0.5, BRIGHTEST, generator).view(-1, 1, 1, 1)
    balanced = process.white_balance(recorded(display, camera, brighter), camera.balance)
    scene = process.color_matrix(balanced, camera.matrix)
    shown = process.color_matrix(balanced.clamp_max(1), camera.matrix)
    low, high = options.quality
    encoded = srgb_encode(scene)
    whites = best_whites(encoded.flatten(1))
    elsewhere = uniform(count, 0, 1, generator) < ELSEWHERE
    return {
        "input": encoded,
        "white": torch.where(elsewhere, whites.roll(1), whites),
        "target": process.base_curve(srgb_encode(shown)),
        "to_camera": torch.linalg.inv(camera.matrix) / camera.balance.amax(1)[:, None, None],
        "quality": uniform(count, low, high, generator).round(),
        "subsampling": torch.randint(len(SUBSAMPLING), (count,), generator=generator, device=generator.device),
        "weight": torch.full((count,), options.rendering, device=display.device),
        "straight": torch.full((count,), options.rounding == "straight-through", device=display.device),
        "decibels": torch.full((count,), options.recovery == "decibels", device=display.device),
    }


def _compared(scene: Tensor, batch: Batch) -> Tensor:
    """What `balanced_view` makes of encoded scenes, but for the darkest values, whose slope has no bound."""
    return process.gamma(process.color_matrix(srgb_decode(scene), batch["to_camera"]).clamp(DARK, 1))


def _both_ways(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The rendering, and the scene that comes back from its JPEG."""
    white, rounding = batch["white"], straight_through if batch["straight"].all() else fourier_round
    picture = rendered(net, batch["input"], white).float()
    return picture, recovered(net, jpeg(picture, batch["quality"], batch["subsampling"], rounding), white)


def two_way_loss(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Absolute error of the rendering, and that of the RAW that comes back through JPEG.

    Source: Xing et al., CVPR 2021, equation 6.
    """
    picture, back = _both_ways(net, batch)
    rendering = (picture - batch["target"]).abs().mean((1, 2, 3))
    found, true = _compared(back, batch), _compared(batch["input"], batch)
    absolute = (found - true).abs().mean((1, 2, 3))
    recovery = torch.where(batch["decibels"], -WORTH * decibels(found, true), absolute)
    loss = (batch["weight"] * rendering + recovery).mean()
    return {"loss": loss, "rendering": rendering.mean(), "recovery": recovery.mean()}


def two_way_score(net: nn.Module, batch: Batch) -> Tensor:
    """Decibels of the RAW that comes back, less what the rendering lacks to `GOOD_RENDERING`."""
    picture, back = _both_ways(net, batch)
    lacking = (GOOD_RENDERING - decibels(picture, batch["target"])).clamp_min(0)
    return decibels(_compared(back, batch), _compared(batch["input"], batch)) - lacking


def camera_photo(clean: np.ndarray, number: int, clipped: float) -> Photo:
    """Camera RGB of a display picture; torch seed = number of the picture.

    Args:
        clean: H W 3.
        clipped: so bright that in this share of the pixels a color is clipped for display; 0 leaves it as it is.
    """
    camera = draw_camera(1, torch.Generator().manual_seed(number))
    sites = recorded(torch.from_numpy(clean).permute(2, 0, 1)[None], camera)
    if clipped:
        brightest = process.white_balance(sites, camera.balance).amax(1)
        sites = (sites / torch.quantile(brightest, 1 - clipped)).clamp_max(1)
    sensor = sensor_of(camera, np.array([[GREEN]]))
    return Photo(sites[0].permute(1, 2, 0).contiguous().numpy(), ColorState.CAMERA, sensor=sensor)


def balanced_view(photo: Photo) -> np.ndarray:
    """RAW as the paper compares it: balanced camera RGB in 0 to 1, gamma-encoded."""
    assert photo.sensor is not None
    gains = photo.sensor.gains
    return (photo.pixels * (gains / gains.max())).clip(0, 1) ** np.float32(1 / process.GAMMA)


def undone_by_formula(photo: Photo, quality: int) -> Photo:
    """What the inverse of each step of the development makes of its JPEG: the measure for the network."""
    shown = read_bytes(encode(develop(photo, PLAIN), "jpeg", quality=quality))
    display = torch.from_numpy(shown.pixels / np.float32(shown.full_scale))
    return decoded(photo.with_pixels(unprocess.base_curve(display).numpy(), state=ColorState.SRGB))


def isp_trial(quality: int, clipped: float) -> Trial:
    """Rendered, compressed as JPEG, and turned back."""

    def degrade(clean: np.ndarray, number: int) -> tuple[Photo, Photo]:
        photo = camera_photo(clean, number, clipped)
        return photo, photo

    return Trial(
        f"quality {quality}{f', {clipped:.0%} clipped' if clipped else ''}",
        degrade,
        through=lambda shown: read_bytes(encode(shown, "jpeg", quality=quality)),
        back={"inverse": True},
        view=balanced_view,
        rivals={"formula": lambda photo: undone_by_formula(photo, quality)},
    )


def trials(options: IspTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval isp` measures."""
    try:
        qualities = [int(text) for text in options.quality.split(",")]
    except ValueError:
        raise UsageError(f"{options.quality!r} is not a list of numbers", "--quality", "write 75,90,95") from None
    return [isp_trial(quality, clipped) for clipped in (0.0, CLIPPED_SHARE) for quality in qualities]


def flow(summary: str, steps: int, growth: int, squeeze: int) -> Network:
    """The published flow, of any size."""
    return Network(
        summary=summary,
        build=lambda config: InvertibleIsp(**config),
        config={"steps": steps, "growth": growth, "squeeze": squeeze},
        tiling=lambda net: Tiling(net.squeeze, net.radius, bytes_per_pixel=70 + 16 * growth // squeeze**2),
        pairs=False,
        exact=True,
        training=IspTraining,
        pair=make_pair,
        loss=two_way_loss,
        score=two_way_score,
    )


TASK = Task(
    name=NAME,
    summary=SUMMARY,
    options=IspOptions,
    networks={
        "squeezed": flow("invertible ISP of Xing et al. at a quarter of the resolution", 4, 24, 4),
        "published": flow("invertible ISP of Xing et al. at its published size", 8, 32, 1),
    },
    prepare=prepare,
    trial_options=IspTrials,
    trials=trials,
    raw_suffix=".jpg",
    blends=False,
    protocol="PSNR of balanced camera RGB, gamma 2.2, peak 1, no border; of the rendering in sRGB",
)
