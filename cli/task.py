"""`photonet TASK IN... -o OUT`: one command for each task of the catalog."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from photonet.engine import checkpoint
from photonet.engine.batch import Output, check_outputs, computed_depth, run_batch, warnings_of
from photonet.engine.device import pick_device
from photonet.engine.infer import Engine
from photonet.engine.plan import Job, plan
from photonet.engine.tiles import plan_tiles
from photonet.errors import InputError, PhotonetError, UsageError
from photonet.io import FORMATS, check_target, check_writable, identify, pack, read_bytes
from photonet.tasks import get_task

from . import flags
from .console import bars
from .report import Reporter, page_path, say_warnings


def command(name: str) -> Callable[..., None]:
    """The command of a task."""
    task = get_task(name)

    def body(
        inputs: Annotated[
            list[str] | None, typer.Argument(help="Files, folders, globs, or - for stdin.", metavar="IN...")
        ] = None,
        *,
        output: Annotated[
            str,
            typer.Option("--output", "-o", help="File, folder/, template {dir}/{stem}_{task}{ext}, or - for stdout."),
        ],
        from_file: Annotated[Path | None, typer.Option(help="Text file with one more input on each line.")] = None,
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
        inputs = _inputs(inputs or [], from_file)
        options = flags.options_of(task.options, fields)
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
            _pipe(engine, options, inputs, output, target, quiet)
            return
        work = plan(inputs, output, name, task.group, format=format, recursive=recursive, shard=shard)
        check_outputs(work, target)
        page = page_path(work, output, name) if compare and work else None
        if page and page.parent.is_dir():
            check_target(page, overwrite or skip_existing)
        if dry_run:
            _print_plan(engine, work, as_json)
            return
        if work and task.choose is None:
            engine.loaded(net or task.default_network)  # bad weights are one error, not one for each picture
        reporter = Reporter(len(work), as_json, quiet, verbose)
        with bars(not quiet) as shown, reporter:
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
        page_code = reporter.write_page(page, f"photonet {name}", overwrite or skip_existing) if page else 0
        raise typer.Exit(reporter.code or page_code)

    return flags.with_flags(body, flags.flags_of(task.options), task.summary)


def _inputs(given: Sequence[str], listing: Path | None) -> list[str]:
    """Inputs of the command line, and of a text file."""
    try:
        lines = listing.read_text().splitlines() if listing else []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", listing) from error
    inputs = [*given, *(line.strip() for line in lines if line.strip())]
    if not inputs:
        raise UsageError("no input was named", "IN...", "name files or folders, or --from-file LIST")
    return inputs


def _writable() -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.depths]


def _pipe(engine: Engine, options: Any, inputs: Sequence[str], output: str, target: Output, quiet: bool) -> None:
    """One picture from stdin to stdout."""
    if list(inputs) != ["-"] or output != "-":
        raise UsageError(
            "- is for one picture from stdin to stdout", "-", "photonet TASK - -o - --format png < in > out"
        )
    if target.format is None:
        raise UsageError("stdout needs a format", "--format", "for example --format png")
    check_writable(None, format=target.format, bit_depth=target.bit_depth, quality=target.quality)
    photo = read_bytes(sys.stdin.buffer.read(), "stdin")
    result = engine.run([photo], options, computed_depth(photo, target))
    packed = pack(
        result.photo, target.format, bit_depth=target.bit_depth, quality=target.quality, metadata=target.metadata
    )
    sys.stdout.buffer.write(packed.data)
    if not quiet:
        say_warnings(warnings_of(result, packed))


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
