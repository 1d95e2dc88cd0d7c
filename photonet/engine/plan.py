"""Which files become which: inputs found, outputs named, before anything is read."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from photonet.errors import InputError, UsageError
from photonet.io import READABLE_SUFFIXES, WRITABLE_SUFFIXES, suffix_for

_TEMPLATE_FIELDS = ("dir", "stem", "task", "ext")


@dataclass(frozen=True)
class Job:
    """Files that make one result.

    Args:
        inputs: read, never touched.
        output: written.
        below: folder of the first input below the folder that the user named; kept in the output folder.
    """

    inputs: tuple[Path, ...]
    output: Path = Path()
    below: Path = Path()


def find_inputs(names: Sequence[str], recursive: bool, results: Path | None = None) -> list[tuple[Path, Path]]:
    """Pictures and the folder that each lies in below what was named.

    Args:
        names: files, folders and globs.
        recursive: look into folders of folders.
        results: a folder below a named one that is left out: it holds what an earlier run made.

    Raises:
        InputError: nothing is there; a folder holds no pictures.
    """
    found: list[tuple[Path, Path]] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += _in_folder(path, recursive, results)
        elif re.search(r"[*?\[]", name) and not path.exists():
            matches = Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))
            matching = sorted(match for match in matches if not match.is_dir())
            if not matching:
                raise InputError("nothing matches", name)
            found += [(match, Path()) for match in matching]
        elif not path.exists() and not path.is_symlink():
            raise InputError("no such file or folder", name)
        else:
            found.append((path, Path()))
    return list(dict.fromkeys(found))


def _in_folder(folder: Path, recursive: bool, results: Path | None) -> list[tuple[Path, Path]]:
    entries = folder.rglob("*") if recursive else folder.iterdir()
    pictures = sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in READABLE_SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
    )
    if results is not None and folder.resolve() in results.parents:
        pictures = [picture for picture in pictures if not picture.parent.resolve().is_relative_to(results)]
    if not pictures:
        fix = "" if recursive else "--recursive looks into the folders below it"
        raise InputError("no pictures in this folder", folder, fix)
    return [(picture, picture.parent.relative_to(folder)) for picture in pictures]


def plan(
    names: Sequence[str],
    output: str,
    task: str,
    group: Callable[[Sequence[Path]], list[tuple[Path, ...]]],
    *,
    format: str | None = None,
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
        recursive: look into folders of folders.
        shard: "2/8" takes the second of eight parts, the same files on every machine.

    Raises:
        InputError: an input is missing.
        UsageError: the output cannot be what it should be; an output would replace an input.
    """
    found = find_inputs(names, recursive, _results(output))
    below = dict(found)
    jobs = [Job(inputs, below=below[inputs[0]]) for inputs in group([path for path, _ in found])]
    several = len(jobs) > 1 or any(Path(name).is_dir() for name in names)
    jobs = _distinct([replace(job, output=_place(job, output, task, format, several)) for job in jobs])
    return [job for job in jobs if _in_shard(job, shard)] if shard else jobs  # named first: alike on every machine


def _results(output: str) -> Path | None:
    """The folder that gets the results, where it is one."""
    return None if "{" in output or not _is_folder(output) else Path(output).resolve()


def _in_shard(job: Job, shard: str) -> bool:
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"{shard!r} is not a part like 2/8", "--shard")
    number = int.from_bytes(sha256(job.inputs[0].name.encode()).digest()[:8], "big")
    return number % int(match[2]) == int(match[1]) - 1


def _place(job: Job, output: str, task: str, format: str | None, several: bool) -> Path:
    source = job.inputs[0]
    suffix = suffix_for(format) if format else _kept_suffix(source)
    if "{" in output:
        fields = {"dir": str(source.parent), "stem": source.stem, "task": task, "ext": suffix}
        try:
            return Path(output.format(**fields))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            names = " ".join(f"{{{name}}}" for name in _TEMPLATE_FIELDS)
            raise UsageError(f"the template {output!r} has unknown fields", "-o", f"use {names}") from None
    path = Path(output)
    if not _is_folder(output):
        if several:
            raise UsageError(f"several pictures cannot go into the file {output}", "-o", "name a folder: end it with /")
        if format is None and path.suffix.lower() not in WRITABLE_SUFFIXES:
            raise UsageError(f"{path.suffix!r} is not a format that can be written", "-o", ", ".join(WRITABLE_SUFFIXES))
        return path
    return path / job.below / f"{source.stem}{suffix}"


def _is_folder(output: str) -> bool:
    return output.endswith(("/", "\\")) or Path(output).is_dir() or Path(output).suffix == ""


def _kept_suffix(source: Path) -> str:
    """The input's own format where it can be written; TIFF for a RAW file, JPEG for HEIC, PNG for the rest."""
    suffix = source.suffix.lower()
    if suffix in WRITABLE_SUFFIXES:
        return source.suffix
    if suffix in (".heic", ".heif", ".hif"):
        return ".jpg"
    return ".tif" if suffix in READABLE_SUFFIXES else ".png"


def _distinct(jobs: list[Job]) -> list[Job]:
    """Outputs of the same name get their inputs' endings into it: `a.jpg` and `a.png` become `a_jpg` and `a_png`."""

    def key(job: Job) -> str:
        return str(job.output).casefold()

    counts = Counter(map(key, jobs))
    renamed = [_with_ending(job) if counts[key(job)] > 1 else job for job in jobs]
    inputs = {path.resolve() for job in renamed for path in job.inputs}
    for job in renamed:
        if job.output.resolve() in inputs:
            raise UsageError("the output would replace an input", job.output, "choose another folder or name with -o")
    twice = [name for name, count in Counter(map(key, renamed)).items() if count > 1]
    if twice:
        fix = "put {stem} into the template, or take one folder at a time"
        raise UsageError(f"{len(twice)} outputs would have the same name", twice[0], fix)
    return renamed


def _with_ending(job: Job) -> Job:
    ending = job.inputs[0].suffix.lstrip(".")
    return replace(job, output=job.output.with_name(f"{job.output.stem}_{ending}{job.output.suffix}"))
