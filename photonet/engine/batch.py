"""Many pictures: the next is read and the last is written while one is computed; a broken file stops no other."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from photonet.engine.infer import Engine, Progress, Result
from photonet.engine.plan import Job
from photonet.errors import UsageError
from photonet.io import read, write
from photonet.photo import Photo


@dataclass(frozen=True)
class Output:
    """How results are written.

    Args:
        format, bit_depth, quality, metadata: as in `photonet.io.write`.
        overwrite: replace outputs that exist.
        skip_existing: leave inputs out whose output exists.
    """

    format: str | None = None
    bit_depth: int | None = None
    quality: int | None = None
    metadata: Any = "full"
    overwrite: bool = False
    skip_existing: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done, skipped, or an error."""

    job: Job
    status: str
    seconds: float = 0.0
    network: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None


def run_batch(
    engine: Engine,
    options: Any,
    jobs: Sequence[Job],
    output: Output,
    *,
    workers: int = 1,
    fail_fast: bool = False,
    progress: Progress = lambda done, total: None,
) -> Iterator[Outcome]:
    """Outcomes in the order of the jobs, each as soon as its file is written.

    Args:
        engine: runs the task.
        options: of the task.
        jobs: what to do.
        output: how to write.
        workers: threads that read, and threads that write, ahead of and behind the computation.
        fail_fast: end after the first error.
        progress: of the picture that is being computed.
    """
    waiting, reading, writing = deque(jobs), deque[tuple[Job, Future | None]](), deque[Future]()

    def read_next() -> None:
        job = waiting.popleft()
        done = output.skip_existing and job.output.exists()
        reading.append((job, None if done else readers.submit(_read, job)))

    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as writers:
        try:
            while waiting or reading or writing:
                while waiting and len(reading) < workers:
                    read_next()
                if reading:
                    job, future = reading.popleft()
                    if waiting:  # read the next one while this one is computed
                        read_next()
                    if future is None:
                        writing.append(_finished(Outcome(job, "skipped")))
                    else:
                        writing.append(_compute(engine, options, job, future, output, writers, progress))
                while writing and (len(writing) > workers or not reading or writing[0].done()):
                    outcome = writing.popleft().result()
                    yield outcome
                    if outcome.error and fail_fast:
                        return
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            writers.shutdown(wait=True, cancel_futures=False)


def _read(job: Job) -> list[Photo]:
    return [read(path) for path in job.inputs]


def _compute(
    engine: Engine,
    options: Any,
    job: Job,
    reading: Future,
    output: Output,
    writers: ThreadPoolExecutor,
    progress: Progress,
) -> Future:
    """Compute a job and hand its result to a writer; the future gives its outcome, whatever happens."""
    began = perf_counter()
    try:
        if not output.overwrite and job.output.exists():  # before anything is computed in vain
            raise UsageError("exists already", job.output, "--overwrite replaces it, --skip-existing leaves it")
        photos = reading.result()
        result = engine.run(photos, options, computed_depth(photos[0], output), progress)
    except Exception as error:
        return _finished(Outcome(job, "failed", perf_counter() - began, error=error))
    return writers.submit(_write, job, result, output, began)


def _finished(outcome: Outcome) -> Future:
    future: Future = Future()
    future.set_result(outcome)
    return future


def computed_depth(photo: Photo, output: Output) -> Any:
    """The depth to compute in: more bits than the input has where the output keeps them."""
    wanted = {8: "uint8", 16: "uint16", 32: "float32"}.get(output.bit_depth or 0)
    return wanted if wanted and photo.pixels.dtype != "float32" else None


def _write(job: Job, result: Result, output: Output, began: float) -> Outcome:
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        report = write(
            result.photo,
            job.output,
            format=output.format,
            bit_depth=output.bit_depth,
            quality=output.quality,
            overwrite=output.overwrite,
            metadata=output.metadata,
        )
    except Exception as error:
        return Outcome(job, "failed", perf_counter() - began, error=error)
    warnings = [*result.photo.meta.notes, *report.notes]
    if result.retried:
        warnings.append(f"{result.retried} tiles were not finite in 16 bits and were computed in float32")
    if report.clipped:
        warnings.append(f"{report.clipped} pixels clipped")
    notes = {**result.notes, "tile": result.tile}
    return Outcome(job, "done", perf_counter() - began, result.network, notes, tuple(warnings))
