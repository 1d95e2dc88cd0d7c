"""Training examples: decoded once into one memory-mapped file, cropped at random from there."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from photonet.color import ENCODED_LUMA, LUMA_WEIGHTS, ColorState, transfer
from photonet.engine.develop import for_network
from photonet.errors import InputError, UsageError
from photonet.io import read, write_atomic
from photonet.photo import Photo, full_scale

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
        pairs: folder of inputs and folder of targets.
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
    """Relative name without its ending → file."""
    found: dict[Path, tuple[Path, ...]] = {}
    for path in list_pictures(folder, suffixes):
        name = path.relative_to(folder).with_suffix("")
        if name in found:
            raise UsageError(f"{found[name][0].name} and {path.name} cannot be told apart", path.parent, "remove one")
        found[name] = (path,)
    return found


def _folders_by_name(folder: Path, suffixes: Collection[str]) -> dict[Path, tuple[Path, ...]]:
    """Relative name of each folder that holds pictures → those pictures."""
    found: dict[Path, tuple[Path, ...]] = {}
    for path in list_pictures(folder, suffixes):
        name = path.parent.relative_to(folder)
        found[name] = (*found.get(name, ()), path)
    return found


def split(sources: Sequence[Source], validation: Sequence[str]) -> tuple[list[Source], list[Source]]:
    """Training and validation sources.

    Args:
        validation: patterns of names; where none matches, every 20th picture (at least one) is held out.
    """
    held = [s for s in sources if any(fnmatch(s.name, pattern) for pattern in validation)] or list(sources[::20])
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


class Bank:
    """Examples in one memory-mapped file.

    Args:
        folder: holds `bank.bin`, the arrays one after another, and `bank.json`, which says where each begins.
    """

    def __init__(self, folder: Path) -> None:
        self.index: list[dict] = json.loads((folder / "bank.json").read_text())["examples"]
        self._data = np.memmap(folder / "bank.bin", mode="r", dtype=np.uint8)
        areas = np.array([np.prod(next(iter(e["arrays"].values()))["shape"][:2]) for e in self.index], float)
        self._cumulative = torch.from_numpy(np.cumsum(np.sqrt(areas) / np.sqrt(areas).sum()))

    def __len__(self) -> int:
        return len(self.index)

    def example(self, index: int) -> dict[str, np.ndarray]:
        """Named arrays H W C, views into the file."""
        arrays = {}
        for name, entry in self.index[index]["arrays"].items():
            count = int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
            raw = self._data[entry["offset"] : entry["offset"] + count]
            arrays[name] = raw.view(entry["dtype"]).reshape(entry["shape"])
        return arrays

    def draw(self, batch: int, size: int, generator: Generator) -> Batch:
        """Random crops, flipped and turned: named tensors B C size size, float32, 1.0 = full scale.

        Pictures are drawn by the square root of their area: large ones count for more, but do not drown small ones.
        """
        numbers = torch.rand(batch, 5, generator=generator, dtype=torch.float64)
        crops: dict[str, list[Tensor]] = {}
        for pick, top, left, flip, turn in numbers:
            example = self.example(min(int(torch.searchsorted(self._cumulative, pick)), len(self) - 1))
            for name, array in example.items():
                crop = _crop(array, size, float(top), float(left))
                crop = crop.flip(-1) if flip < 0.5 else crop
                crops.setdefault(name, []).append(crop.rot90(int(turn * 4), (-2, -1)))
        return {name: torch.stack(tensors) for name, tensors in crops.items()}


def _crop(array: np.ndarray, size: int, top: float, left: float) -> Tensor:
    """C size size from a picture H W C; a picture smaller than that is reflected."""
    y, x = (int(place * (max(length - size, 0) + 1)) for place, length in zip((top, left), array.shape, strict=False))
    window = array[y : y + size, x : x + size]
    missing = [(0, size - n) for n in window.shape[:2]]
    if any(after for _, after in missing):
        window = np.pad(window, [*missing, (0, 0)], mode="symmetric")
    return torch.from_numpy(window.astype(np.float32)).permute(2, 0, 1) / full_scale(array.dtype)


def build_bank(
    sources: Sequence[Source],
    sample: Callable[[Source], Example],
    folder: Path,
    reading: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Bank:
    """Decode every source once; a bank of the same files, read the same way, that is already there is used again.

    Args:
        reading: says how `sample` reads, where that is not always the same way.
        progress: told how many sources are done.

    Raises:
        InputError: files that cannot be read, or arrays of an example that differ in size; all of them are listed.
    """
    times = [file.stat().st_mtime_ns for source in sources for file in source.files]
    key = hashlib.sha256(f"{fingerprint(sources)} {times} {reading}".encode()).hexdigest()
    listing = folder / "bank.json"
    if listing.exists() and json.loads(listing.read_text())["sources"] == key:
        return Bank(folder)
    folder.mkdir(parents=True, exist_ok=True)
    listing.unlink(missing_ok=True)
    index, offset, problems = [], 0, []
    with (folder / "bank.bin").open("wb") as file:
        for done, source in enumerate(sources):
            arrays = {}
            try:
                example = _checked(source, sample(source))
            except InputError as error:
                problems.append(str(error))
                continue
            for name, array in example.items():
                arrays[name] = {"offset": offset, "shape": list(array.shape), "dtype": array.dtype.str}
                offset += file.write(np.ascontiguousarray(array).tobytes())
                offset += file.write(bytes(-offset % 8))  # keeps every array aligned
            index.append({"source": source.name, "arrays": arrays})
            progress(done + 1)
    if problems:
        what = f"{len(problems)} of {len(sources)} training examples cannot be used: {'; '.join(problems[:5])}"
        raise InputError(what, fix="Mend or remove them.")
    write_atomic(listing, json.dumps({"sources": key, "examples": index}).encode(), overwrite=True)
    return Bank(folder)


def _checked(source: Source, example: Example) -> Example:
    shapes = {name: array.shape[:2] for name, array in example.items()}
    if len(set(shapes.values())) != 1:
        listed = ", ".join(f"{name} {w}×{h}" for name, (h, w) in shapes.items())
        raise InputError(f"the pictures of a pair differ in size: {listed}", source.name, "crop or remove them")
    return example
