"""What the command line says of every file, and the exit code that follows from it."""

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from photonet.engine.batch import Outcome, explained
from photonet.engine.develop import displayed
from photonet.engine.plan import Job, results_folder
from photonet.errors import ExitCode, PhotonetError
from photonet.io import Told, make_folder, read

from .compare import Pair, write_page
from .console import err, fail

SCHEMA = 1  # of the JSON lines


class Reporter:
    """Says what became of every file, and knows the exit code in the end.

    Args:
        total: number of jobs.
        as_json: a line of JSON on stdout for each.
        quiet: only errors.
        verbose: 1 also prints sizes of tiles, 2 tracebacks.
    """

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
        """Take an outcome in, and print it."""
        self.outcomes.append(outcome)
        if self.as_json:
            print(json.dumps(_as_dict(outcome)), flush=True)
        elif outcome.status == "done" and not self.quiet:
            found = ", ".join(f"{key} {value}" for key, value in outcome.notes.items() if key != "tile" or self.verbose)
            detail = f"{found}, {outcome.seconds:.1f} s" if found else f"{outcome.seconds:.1f} s"
            err.print(f"{outcome.job.inputs[0]} -> {outcome.job.output}  ({detail})", markup=False)
            say_warnings(outcome.warnings)
        if outcome.error is not None:
            fail(outcome.error, self.verbose)

    @property
    def code(self) -> int:
        """The exit code: that of the error for a single input."""
        failed = [o.error for o in self.outcomes if o.error is not None]
        if not failed:
            return ExitCode.OK
        if self.total > 1:
            return ExitCode.SOME_FAILED
        return int(failed[0].code) if isinstance(failed[0], PhotonetError) else ExitCode.SOME_FAILED

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *stopped_by: object) -> None:
        """Print a summary of several files, also when the batch was interrupted."""
        if self.total < 2 or self.quiet:
            return
        interrupted = stopped_by[0] is KeyboardInterrupt
        counts = {status: sum(o.status == status for o in self.outcomes) for status in ("done", "skipped", "failed")}
        counts["not begun"] = self.total - len(self.outcomes)
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        hint = "; --skip-existing goes on from here" if interrupted else ""
        err.print(f"{summary} in {perf_counter() - self.began:.1f} s{hint}")

    def write_page(self, page: Path, title: str, overwrite: bool, told: Told) -> int:
        """Write the page of `--compare`; gives the exit code of that alone."""
        pairs = [
            Pair(before.name, before, o.job.output, ", ".join(f"{k} {v}" for k, v in o.notes.items()))
            for o in self.outcomes
            if o.status != "failed"
            for before in [o.before or o.job.inputs[0]]
        ]
        if not pairs:
            return ExitCode.OK
        try:
            make_folder(page.parent)
            write_page(
                pairs,
                page,
                title,
                overwrite=overwrite,
                read=lambda path: displayed(read(path, told)),
                read_result=lambda path: displayed(read(path)),  # a DNG of ours has its own levels
            )
        except Exception as error:
            return fail(explained(error, page), self.verbose)
        if not self.quiet:
            err.print(f"before and after: {page}", markup=False)
        return ExitCode.OK


def page_path(jobs: Sequence[Job], output: str, task: str) -> Path:
    """Where the page of `--compare` goes: beside the results."""
    folder = results_folder(output) or jobs[0].output.parent
    return folder / f"{jobs[0].output.stem if len(jobs) == 1 else task}-compare.html"


def say_warnings(warnings: Sequence[str]) -> None:
    """Print what the user should know of a result."""
    for warning in warnings:
        err.print(f"  {warning}", markup=False)


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "schema": SCHEMA,
        "inputs": [str(path) for path in outcome.job.inputs],
        "output": str(outcome.job.output),
        "status": outcome.status,
        "network": outcome.network,
        "weights": outcome.weights,
        "seconds": round(outcome.seconds, 3),
        **outcome.notes,
        "warnings": list(outcome.warnings),
        "error": None if error is None else str(error),
        "code": 0 if error is None else int(getattr(error, "code", ExitCode.SOME_FAILED)),
    }
