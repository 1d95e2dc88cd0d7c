"""`photonet eval TASK`: score a task on clean pictures that it spoils itself, beside classical methods."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from photonet.engine import checkpoint
from photonet.engine.data import list_sources
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine, Result
from photonet.engine.recipe import make_options
from photonet.engine.score import Case, averages, evaluate, paired, spoiled, trials_of
from photonet.errors import UsageError
from photonet.io import READABLE_SUFFIXES
from photonet.photo import Photo
from photonet.tasks import get_task

from . import flags
from .console import bars, out, table

PAIRS_PROTOCOL = "pairs as they are; PSNR, peak 1, clipped to 0..1"


def command(name: str) -> Callable[..., None]:
    """The scoring command of a task."""
    task = get_task(name)

    def body(
        data: Annotated[
            Path | None, typer.Option(help="Folder of clean pictures, which the task spoils itself.")
        ] = None,
        pairs: Annotated[
            tuple[Path, Path] | None, typer.Option(help="Folder of inputs and folder of targets with the same names.")
        ] = None,
        baselines: Annotated[
            bool, typer.Option("--baselines", help="Also classical methods, on the same pixels.")
        ] = False,
        every: Annotated[int, typer.Option(help="Only every so many-th picture.", min=1)] = 1,
        net: flags.NET = None,
        weights: flags.WEIGHTS = None,
        device: flags.DEVICE = "auto",
        precision: flags.PRECISION = "auto",
        record: Annotated[
            bool, typer.Option("--record", help="Write the scores into the card of the weights.")
        ] = False,
        as_json: flags.JSON = False,
        verbose: flags.VERBOSE = 0,
        **fields: Any,
    ) -> None:
        if record and every > 1:
            raise UsageError("a part of a data set is no score for a card", "--record", "leave --every out")
        wanted = net
        files, net = checkpoint.choose(task, weights or [], net)
        engine = Engine(task, pick_device(device, precision), files, net=net)
        network = task.networks[net or task.default_network]
        if record and not network.learned:
            raise UsageError(f"{net} has no weights, and no card", "--record", "leave it out")
        sources = list_sources(data, pairs, READABLE_SUFFIXES, "--data", merged=task.photos[1] > 1)[::every]
        if pairs is None:
            trials = trials_of(task, flags.options_of(task.trial_options, fields), network)
            cases = spoiled([source.files[0] for source in sources], trials, network)
        else:
            trials, cases = [], paired(sources, network)
        methods = task.baselines() if baselines else {}
        name_of_set = _set_name(data or pairs[1])  # type: ignore[index]
        protocol = task.protocol if pairs is None else PAIRS_PROTOCOL

        def options(changes: Mapping[str, Any]) -> Any:
            return make_options(task.options, {**(task.pair_options if pairs else {}), **changes})

        rows, total = [], (len(trials) or 1) * len(sources)
        seen: set[tuple[str, str]] = set()
        with bars(not as_json) as shown:
            ways = task.methods if baselines and wanted is None else {}
            others = _elsewhere(engine) if baselines else None
            for row in evaluate(engine, _counted(cases, seen), options, methods, ways, others, baselines):
                rows.append(row)
                shown.show(row.trial, len(seen), total)
        means = averages(rows)
        if record:
            _record(engine, name_of_set, protocol, means)
        if as_json:
            found = {"means": [_json_safe(mean) for mean in means], "rows": [_json_safe(asdict(row)) for row in rows]}
            print(json.dumps({"protocol": protocol, "data": name_of_set, **found}))
        else:
            _print(f"{name} on {name_of_set}", means, protocol)

    return flags.with_flags(
        body,
        flags.flags_of(task.trial_options),
        f"Measure {name} on pictures whose truth is known, and other methods beside it.",
    )


def _elsewhere(engine: Engine) -> Callable[[str, Mapping[str, Any], Photo], Result]:
    """Runs other tasks with their shipped weights, on the same device."""
    engines: dict[str, Engine] = {}

    def run(name: str, changes: Mapping[str, Any], photo: Photo) -> Result:
        task = get_task(name)
        if name not in engines:
            engines[name] = Engine(task, engine.device, checkpoint.choose(task, [])[0])
        return engines[name].run([photo], make_options(task.options, changes))

    return run


def _counted(cases: Iterable[Case], seen: set[tuple[str, str]]) -> Iterator[Case]:
    for case in cases:
        seen.add((case.trial.name, case.picture))
        yield case


def _print(title: str, means: Sequence[Mapping[str, Any]], protocol: str) -> None:
    """The scores as a table, what the task itself judges below it."""
    columns = ["trial", "method", "psnr", "ssim", "pictures", "seconds"]
    table(title, columns, [[mean[c] for c in columns] for mean in means])
    for mean in means:
        if mean["figures"]:
            text = ", ".join(f"{figure} {value:.0%}" for figure, value in mean["figures"].items())
            out.print(f"{mean['trial']}: {text} of the pictures", markup=False)
    out.print(protocol, markup=False)


def _set_name(folder: Path) -> str:
    """The folder's own; of one with `*`, that of the folder before it."""
    starred = (index for index, part in enumerate(folder.parts) if "*" in part)
    first = next(starred, len(folder.parts))
    return folder.parts[first - 1] if first else folder.name


def _record(engine: Engine, dataset: str, protocol: str, means: Sequence[Mapping[str, Any]]) -> None:
    """Put the scores of each network into the card of its weights, in place of older ones of the same conditions."""
    learned = {name for name, network in engine.task.networks.items() if network.learned}
    for name in sorted({mean["method"] for mean in means} & learned):
        loaded = engine.loaded(name)
        assert loaded.path is not None
        card, tensors = checkpoint.read_tensors(loaded.path)
        scores = {
            (dataset, mean["trial"]): checkpoint.Score(
                dataset=dataset,
                condition=mean["trial"],
                protocol=protocol,
                pictures=mean["pictures"],
                precision=loaded.device.precision,
                psnr=mean["psnr"],
                ssim=None if math.isnan(mean["ssim"]) else mean["ssim"],
            )
            for mean in means
            if mean["method"] == name and math.isfinite(mean["psnr"])
        }
        kept = tuple(score for score in card.scores if (score.dataset, score.condition) not in scores)
        card = card.model_copy(update={"scores": (*kept, *scores.values())})
        dtype = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point() and tensor.ndim > 1)
        checkpoint.save(loaded.path, card, tensors, dtype)


def _json_safe(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has neither infinity (the PSNR of equal pictures) nor NaN (the SSIM of tiny ones): null instead."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in record.items()}
