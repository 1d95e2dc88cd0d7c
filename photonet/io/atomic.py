"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from photonet.errors import ExitCode, PhotonetError, UsageError

NAME_CHARS = 40  # of the final name within the temporary one: file names end at 255 bytes

_NOT_ALLOWED = "Choose a folder in which you may write."


class OutputError(PhotonetError):
    """An output cannot be written."""

    code = ExitCode.USAGE


def write_atomic(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write a file beside its final place, then rename it: nobody ever sees half of it.

    Args:
        path: the final place; its folder must exist.
        data: all of the file.
        overwrite: replace what is there. Without it even a file that appears meanwhile is left alone.
    """
    check_target(path, overwrite)
    temporary = path.with_name(f".{path.name[:NAME_CHARS]}.{secrets.token_hex(4)}.tmp")
    try:
        _write_synced(temporary, data)
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", path, _fix(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_target(path: Path, overwrite: bool) -> None:
    """Raise early where a write is bound to fail: the place is taken, a folder, or has no folder around it."""
    if path.is_dir():
        raise UsageError("the output is a folder", path, "Give the name of a file.")
    if not path.parent.is_dir():
        raise UsageError("the folder of the output does not exist", path.parent, "Create it first.")
    if not overwrite and os.path.lexists(path):
        raise _exists(path)


def check_folder(folder: Path) -> None:
    """Raise early where a folder neither takes files nor can be made."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place) or place == place.parent)
    if not there.is_dir():
        raise OutputError("this is a file, and should be a folder", there, "Choose another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError("you may not write here", there, _NOT_ALLOWED)


def make_folder(folder: Path) -> None:
    """Make a folder, and those around it, where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror or error}", folder, _fix(error)) from error


def _write_synced(path: Path, data: bytes) -> None:
    # os.open rather than tempfile: mode 0666 less the umask, as any program's files have.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _move_to_new(temporary: Path, path: Path) -> None:
    """Rename, but never onto a file: a hard link fails where the name is taken, even by a race."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network drives): reserve the name, then replace the reservation.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.replace(temporary, path)


def _exists(path: Path) -> UsageError:
    return UsageError("the output exists already", path, "Use --overwrite to replace it, or give another name.")


def _fix(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space, or write to another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _NOT_ALLOWED
    return "Choose another place."
