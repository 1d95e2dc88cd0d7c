"""What the command line prints: data on stdout, everything else on stderr."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from photonet.errors import ExitCode, PhotonetError

PATIENCE_S = 2.0  # a bar appears for what takes longer

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


def fail(error: BaseException, verbose: int = 0) -> int:
    """Print an error the way a user can act on it, and give its exit code."""
    if verbose > 1:
        traceback.print_exception(error)
    if isinstance(error, PhotonetError):
        err.print(f"photonet: {error}", style="red", markup=False)
        return int(error.code)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        err.print(f"photonet: {where}{error.strerror}", style="red", markup=False)
        return int(ExitCode.SOME_FAILED)
    err.print(f"photonet: unexpected {type(error).__name__}: {error}", style="red", markup=False)
    err.print("this is a fault of photonet; -vv shows where", markup=False)
    return int(ExitCode.SOME_FAILED)


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table to stdout; numbers to the right, and nothing cut off where it is piped into a file."""
    result = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        result.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*map(str, row))
    (out if sys.stdout.isatty() else Console(highlight=False, width=160)).print(result)


class Bars:
    """A progress bar on stderr, on terminals only, for what takes longer than two seconds."""

    def __init__(self, enabled: bool) -> None:
        self._began = monotonic()
        self._columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        )
        self._progress = Progress(
            *self._columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err, transient=True
        )
        self._enabled = enabled and err.is_terminal
        self._task: Any = None

    def show(self, text: str, done: float, total: float) -> None:
        """Move the bar."""
        if not self._enabled or monotonic() - self._began < PATIENCE_S:
            return
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(text, total=total)
        self._progress.update(self._task, description=text, completed=done, total=total)

    def stop(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.stop()


@contextmanager
def bars(enabled: bool) -> Iterator[Bars]:
    """A bar that is gone at the end, whatever happens."""
    result = Bars(enabled)
    try:
        yield result
    finally:
        result.stop()
