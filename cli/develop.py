"""`photonet develop RAW... -o OUT`: RAW pictures as display pictures, without any network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from photonet.engine.batch import Progress
from photonet.engine.develop import Development, develop
from photonet.engine.infer import Result
from photonet.engine.plan import Job
from photonet.engine.task import one_by_one
from photonet.photo import Photo

from . import flags
from .files import file_flags, files_of, run_files
from .task import print_line


def command() -> Callable[..., None]:
    """The command."""

    def body(**fields: Any) -> None:
        files = files_of(fields)
        how = flags.options_of(Development, fields)

        def compute(photos: Sequence[Photo], dtype: DTypeLike, progress: Progress) -> Result:
            return Result(develop(photos[0], how, dtype or np.uint16))

        run_files(files, "develop", one_by_one, compute, _print_plan)

    return flags.with_flags(body, [*flags.flags_of(Development), *file_flags()], "")


def _print_plan(work: Sequence[Job], as_json: bool) -> None:
    """What `--dry-run` says of each job."""
    for job in work:
        print_line({"input": str(job.inputs[0]), "output": str(job.output), "exists": job.output.exists()}, as_json)
