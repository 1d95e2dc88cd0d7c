"""`photonet TASK IN... -o OUT`: one command for each task of the catalog."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import typer

from photonet.engine import checkpoint
from photonet.engine.batch import Outcome, Output, computed_depth, run_batch
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.plan import Job, plan
from photonet.engine.recipe import make_options
from photonet.engine.tiles import plan_tiles
from photonet.errors import ExitCode, PhotonetError, UsageError
from photonet.io import FORMATS, encode, identify, read_bytes
from photonet.tasks import get_task

from . import flags
from .compare import Pair, write_page
from .console import bars, err, fail

SCHEMA = 1  # of the JSON lines


def command(name: str) -> Callable[..., None]:
    """The command of a task."""
    task = get_task(name)

    def body(
        inputs: Annotated[list[str], typer.Argument(help="Files, folders, globs, or - for stdin.", metavar="IN...")],
        output: Annotated[
            str,
            typer.Option("--output", "-o", help="File, folder/, template {dir}/{stem}_{task}{ext}, or - for stdout."),
        ],
        net: flags.NET = None,
        weights: flags.WEIGHTS = None,
        strength: Annotated[float, typer.Option(help="0 gives the input back, 1 the full result.")] = 1.0,
        device: flags.DEVICE = "auto",
        precision: flags.PRECISION = "auto",
        tile: Annotated[int, typer.Option(help="Largest side of a tile in pixels; 0 chooses by the memory.")] = 0,
        max_memory: Annotated[
            float, typer.Option(help="Memory for the features of a tile in GB; 0 chooses.", min=0)
        ] = 0,
        format: Annotated[str | None, typer.Option(help=f"Of the outputs: {', '.join(_writable())}.")] = None,
        bit_depth: Annotated[int | None, typer.Option(help="8, 16 or 32; by default that of the input.")] = None,
        quality: Annotated[int | None, typer.Option(help="1 to 100, of JPEG, WebP and AVIF.")] = None,
        metadata: Annotated[Literal["full", "basic", "none"], typer.Option(help="basic drops the place.")] = "full",
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
        skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave out what is done already.")] = False,
        recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders of folders.")] = False,
        jobs: Annotated[int, typer.Option(help="Threads that read, and threads that write.", min=1)] = 1,
        shard: Annotated[str | None, typer.Option(help="2/8 does the second of eight parts.")] = None,
        fail_fast: Annotated[bool, typer.Option("--fail-fast/--keep-going", help="End at the first error.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done.")] = False,
        compare: Annotated[bool, typer.Option("--compare", help="Also write a page with before and after.")] = False,
        as_json: flags.JSON = False,
        quiet: flags.QUIET = False,
        verbose: flags.VERBOSE = 0,
        **fields: Any,
    ) -> None:
        if overwrite and skip_existing:
            raise UsageError("--overwrite and --skip-existing exclude each other")
        if format is not None and format not in _writable():
            raise UsageError(f"{format!r} cannot be written", "--format", f"choose one of: {', '.join(_writable())}")
        options = make_options(task.options, flags.values_of(task.options, fields))
        target = Output(format, bit_depth, quality, metadata, overwrite, skip_existing)
        files, net = checkpoint.choose(task, weights or [], net)
        engine = Engine(
            task,
            pick_device(device, precision),
            files,
            net=net,
            tile=tile,
            max_memory=max_memory * 1e9,
            strength=strength,
        )
        if "-" in (*inputs, output):
            if as_json or dry_run or compare:
                raise UsageError("stdout carries the picture", "-", "leave --json, --dry-run and --compare out")
            _pipe(engine, options, inputs, output, target)
            return
        work = plan(inputs, output, name, task.group, format=format, recursive=recursive, shard=shard)
        if dry_run:
            _print_plan(engine, work, as_json)
            return
        if work and task.choose is None:
            engine.loaded(net or task.default_network)  # bad weights are one error, not one for each picture
        reporter = _Reporter(len(work), as_json, quiet, verbose)
        with bars(not quiet) as shown:
            for outcome in run_batch(
                engine,
                options,
                work,
                target,
                workers=jobs,
                fail_fast=fail_fast,
                progress=lambda done, total: shown.show(*reporter.position(done, total)),
            ):
                reporter.add(outcome)
        if compare:
            reporter.write_page(Path(output), name, overwrite or skip_existing)
        raise typer.Exit(reporter.close())

    return flags.with_flags(body, flags.flags_of(task.options), task.summary)


def _writable() -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.depths]


def _pipe(engine: Engine, options: Any, inputs: Sequence[str], output: str, target: Output) -> None:
    """One picture from stdin to stdout."""
    if list(inputs) != ["-"] or output != "-":
        raise UsageError(
            "- is for one picture from stdin to stdout", "-", "photonet TASK - -o - --format png < in > out"
        )
    if target.format is None:
        raise UsageError("stdout needs a format", "--format", "for example --format png")
    photo = read_bytes(sys.stdin.buffer.read(), "stdin")
    result = engine.run([photo], options, computed_depth(photo, target))
    data = encode(
        result.photo, target.format, bit_depth=target.bit_depth, quality=target.quality, metadata=target.metadata
    )
    sys.stdout.buffer.write(data)


def _print_plan(engine: Engine, work: Sequence[Job], as_json: bool) -> None:
    """What `--dry-run` says of each job."""
    loaded = engine.loaded(engine.net or engine.task.default_network)
    for job in work:
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
                "output": str(job.output),
                "exists": job.output.exists(),
                "size": [seen.width, seen.height],
                "tiles": len(tiles),
                "network_memory_mb": round(read * loaded.tiling.bytes_per_pixel / 1e6),
            }
        if as_json:
            print(json.dumps(line))
        else:
            print("  ".join(f"{key} {value}" for key, value in line.items()))


class _Reporter:
    """Says what became of every file, and knows the exit code in the end."""

    def __init__(self, total: int, as_json: bool, quiet: bool, verbose: int) -> None:
        self.total, self.as_json, self.quiet, self.verbose = total, as_json, quiet, verbose
        self.outcomes: list[Outcome] = []
        self.began = perf_counter()

    def position(self, tiles_done: int, tiles: int) -> tuple[str, float, float]:
        """Text, done and total of the progress bar, in tiles for one picture and in pictures for several."""
        if self.total == 1:
            return "tiles", tiles_done, tiles
        return "pictures", len(self.outcomes) + tiles_done / tiles, self.total

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self.as_json:
            print(json.dumps(_as_dict(outcome)), flush=True)
        elif outcome.status == "done" and not self.quiet:
            found = ", ".join(f"{key} {value}" for key, value in outcome.notes.items() if key != "tile" or self.verbose)
            detail = f"{found}, {outcome.seconds:.1f} s" if found else f"{outcome.seconds:.1f} s"
            err.print(f"{outcome.job.inputs[0]} -> {outcome.job.output}  ({detail})", markup=False)
            for warning in outcome.warnings if self.verbose else ():
                err.print(f"  {warning}", markup=False)
        if outcome.error is not None:
            fail(outcome.error, self.verbose)

    def close(self) -> int:
        """Print a summary of several files; the exit code."""
        counts = {status: sum(o.status == status for o in self.outcomes) for status in ("done", "skipped", "failed")}
        if self.total > 1 and not self.quiet:
            summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
            err.print(f"{summary} in {perf_counter() - self.began:.1f} s")
        failed = [o.error for o in self.outcomes if o.error is not None]
        if not failed:
            return ExitCode.OK
        if self.total > 1:
            return ExitCode.SOME_FAILED
        return int(failed[0].code) if isinstance(failed[0], PhotonetError) else ExitCode.SOME_FAILED

    def write_page(self, output: Path, task: str, overwrite: bool) -> None:
        """The page of `--compare`, beside the results."""
        pairs = [
            Pair(o.job.inputs[0].name, o.job.inputs[0], o.job.output, ", ".join(f"{k} {v}" for k, v in o.notes.items()))
            for o in self.outcomes
            if o.status != "failed"
        ]
        if not pairs:
            return
        folder = pairs[0].after.parent if "{" in str(output) or output.suffix else output
        stem = pairs[0].after.stem if self.total == 1 else task
        page = write_page(pairs, folder / f"{stem}-compare.html", f"photonet {task}", overwrite=overwrite)
        if not self.quiet:
            err.print(f"before and after: {page}", markup=False)


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "schema": SCHEMA,
        "inputs": [str(path) for path in outcome.job.inputs],
        "output": str(outcome.job.output),
        "status": outcome.status,
        "network": outcome.network,
        "seconds": round(outcome.seconds, 3),
        **outcome.notes,
        "warnings": list(outcome.warnings),
        "error": None if error is None else str(error),
        "code": 0 if error is None else int(getattr(error, "code", ExitCode.SOME_FAILED)),
    }
