"""Training examples: the files they come from, and how those are read."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from photonet.color import ENCODED_LUMA, LUMA_WEIGHTS, ColorState, transfer
from photonet.engine.develop import for_network
from photonet.errors import InputError, UsageError
from photonet.io import read
from photonet.photo import Photo

Example = Mapping[str, np.ndarray]  # named arrays H W C of one height and width: a clean picture, or a pair
Batch = dict[str, Tensor]

COLORS = 3


@dataclass(frozen=True)
class Source:
    """Where one example comes from: its name, and the files that `Network.sample` reads."""

    name: str
    files: tuple[Path, ...]


def list_pictures(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The pictures of a folder and of the folders below it, in the order of their names."""
    if not folder.is_dir():
        raise UsageError("no such folder", folder)
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith("."))


def list_sources(
    photos: Path | None,
    pairs: tuple[Path, Path] | None,
    suffixes: Collection[str],
    flag: str = "--photos",
    merged: bool = False,
) -> list[Source]:
    """Sources of clean photos, or of pairs: files of the same relative name, whatever their endings.

    Args:
        photos: folder of clean photos.
        pairs: folder of inputs and folder of targets; a `*` in their paths stands for any folder, the same in both: so
            for GoPro's train/*/blur and train/*/sharp.
        suffixes: of pictures.
        flag: what an error calls `photos`.
        merged: an input is a folder of pictures, whose name is the target's; the target comes last in `Source.files`.

    Raises:
        UsageError: a folder is missing or empty; all partners that are missing are listed at once; two pictures of a
            folder differ in their endings only.
    """
    if (photos is None) == (pairs is None):
        raise UsageError(f"exactly one of {flag} and --pairs is needed", fix=f"{flag} DIR, or --pairs NOISY CLEAN")
    if photos is not None:
        sources = [Source(str(p.relative_to(photos)), (p,)) for p in list_pictures(photos, suffixes)]
    else:
        assert pairs is not None
        first = _folders_by_name(pairs[0], suffixes) if merged else _by_name(pairs[0], suffixes)
        second = _by_name(pairs[1], suffixes)
        alone = sorted(str(name) for name in first.keys() ^ second.keys())
        if alone:
            raise UsageError(
                f"{len(alone)} pictures have no partner: {', '.join(alone[:5])}", " and ".join(map(str, pairs))
            )
        sources = [Source(str(name), (*first[name], *second[name])) for name in sorted(first)]
    if not sources:
        raise InputError("no pictures in this folder", photos or (pairs and pairs[0]), "name one that holds pictures")
    return sources


def _by_name(folder: Path, suffixes: Collection[str]) -> dict[Path, tuple[Path, ...]]:
    """Relative name without its ending → file; what `*` stands for is its beginning."""
    found: dict[Path, tuple[Path, ...]] = {}
    for prefix, root in _roots(folder):
        for path in list_pictures(root, suffixes):
            name = prefix / path.relative_to(root).with_suffix("")
            if name in found:
                what = f"{found[name][0].name} and {path.name} cannot be told apart"
                raise UsageError(what, path.parent, "remove one")
            found[name] = (path,)
    return found


def _roots(folder: Path) -> list[tuple[Path, Path]]:
    """The folders that a path with `*` stands for, and what that is in each."""
    stars = [index for index, part in enumerate(folder.parts) if "*" in part]
    if not stars:
        return [(Path(), folder)]
    base = Path(*folder.parts[: stars[0]])
    found = sorted(path for path in base.glob(str(Path(*folder.parts[stars[0] :]))) if path.is_dir())
    if not found:
        raise UsageError("no such folder", folder)
    return [(Path(*(path.parts[index] for index in stars)), path) for path in found]


def _folders_by_name(folder: Path, suffixes: Collection[str]) -> dict[Path, tuple[Path, ...]]:
    """Relative name of each folder that holds pictures → those pictures; `*` as in `_by_name`."""
    found: dict[Path, tuple[Path, ...]] = {}
    for prefix, root in _roots(folder):
        for path in list_pictures(root, suffixes):
            name = prefix / path.parent.relative_to(root)
            found[name] = (*found.get(name, ()), path)
    return found


def named(sources: Sequence[Source], patterns: Sequence[str]) -> list[Source]:
    """The sources whose name matches one of the patterns."""
    return [s for s in sources if any(fnmatch(s.name, pattern) for pattern in patterns)]


def split(sources: Sequence[Source], validation: Sequence[str]) -> tuple[list[Source], list[Source]]:
    """Training and validation sources.

    Args:
        validation: patterns of names; where none matches, every 20th picture (at least one) is held out.
    """
    held = named(sources, validation) or list(sources[::20])
    names = {s.name for s in held}
    return [s for s in sources if s.name not in names] or list(sources), held


def read_pictures(source: Source, network: Any) -> Example:
    """A clean picture (`target`), or a pair (`input`, `target`), as the network expects them."""
    photos = [read(file) for file in source.files]
    names = ("target",) if len(photos) == 1 else ("input", "target")
    return {name: as_expected(photo, network) for name, photo in zip(names, photos, strict=True)}


def read_as(network: Any) -> tuple[ColorState, int]:
    """Color state and channels in which clean pictures are read for a network's training and scores."""
    return network.reads or (network.expects, network.channels)


def as_expected(photo: Photo, network: Any) -> np.ndarray:
    """Pixels H W C in the color state and with the channels of `read_as`, in the photo's depth."""
    state, channels = read_as(network)
    photo = for_network(photo, state)
    pixels = photo.pixels
    if photo.state != state:
        convert = transfer(photo.state, state)
        pixels = convert(pixels.astype(np.float32) / photo.full_scale).astype(np.float32)
    if pixels.shape[2] == channels:
        return pixels
    if channels == COLORS:
        return np.repeat(pixels, COLORS, axis=2)
    gray = pixels @ np.array(ENCODED_LUMA if state == ColorState.SRGB else LUMA_WEIGHTS, np.float32)
    return np.rint(gray).astype(pixels.dtype)[..., None] if pixels.dtype.kind == "u" else gray[..., None]


def fingerprint(sources: Sequence[Source]) -> str:
    """SHA-256 over the names and sizes of the files."""
    lines = [f"{s.name} {[f.stat().st_size for f in s.files]}" for s in sources]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
