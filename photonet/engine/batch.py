"""Many pictures: the next is read and the last is written while one is computed; a broken file stops no other."""

import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from numpy.typing import DTypeLike

from photonet.engine.develop import fitting
from photonet.engine.device import is_out_of_memory
from photonet.engine.infer import Progress, Result
from photonet.engine.plan import Job
from photonet.errors import DeviceError, PhotonetError, UsageError
from photonet.io import Packed, WriteReport, check_folder, check_writable, make_folder, working_dtype, write
from photonet.io import read as read_photo
from photonet.photo import Photo

WASTEFUL_OVERLAP = 4  # computations of a pixel


@dataclass(frozen=True)
class Output:
    """How results are written.

    Args:
        format, bit_depth, quality, metadata: as in `photonet.io.write`.
        overwrite: replace outputs that exist.
        skip_existing: leave inputs out whose output exists; an empty file, left by a kill, is none.
    """

    format: str | None = None
    bit_depth: int | None = None
    quality: int | None = None
    metadata: Any = "full"
    overwrite: bool = False
    skip_existing: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done, skipped, or an error.

    Args:
        job: with its files.
        status: "done", "skipped" or "failed".
        seconds: it took.
        network: that ran.
        weights: beginning of the digest of the network's weights.
        notes: what the task found.
        warnings: what the user should know of the result.
        error: why it failed; its frames, which hold pictures, are cleared when the next outcome is asked for.
        before: the input that the result is compared with.
    """

    job: Job
    status: str
    seconds: float = 0.0
    network: str = ""
    weights: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None
    before: Path | None = None


Compute = Callable[[Sequence[Photo], DTypeLike, Progress], Result]  # photos of a job, depth, progress → result


def run_batch(
    compute: Compute,
    jobs: Sequence[Job],
    output: Output,
    *,
    read: Callable[[Path], Photo] = read_photo,
    workers: int = 1,
    fail_fast: bool = False,
    most: int = sys.maxsize,
    progress: Progress = lambda done, total: None,
) -> Iterator[Outcome]:
    """Outcomes in the order of the jobs, each as soon as its file is written.

    Args:
        compute: makes the result of a job.
        jobs: what to do.
        output: how to write.
        read: opens a file.
        workers: threads that read, and threads that write, ahead of and behind the computation.
        fail_fast: end after the first error.
        most: files of a job; those of a larger one are not read.
        progress: of the picture that is being computed.
    """
    waiting, reading, writing = deque(jobs), deque[tuple[Job, Future | Outcome]](), deque[Future]()

    def read_next() -> None:
        job = waiting.popleft()
        reading.append((job, _settled(job, output, most) or readers.submit(_read, job, read)))

    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as writers:
        try:
            while waiting or reading or writing:
                while waiting and len(reading) < workers:
                    read_next()
                if reading:
                    job, photos = reading.popleft()
                    if waiting and len(waiting[0].inputs) == 1:  # read it while this one is computed; bursts are large
                        read_next()
                    if isinstance(photos, Outcome):
                        writing.append(_finished(photos))
                    else:
                        writing.append(_compute(compute, job, photos, output, writers, progress))
                    del photos  # the next picture may be as large
                while writing and (len(writing) > workers or not reading or writing[0].done()):
                    outcome = writing.popleft().result()
                    yield outcome
                    _clear_frames(outcome.error)
                    if outcome.error and fail_fast:
                        return
        except KeyboardInterrupt:
            yield from (future.result() for future in writing)  # they are written: say so
            raise
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(wait=True, cancel_futures=False)


def check_outputs(jobs: Sequence[Job], output: Output) -> None:
    """Raise before anything is computed where outputs are bound to fail: format, depth, quality or folder.

    Raises:
        UsageError: no format, or one that cannot be written in this way.
        OutputError: a folder can neither be written to nor made.
    """
    for path in {job.output.suffix: job.output for job in jobs}.values():
        check_writable(path, format=output.format, bit_depth=output.bit_depth, quality=output.quality)
    for folder in dict.fromkeys(job.output.parent for job in jobs):
        check_folder(folder)


def explained(error: BaseException, where: object = "") -> BaseException:
    """The error itself, or a DeviceError where memory ran out."""
    if isinstance(error, PhotonetError) or not is_out_of_memory(error):
        return error
    result = DeviceError("out of memory", where, "close other programs, or take fewer --jobs")
    result.__cause__ = error
    return result


def _settled(job: Job, output: Output, most: int) -> Outcome | None:
    """What becomes of a job that is too large, or whose output is there; None where there is something to do."""
    if len(job.inputs) > most:
        what = f"at most {most} pictures become one, not {len(job.inputs)}"
        return Outcome(job, "failed", error=UsageError(what, job.inputs[0].parent))
    if output.overwrite or not os.path.lexists(job.output):
        return None
    if output.skip_existing:
        return Outcome(job, "skipped") if _size(job.output) else None
    error = UsageError("exists already", job.output, "--overwrite replaces it, --skip-existing leaves it")
    return Outcome(job, "failed", error=error)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _clear_frames(error: BaseException | None) -> None:
    """Let go of the pictures that an error and what led to it hold in their frames."""
    pending = [error]
    while pending:
        if (error := pending.pop()) is not None:
            traceback.clear_frames(error.__traceback__)
            pending += {error.__cause__, error.__context__}


def _read(job: Job, read: Callable[[Path], Photo]) -> list[Photo]:
    return [read(path) for path in job.inputs]


def _compute(
    compute: Compute,
    job: Job,
    reading: Future,
    output: Output,
    writers: ThreadPoolExecutor,
    progress: Progress,
) -> Future:
    """Compute a job and hand its result to a writer; the future gives its outcome, whatever happens."""
    began = perf_counter()
    try:
        photos = reading.result()
        result = compute(photos, computed_depth(photos[0], output, job.output), progress)
    except Exception as error:
        return _finished(Outcome(job, "failed", perf_counter() - began, error=explained(error, job.inputs[0])))
    return writers.submit(_write, job, result, output, began)


def _finished(outcome: Outcome) -> Future:
    future: Future = Future()
    future.set_result(outcome)
    return future


def computed_depth(photo: Photo, output: Output, path: Path | None = None) -> DTypeLike:
    """The depth to compute in: more bits than the input has where the output keeps them, and never fewer."""
    return working_dtype(photo, path, format=output.format, bit_depth=output.bit_depth)


def warnings_of(result: Result, written: WriteReport | Packed) -> tuple[str, ...]:
    """What the user should know of a result: what was assumed, lost, repeated or clipped."""
    warnings = [*result.photo.meta.notes, *written.notes]
    if result.retried:
        warnings.append(f"{result.retried} tiles were not finite in 16 bits and were computed in float32")
    if result.overlap > WASTEFUL_OVERLAP:
        warnings.append(f"with tiles of {result.tile} pixels each pixel was computed {result.overlap:.0f} times")
    if written.clipped:
        warnings.append(f"{written.clipped} pixels clipped")
    return tuple(warnings)


def _write(job: Job, result: Result, output: Output, began: float) -> Outcome:
    try:
        make_folder(job.output.parent)
        report = write(
            fitting(result.photo, job.output, output.format, output.bit_depth),
            job.output,
            format=output.format,
            bit_depth=output.bit_depth,
            quality=output.quality,
            overwrite=output.overwrite or (output.skip_existing and _size(job.output) == 0),
            metadata=output.metadata,
        )
    except Exception as error:
        return Outcome(job, "failed", perf_counter() - began, error=explained(error, job.output))
    notes = {**result.notes, "tile": result.tile} if result.network else dict(result.notes)
    seconds = perf_counter() - began
    found = (result.network, result.weights, notes, warnings_of(result, report))
    return Outcome(job, "done", seconds, *found, before=result.photo.meta.source)
