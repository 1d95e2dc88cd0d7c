"""Which files become which: inputs found, outputs named, before anything is read."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import NamedTuple

from photonet.errors import InputError, UsageError
from photonet.io import RAW_SUFFIXES, READABLE_SUFFIXES, WRITABLE_SUFFIXES, carries_note, named, suffix_for

_TEMPLATE_FIELD = re.compile(r"\{(dir|stem|task|ext)\}")


@dataclass(frozen=True)
class Job:
    """Files that make one result.

    Args:
        inputs: read, never touched.
        output: written.
        below: folder of the first input below the folder that the user named; kept in the output folder.
        name: of the output without its ending.
    """

    inputs: tuple[Path, ...]
    output: Path = Path()
    below: Path = Path()
    name: str = ""


class Found(NamedTuple):
    """A picture: where it lies below what was named, and whether that was a folder around it."""

    path: Path
    below: Path = Path()
    in_folder: bool = False


def find_inputs(names: Sequence[str], recursive: bool, results: Path | None = None) -> list[Found]:
    """All pictures, each once, however often and in whatever way it was named.

    Args:
        names: files, folders and globs.
        recursive: look into folders of folders.
        results: a folder below a named one that is left out: it holds what an earlier run made.

    Raises:
        InputError: a folder holds no pictures, or must not be read; nothing matches a glob.
    """
    found: list[Found] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += _in_folder(path, recursive, results)
        elif re.search(r"[*?\[]", name) and not path.exists():
            matches = Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))
            matching = sorted(match for match in matches if not match.is_dir())
            if not matching:
                raise InputError("nothing matches", name)
            found += map(Found, matching)
        else:  # also one that is not there: a job that fails stops no other
            found.append(Found(path))
    unique: dict[Path, Found] = {}
    for one in found:
        unique.setdefault(one.path.parent.resolve() / one.path.name, one)  # a link keeps its name: it is a job
    return list(unique.values())


def _in_folder(folder: Path, recursive: bool, results: Path | None) -> list[Found]:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError("you may not read this folder", folder, "Change its permissions.")
    entries = folder.rglob("*") if recursive else folder.iterdir()
    pictures = sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in READABLE_SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
    )
    if results is not None and folder.resolve() in results.resolve().parents:
        made = results.resolve()
        pictures = [picture for picture in pictures if not picture.parent.resolve().is_relative_to(made)]
    if not pictures:
        fix = "" if recursive else "--recursive looks into the folders below it"
        raise InputError("no pictures in this folder", folder, fix)
    return [Found(picture, picture.parent.relative_to(folder), True) for picture in pictures]


def plan(
    names: Sequence[str],
    output: str,
    task: str,
    group: Callable[[Sequence[Path]], list[tuple[Path, ...]]],
    *,
    format: str | None = None,
    raw_suffix: str = ".tif",
    recursive: bool = False,
    shard: str | None = None,
) -> list[Job]:
    """All jobs with their outputs.

    Args:
        names: files, folders and globs.
        output: a file, a folder, or a template with {dir} {stem} {task} {ext}.
        task: its name, for templates.
        group: files → jobs.
        format: of the outputs; None keeps that of each input where it can be written.
        raw_suffix: of the outputs of RAW files, without a format.
        recursive: look into folders of folders.
        shard: "2/8" takes the second of eight parts, the same files on every machine.

    Raises:
        InputError: a folder holds no pictures.
        UsageError: the output cannot be what it should be; an output would replace an input.
    """

    if not output:
        raise UsageError("the output has no name", "-o", "name a file or a folder; . is the current one")

    def jobs_of(found: Sequence[Found]) -> list[Job]:
        order = {one.path: number for number, one in enumerate(found)}
        grouped = [inputs for part in _parts(found) for inputs in group(part)]
        jobs = [_job(inputs, found[order[inputs[0]]]) for inputs in sorted(grouped, key=lambda files: order[files[0]])]
        alone = all(len(job.inputs) == 1 for job in jobs)
        several = len(jobs) > 1 or (alone and any(Path(name).is_dir() for name in names))
        return _distinct([replace(job, output=_place(job, output, task, format, raw_suffix, several)) for job in jobs])

    found = find_inputs(names, recursive, results_folder(output))
    jobs = jobs_of(found)
    if "{" in output:
        earlier = _earlier_results(jobs)
        jobs = jobs_of([one for one in found if not (one.in_folder and _is_result(one.path, earlier))])
    _refuse_inputs(jobs)
    return [job for job in jobs if _in_shard(job, shard)] if shard else jobs  # named first: alike on every machine


def _job(inputs: tuple[Path, ...], first: Found) -> Job:
    """What becomes of a whole folder is named as the folder, what becomes of files as the first of them."""
    if len(inputs) > 1 and first.in_folder:
        folder = first.path.parent
        return Job(inputs, below=first.below.parent, name=folder.resolve().name or first.path.stem)
    return Job(inputs, below=first.below, name=first.path.stem)


def _parts(found: Sequence[Found]) -> list[list[Path]]:
    """Files that may belong together: those that were named, and those of each folder."""
    parts: dict[Path | None, list[Path]] = {}
    for one in found:
        parts.setdefault(one.path.parent if one.in_folder else None, []).append(one.path)
    return list(parts.values())


def results_folder(output: str) -> Path | None:
    """The folder that gets the results, where they all go into one."""
    return None if "{" in output or not _is_folder(output) else Path(output)


def _earlier_results(jobs: Sequence[Job]) -> set[Path]:
    """What the same plan would have made before; a file that only has another ending may as well be an original."""
    return {job.output.resolve() for job in jobs if job.output.with_suffix("") != job.inputs[0].with_suffix("")}


def _is_result(path: Path, results: set[Path]) -> bool:
    """Whether a picture is where a result goes, and says itself that it is one: anything else may be an original."""
    return path.resolve() in results and carries_note(path)


def _in_shard(job: Job, shard: str) -> bool:
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"{shard!r} is not a part like 2/8", "--shard")
    name = (job.below / job.inputs[0].name).as_posix()
    number = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    return number % int(match[2]) == int(match[1]) - 1


def _place(job: Job, output: str, task: str, format: str | None, raw_suffix: str, several: bool) -> Path:
    source = job.inputs[0]
    suffix = suffix_for(format) if format else _kept_suffix(source, raw_suffix)
    if "{" in output:
        fields = {"dir": str(source.parent), "stem": job.name, "task": task, "ext": suffix}
        if set("{}") & set(_TEMPLATE_FIELD.sub("", output)):
            raise UsageError(f"the template {output!r} has unknown fields", "-o", "use {dir} {stem} {task} {ext}")
        template = output.replace(".{ext}", "{ext}")  # the ending brings its dot
        path = Path(_TEMPLATE_FIELD.sub(lambda match: fields[match[1]], template))
        if not path.name or path.is_dir():
            raise UsageError(f"the template {output!r} names the folder {path}", "-o", "add /{stem}{ext}")
        return path
    path = Path(output)
    if not _is_folder(output):
        if several:
            raise UsageError(f"several pictures cannot go into the file {output}", "-o", "name a folder: end it with /")
        if format is None and path.suffix.lower() not in WRITABLE_SUFFIXES:
            raise UsageError(
                f"{path.suffix!r} is not a format that can be written", "-o", ", ".join(sorted(WRITABLE_SUFFIXES))
            )
        if format and path.suffix.lower() in WRITABLE_SUFFIXES and named(path.suffix) != named(format):
            what = f"{path.name} would not be what its name says"
            raise UsageError(what, f"--format {format}", "leave it out, or name another file")
        return path
    return path / job.below / f"{job.name}{suffix}"


def _is_folder(output: str) -> bool:
    return output.endswith(("/", "\\")) or Path(output).is_dir() or Path(output).suffix == ""


def _kept_suffix(source: Path, raw_suffix: str) -> str:
    """The input's own format where it can be written; JPEG for HEIC, PNG for the rest."""
    suffix = source.suffix.lower()
    if suffix in RAW_SUFFIXES:
        return raw_suffix
    if suffix in WRITABLE_SUFFIXES:
        return source.suffix
    return ".jpg" if suffix in (".heic", ".heif", ".hif") else ".png"


