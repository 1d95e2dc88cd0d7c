"""What every command that turns pictures into pictures shares: its inputs and outputs, folders, pipes and reports."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from photonet.engine.batch import Compute, Output, check_outputs, computed_depth, run_batch, warnings_of
from photonet.engine.develop import fitting
from photonet.engine.plan import Job, plan
from photonet.errors import InputError, UsageError
from photonet.io import FORMATS, Told, check_target, check_writable, named, pack, read, read_bytes

from . import flags
from .console import bars
from .report import Reporter, page_path, say_warnings

Group = Callable[[Sequence[Path]], list[tuple[Path, ...]]]


def _writable() -> list[str]:
    return [name for name, kind in FORMATS.items() if kind.depths]


@dataclass(frozen=True, kw_only=True)
class Files:
    """The flags: where pictures come from, and how results are written."""

    inputs: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, globs, or - for stdin.", metavar="IN...")
    ] = None
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="File, folder/, or template of {dir} {stem} {task} {ext}; - with input -."),
    ]
    from_file: Annotated[Path | None, typer.Option(help="Text file with one more input on each line.")] = None
    format: Annotated[str | None, typer.Option(help=f"Of the outputs: {', '.join(_writable())}.")] = None
    bit_depth: Annotated[int | None, typer.Option(help="8, 16 or 32; by default that of the input.")] = None
    quality: Annotated[int | None, typer.Option(help="1 to 100, of JPEG, WebP and AVIF.")] = None
    metadata: Annotated[Literal["full", "basic", "none"], typer.Option(help="basic drops the place.")] = "full"
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave out what is done already.")] = False
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders of folders.")] = False
    jobs: Annotated[int, typer.Option(help="Threads that read, and threads that write.", min=1)] = 1
    shard: Annotated[str | None, typer.Option(help="2/8 does the second of eight parts.")] = None
    fail_fast: Annotated[bool, typer.Option("--fail-fast/--keep-going", help="End at the first error.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done.")] = False
    compare: Annotated[bool, typer.Option("--compare", help="Also write a page with before and after.")] = False
    cfa: flags.CFA = None
    black: flags.BLACK = None
    white: flags.WHITE = None
    wb: flags.WB = None
    matrix: flags.MATRIX = None
    size: flags.SIZE = None
    as_json: flags.JSON = False
    quiet: flags.QUIET = False
    verbose: flags.VERBOSE = 0

    @property
    def target(self) -> Output:
        """How results are written."""
        return Output(self.format, self.bit_depth, self.quality, self.metadata, self.overwrite, self.skip_existing)

    @property
    def told(self) -> Told:
        """What the user says of the sensor of RAW files."""
        return flags.told(self.cfa, self.black, self.white, self.wb, self.matrix, self.size)


def file_flags() -> list[flags.Flag]:
    """One flag for each field of `Files`."""
    hints = get_type_hints(Files, include_extras=True)
    return [
        flags.flag(field.name, hints[field.name], flags.Flag.empty if field.default is MISSING else field.default)
        for field in fields(Files)
    ]


def files_of(given: dict[str, Any]) -> Files:
    """Take the fields of `Files` out of what a command was given, and check what needs no file."""
    found = Files(**{field.name: given.pop(field.name) for field in fields(Files)})
    if found.overwrite and found.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    if found.format is not None and not named(found.format).depths:
        raise UsageError(f"{found.format!r} cannot be written", "--format", f"choose one of: {', '.join(_writable())}")
    return found


def run_files(
    files: Files,
    verb: str,
    group: Group,
    compute: Compute,
    print_plan: Callable[[Sequence[Job], bool], None],
    *,
    ready: Callable[[Sequence[Job]], object] = lambda work: None,
    raw_suffix: str = ".tif",
    recursive: bool = False,
    most: int = 1,
) -> None:
    """Do it all; ends with the exit code.

    Args:
        verb: name of the command, for templates and the page.
        group: files → jobs.
        compute: photos of a job → its result.
        print_plan: what `--dry-run` says.
        ready: called once before the first job, so that bad weights are one error, not one for each picture.
        raw_suffix: of the results of RAW files, where nobody says.
        recursive: folders of folders are read without being asked.
        most: files of a job.
    """
    inputs, told, target = _inputs(files), files.told, files.target
    if "-" in (*inputs, files.output):
        if files.as_json or files.dry_run or files.compare:
            raise UsageError("stdout carries the picture", "-", "leave --json, --dry-run and --compare out")
        _pipe(files, inputs, verb, compute)
        return
    work = plan(
        inputs,
        files.output,
        verb,
        group,
        format=files.format,
        raw_suffix=raw_suffix,
        recursive=files.recursive or recursive,
        shard=files.shard,
    )
    check_outputs(work, target)
    page = page_path(work, files.output, verb) if files.compare and work else None
    if page and page.parent.is_dir():
        check_target(page, files.overwrite or files.skip_existing)
    if files.dry_run:
        print_plan(work, files.as_json)
        return
    if work:
        ready(work)
    reporter = Reporter(len(work), files.as_json, files.quiet, files.verbose)
    with bars(not files.quiet) as shown, reporter:
        for outcome in run_batch(
            compute,
            work,
            target,
            read=lambda path: read(path, told),
            workers=files.jobs,
            fail_fast=files.fail_fast,
            most=most,
            progress=lambda done, total: shown.show(*reporter.position(done, total)),
        ):
            reporter.add(outcome)
    replace = files.overwrite or files.skip_existing
    page_code = reporter.write_page(page, f"photonet {verb}", replace, told) if page else 0
    raise typer.Exit(reporter.code or page_code)


def _inputs(files: Files) -> list[str]:
    """Inputs of the command line, and of a text file."""
    try:
        text = sys.stdin.read() if files.from_file == Path("-") else files.from_file and files.from_file.read_text()
        lines = text.splitlines() if text else []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", files.from_file or "") from error
    inputs = [*(files.inputs or []), *(line.strip() for line in lines if line.strip())]
    if not inputs:
        raise UsageError("no input was named", "IN...", "name files or folders, or --from-file LIST")
    return inputs


def _pipe(files: Files, inputs: Sequence[str], verb: str, compute: Compute) -> None:
    """One picture from stdin to stdout."""
    target = files.target
    if list(inputs) != ["-"] or files.output != "-":
        raise UsageError(
            "- is for one picture from stdin to stdout", "-", f"photonet {verb} - -o - --format png < in > out"
        )
    if target.format is None:
        raise UsageError("stdout needs a format", "--format", "for example --format png")
    check_writable(None, format=target.format, bit_depth=target.bit_depth, quality=target.quality)
    photo = read_bytes(sys.stdin.buffer.read(), "stdin", files.told)
    result = compute([photo], computed_depth(photo, target), lambda done, total: None)
    packed = pack(
        fitting(result.photo, None, target.format, target.bit_depth),
        target.format,
        bit_depth=target.bit_depth,
        quality=target.quality,
        metadata=target.metadata,
    )
    sys.stdout.buffer.write(packed.data)
    if not files.quiet:
        say_warnings(warnings_of(result, packed))
