"""`photonet eval TASK`: score a task on clean pictures that it spoils itself, beside classical methods."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from photonet.engine import checkpoint
from photonet.engine.data import list_pictures
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.recipe import make_options
from photonet.engine.score import averages, evaluate
from photonet.errors import InputError
from photonet.io import READABLE_SUFFIXES
from photonet.tasks import get_task

from . import flags
from .console import bars, out, table


def command(name: str) -> Callable[..., None]:
    """The scoring command of a task."""
    task = get_task(name)

    def body(
        data: Annotated[Path, typer.Option(help="Folder of clean pictures.")],
        baselines: Annotated[
            bool, typer.Option("--baselines", help="Also classical methods, on the same pixels.")
        ] = False,
        every: Annotated[int, typer.Option(help="Only every so many-th picture.", min=1)] = 1,
        net: flags.NET = None,
        weights: flags.WEIGHTS = None,
        device: flags.DEVICE = "auto",
        precision: flags.PRECISION = "auto",
        as_json: flags.JSON = False,
        verbose: flags.VERBOSE = 0,
        **fields: Any,
    ) -> None:
        pictures = list_pictures(data, READABLE_SUFFIXES)[::every]
        if not pictures:
            raise InputError("no pictures in this folder", data)
        trials = task.trials(make_options(task.trial_options, flags.values_of(task.trial_options, fields)))
        engine = Engine(task, pick_device(device, precision), checkpoint.choose(task, weights or []), net=net)
        methods = task.baselines() if baselines else {}

        def options(changes: Mapping[str, Any]) -> Any:
            return make_options(task.options, changes)

        rows, total = [], len(trials) * len(pictures) * (2 + len(methods))
        with bars(not as_json) as shown:
            for row in evaluate(engine, pictures, trials, options, methods):
                rows.append(row)
                shown.show(row.trial, len(rows), total)
        means = averages(rows)
        if as_json:
            print(
                json.dumps(
                    {"protocol": task.protocol, "data": data.name, "means": means, "rows": [asdict(r) for r in rows]}
                )
            )
            return
        columns = ["trial", "method", "psnr", "ssim", "pictures", "seconds"]
        table(f"{name} on {data.name}", columns, [[mean[c] for c in columns] for mean in means])
        out.print(task.protocol, markup=False)

    return flags.with_flags(body, flags.flags_of(task.trial_options), f"Measure: {task.summary}")
