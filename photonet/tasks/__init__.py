"""One file per task. The catalog is all that a listing needs; a task's module is imported when it is used."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from photonet.errors import UsageError

if TYPE_CHECKING:
    from photonet.engine.task import Task


@dataclass(frozen=True)
class Entry:
    """A line of the catalog: where a task is, and what it does."""

    module: str
    summary: str


CATALOG = {
    "denoise": Entry("photonet.tasks.denoise", "Remove noise from photographs, as much as there is."),
    "burst": Entry("photonet.tasks.burst", "Merge noisy frames of one scene into one clean picture."),
    "deblur": Entry("photonet.tasks.deblur", "Sharpen photographs that motion has blurred."),
    "isp": Entry("photonet.tasks.isp", "Render RAW files as JPEGs that can be turned back into RAW."),
}


def get_task(name: str) -> "Task":
    """A task by name; imports its module, and torch with it.

    Raises:
        UsageError: there is no such task.
    """
    if name not in CATALOG:
        raise UsageError(f"there is no task {name!r}", fix=f"choose one of: {', '.join(CATALOG)}")
    task: Task = import_module(CATALOG[name].module).TASK
    return task