def _distinct(jobs: list[Job]) -> list[Job]:
    """Outputs of one name get their inputs' endings into it (`a_jpg`, `a_png`), or else a number (`a`, `a_2`)."""
    endings: dict[str, set[str]] = {}
    for job in jobs:
        endings.setdefault(_key(job), set()).add(job.inputs[0].suffix.lower())
    jobs = [_renamed(job, job.inputs[0].suffix.lstrip(".")) if len(endings[_key(job)]) > 1 else job for job in jobs]
    taken, result = set(map(_key, jobs)), []
    numbers: dict[str, Iterator[int]] = {}
    for job in jobs:
        if (name := _key(job)) in numbers:
            job = next(other for other in (_renamed(job, n) for n in numbers[name]) if _key(other) not in taken)
            taken.add(_key(job))
        numbers.setdefault(name, count(2))
        result.append(job)
    return result


def _key(job: Job) -> str:
    """Names that differ in case only are one file on some machines."""
    return str(job.output).casefold()


def _renamed(job: Job, addition: object) -> Job:
    return replace(job, output=job.output.with_name(f"{job.output.stem}_{addition}{job.output.suffix}"))


def _refuse_inputs(jobs: Sequence[Job]) -> None:
    inputs = {path.resolve() for job in jobs for path in job.inputs}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise UsageError("the output would replace an input", job.output, "choose another folder or name with -o")
