"""`photonet TASK IN... -o OUT`: one command for each task of the catalog."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from photonet.engine import checkpoint
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.plan import Job
from photonet.engine.tiles import plan_tiles
from photonet.errors import PhotonetError, UsageError
from photonet.io import RAW_SUFFIXES, identify
from photonet.tasks import get_task

from . import flags
from .files import file_flags, files_of, run_files

LEAST_TILE = 16  # pixels


def command(name: str) -> Callable[..., None]:
    """The command of a task."""
    task = get_task(name)

    def body(
        *,
        net: flags.NET = None,
        weights: flags.WEIGHTS = None,
        strength: Annotated[float, typer.Option(help="0 to 1: 0 gives the input back, 1 the full result.")] = 1.0,
        device: flags.DEVICE = "auto",
        precision: flags.PRECISION = "auto",
        tile: Annotated[int, typer.Option(help="Largest side of a tile in pixels; 0 chooses by the memory.")] = 0,
        max_memory: Annotated[
            float, typer.Option(help="Memory for the features of a tile in GB; 0 chooses.", min=0)
        ] = 0,
        **fields: Any,
    ) -> None:
        files = files_of(fields)
        options = flags.options_of(task.options, fields)
        found, net = checkpoint.choose(task, weights or [], net)
        where = pick_device(device, precision)
        if 0 < tile < LEAST_TILE:
            fix = f"{LEAST_TILE} or more, or 0 to let it choose"
            raise UsageError(f"tiles of {tile} pixels are nearly all border", "--tile", fix)
        engine = Engine(task, where, found, net=net, tile=tile, max_memory=max_memory * 1e9, strength=strength)
        run_files(
            files,
            name,
            task.group,
            lambda photos, dtype, progress: engine.run(photos, options, dtype, progress),
            lambda work, as_json: _print_plan(engine, options, work, as_json),
            ready=lambda work: [engine.loaded(name) for name in {_network_of(engine, options, job) for job in work}],
            raw_suffix=task.raw_suffix,
            recursive=task.photos[1] > 1,
            most=task.photos[1],
        )

    return flags.with_flags(body, [*flags.flags_of(task.options), *file_flags()], task.summary)


def _network_of(engine: Engine, options: Any, job: Job) -> str:
    return engine.net or engine.task.usual_network(job.inputs[0].suffix.lower() in RAW_SUFFIXES, options)


def _print_plan(engine: Engine, options: Any, work: Sequence[Job], as_json: bool) -> None:
    """What `--dry-run` says of each job."""
    for job in work:
        loaded = engine.loaded(_network_of(engine, options, job))
        try:
            seen = identify(job.inputs[0])
        except PhotonetError as error:
            line: dict[str, Any] = {"input": str(job.inputs[0]), "error": str(error)}
        else:
            side = engine.tile_size(loaded)
            tiles = plan_tiles(seen.height, seen.width, side, loaded.tiling)
            read = max(tile.read.height * tile.read.width for tile in tiles)
            line = {
                "input": str(job.inputs[0]),
                **({"inputs": [str(path) for path in job.inputs]} if len(job.inputs) > 1 else {}),
                "output": str(job.output),
                "exists": job.output.exists(),
                "size": [seen.width, seen.height],
                "tiles": len(tiles),
                "network_memory_mb": round(read * loaded.tiling.bytes_per_pixel / 1e6),
            }
        print_line(line, as_json)


def print_line(line: dict[str, Any], as_json: bool) -> None:
    """One line of a plan on stdout."""
    print(json.dumps(line) if as_json else "  ".join(f"{key} {value}" for key, value in line.items()))
