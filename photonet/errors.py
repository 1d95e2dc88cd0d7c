"""Errors that a user can act on, and the exit codes of the command line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command line returns to the shell."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    UNREADABLE = 3
    WEIGHTS = 4
    DEVICE = 5
    INTERRUPTED = 130


class PhotonetError(Exception):
    """Something that the user can mend.

    Args:
        what: what happened, in one sentence without a full stop.
        where: the file, folder, flag or field that it happened to.
        fix: what to do about it.
    """

    code = ExitCode.SOME_FAILED

    def __init__(self, what: str, where: object = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        super().__init__(": ".join(part for part in (self.where, what) if part) + (f". {fix}" if fix else ""))


class UsageError(PhotonetError):
    """A flag, an option or a combination of them makes no sense."""

    code = ExitCode.USAGE


class InputError(PhotonetError):
    """An input cannot be read, or holds what no picture should."""

    code = ExitCode.UNREADABLE


class WeightsError(PhotonetError):
    """Weights are missing, damaged, or made for something else."""

    code = ExitCode.WEIGHTS


class DeviceError(PhotonetError):
    """A device is missing, or out of memory."""

    code = ExitCode.DEVICE
