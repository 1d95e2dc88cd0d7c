"""Scoring: degrade clean pictures, run a task on them, and measure how near the result comes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from photonet.color import SENSOR_STATES, ColorState
from photonet.engine.data import Source, as_expected
from photonet.engine.develop import PLAIN, develop
from photonet.engine.infer import Engine, Result
from photonet.engine.metrics import best_shifted, psnr, ssim
from photonet.engine.task import Network, Task
from photonet.engine.trial import Baseline, Picture, Trial
from photonet.errors import InputError, PhotonetError, UsageError
from photonet.io import read
from photonet.photo import Photo, full_scale


@dataclass(frozen=True)
class Row:
    """One method on one picture under one trial.

    Args:
        psnr: decibels.
        ssim: structural similarity; NaN for pictures smaller than its window.
        seconds: that the method took.
        figures: what the task itself judges of a run.
    """

    trial: str
    method: str
    picture: str
    psnr: float
    ssim: float
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A picture under a trial.

    Args:
        trial: the condition.
        number, picture: of the picture, and its name.
        inputs: the degraded photos of the job; the first is compared.
        clean: what the result is compared with; float32, 1.0 = white, of the inputs' color state.
    """

    trial: Trial
    number: int
    picture: str
    inputs: tuple[Photo, ...]
    clean: Photo

    @property
    def degraded(self) -> Photo:
        """The first of the inputs."""
        return self.inputs[0]


def trials_of(task: Task, options: Any, network: Network) -> list[Trial]:
    """The trials of a task; where it has none, the network's own training pair with its default options."""
    if task.trials is not None:
        return task.trials(options, network)

    make = network.pair
    if make is None:
        raise UsageError(f"{task.name} cannot spoil clean pictures by itself", "--data", "measure on --pairs")

    def degrade(clean: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        batch = {"target": torch.from_numpy(clean).permute(2, 0, 1)[None]}
        pair = make(batch, torch.Generator().manual_seed(number), network.training())
        degraded, target = (pair[name][0].permute(1, 2, 0).contiguous().numpy() for name in ("input", "target"))
        return degraded, target

    return [Trial("as trained", degrade)]


def spoiled(pictures: Sequence[Path], trials: Sequence[Trial], network: Network) -> Iterator[Case]:
    """Every clean picture under every trial."""
    for trial in trials:
        for number, path in enumerate(pictures):
            clean = _floats(as_expected(read(path), network))
            try:
                made = trial.degrade(clean, number)
            except UsageError as error:
                raise UsageError(error.what, path.name, error.fix) from error
            degraded, target = made if isinstance(made, tuple) else (made, clean)
            inputs = tuple(degraded) if isinstance(degraded, list) else (_as_photo(degraded, network),)
            yield Case(trial, number, path.name, inputs, _as_photo(target, network))


def _as_photo(picture: Picture, network: Network) -> Photo:
    return picture if isinstance(picture, Photo) else Photo(picture, network.expects)


def paired(sources: Sequence[Source], network: Network) -> Iterator[Case]:
    """Pairs of the user's own, as they are."""
    trial = Trial("pairs", lambda clean, number: clean)
    for number, source in enumerate(sources):
        *inputs, clean = (_as_given(path, network) for path in source.files)
        if (inputs[0].height, inputs[0].width) != (clean.height, clean.width):
            raise InputError("the pictures of a pair differ in size", source.name)
        yield Case(trial, number, source.name, tuple(inputs), clean)


def _as_given(path: Path, network: Network) -> Photo:
    """A picture of the user's: RAW as it is, any other as the network expects it."""
    photo = read(path)
    return photo if photo.state in SENSOR_STATES else Photo(_floats(as_expected(photo, network)), network.expects)


def _floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / full_scale(pixels.dtype)


def evaluate(
    engine: Engine,
    cases: Iterable[Case],
    make_options: Callable[[Mapping[str, Any]], Any],
    baselines: Mapping[str, Baseline],
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    elsewhere: Callable[[str, Mapping[str, Any], Photo], Result] | None = None,
    rivals: bool = False,
) -> Iterator[Row]:
    """Scores of every case: of the input itself, of the task, and of others on the same pixels.

    What a sensor recorded is measured after its development; what stays a mosaic also before, as a trial of its own.

    Args:
        make_options: changes → options of the task.
        baselines: classical methods, by name.
        methods: options that make the task work in another way, by name; each is scored as the network that it chose.
        elsewhere: runs another task: its name, its options, a photo → its result.
        rivals: also those that a trial brings; on the way there and back they always are.
    """
    takes_display = engine.net is None or engine.task.networks[engine.net].expects not in SENSOR_STATES
    for case in cases:
        if case.trial.through is not None:
            yield from _there_and_back(engine, case, case.trial.through, make_options)
            continue
        noisy, clean = _shown(case, case.degraded), _shown(case, case.clean)
        yield from _rows(case, "input", case.degraded, 0.0)
        result, seconds = _timed(engine, case, case.inputs, make_options(case.trial.options))
        yield from _rows(case, result.network, result.photo, seconds, engine.task.judge(result.notes, noisy, clean))
        if case.trial.developed and takes_display:
            result, seconds = _timed(engine, case, (Photo(noisy),), make_options(case.trial.options))
            yield _row(case, f"{result.network}, developed", result.photo.pixels, clean, seconds)
        for changes in (methods or {}).values():
            try:
                result, seconds = _timed(engine, case, case.inputs, make_options({**case.trial.options, **changes}))
            except UsageError:  # not for pictures of this kind
                continue
            yield from _rows(case, result.network, result.photo, seconds)
        for name, changes in case.trial.elsewhere.items():
            if elsewhere is None:
                break
            began = perf_counter()
            result = elsewhere(name, changes, case.degraded)
            yield from _rows(case, f"{name}, one frame", result.photo, perf_counter() - began)
        for name, method in baselines.items():
            began = perf_counter()
            output = method(noisy, clean)
            yield _row(case, name, output, clean, perf_counter() - began)
        if rivals:
            yield from _rivals(case)


def _there_and_back(
    engine: Engine, case: Case, through: Callable[[Photo], Photo], make_options: Callable[[Mapping[str, Any]], Any]
) -> Iterator[Row]:
    """Scores of the result on the way, and of what comes back, beside the rivals' on the same way."""
    trial = case.trial
    result, seconds = _timed(engine, case, case.inputs, make_options(trial.options))
    on_the_way = _developed(result.photo), _developed(case.degraded)
    yield _row(case, result.network, *on_the_way, seconds, trial=f"{trial.name}, on the way")
    result, seconds = _timed(engine, case, (through(result.photo),), make_options({**trial.options, **trial.back}))
    yield _row(case, result.network, _shown(case, result.photo), _shown(case, case.clean), seconds)
    yield from _rivals(case)


def _rivals(case: Case) -> Iterator[Row]:
    for name, rival in case.trial.rivals.items():
        began = perf_counter()
        result = rival(case.degraded)
        yield _row(case, name, _shown(case, result), _shown(case, case.clean), perf_counter() - began)


def _timed(engine: Engine, case: Case, photos: Sequence[Photo], options: Any) -> tuple[Result, float]:
    """The result and its seconds; errors name the picture."""
    began = perf_counter()
    try:
        result = engine.run(photos, options)
    except PhotonetError as error:
        raise type(error)(error.what, error.where or case.picture, error.fix) from error
    return result, perf_counter() - began


def _shown(case: Case, photo: Photo) -> np.ndarray:
    """Pixels as they are compared."""
    return case.trial.view(photo, case.number) if case.trial.view else _developed(photo)


def _developed(photo: Photo) -> np.ndarray:
    """Pixels as they are seen: of a RAW picture, those of its development."""
    return develop(photo, PLAIN, np.float32).pixels if photo.state in SENSOR_STATES else photo.pixels


def _rows(
    case: Case, method: str, result: Photo, seconds: float, figures: Mapping[str, float] | None = None
) -> Iterator[Row]:
    yield _row(case, method, _shown(case, result), _shown(case, case.clean), seconds, figures)
    if result.state == case.clean.state == ColorState.MOSAIC:
        decibels = psnr(result.pixels, case.clean.pixels, clip=False)
        yield Row(f"{case.trial.name}, RAW", method, case.picture, decibels, float("nan"), seconds)


def _row(
    case: Case,
    method: str,
    result: np.ndarray,
    clean: np.ndarray,
    seconds: float,
    figures: Mapping[str, float] | None = None,
    trial: str = "",
) -> Row:
    if case.trial.slack:
        result, clean = best_shifted(result, clean, case.trial.slack)
    quality = psnr(result, clean), ssim(result, clean)
    return Row(trial or case.trial.name, method, case.picture, *quality, seconds, figures or {})


def averages(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Means of every method under every trial over the pictures, in the order that they came."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.trial, row.method), []).append(row)
    return [
        {
            "trial": trial,
            "method": method,
            "psnr": round(float(np.mean([row.psnr for row in group])), 3),
            "ssim": round(_mean_of_known([row.ssim for row in group]), 4),
            "pictures": len(group),
            "seconds": round(sum(row.seconds for row in group), 2),
            "figures": {
                name: round(float(np.mean([row.figures[name] for row in group])), 3) for name in group[0].figures
            },
        }
        for (trial, method), group in groups.items()
    ]


def _mean_of_known(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
