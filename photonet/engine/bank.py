"""Decoded training examples in one memory-mapped file, cropped at random from there."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from photonet.engine.data import Batch, Example, Source, fingerprint
from photonet.errors import InputError
from photonet.io import write_atomic
from photonet.photo import full_scale


class Bank:
    """Examples in one memory-mapped file.

    Args:
        folder: holds `bank.bin`, the arrays one after another, and `bank.json`, which says where each begins.
    """

    def __init__(self, folder: Path) -> None:
        self.index: list[dict] = json.loads((folder / "bank.json").read_text())["examples"]
        self._data = np.memmap(folder / "bank.bin", mode="r", dtype=np.uint8)
        areas = np.array([np.prod(next(iter(e["arrays"].values()))["shape"][:2]) for e in self.index], float)
        kinds = ["+".join(sorted(e["arrays"])) for e in self.index]
        self._cumulative = _cumulative(np.sqrt(areas))
        # of those that have the same arrays as an example, where there are others
        alike = {kind: _cumulative(np.sqrt(areas) * [k == kind for k in kinds]) for kind in set(kinds)}
        self._alike = [alike[kind] for kind in kinds]

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

        Pictures are drawn by the square root of their area: large ones count for more, but do not drown small ones. A
        batch is all clean pictures or all pairs, as its first is.
        """
        numbers = torch.rand(batch, 5, generator=generator, dtype=torch.float64)
        crops: dict[str, list[Tensor]] = {}
        places = self._cumulative
        for pick, top, left, flip, turn in numbers:
            index = min(int(torch.searchsorted(places, pick)), len(self) - 1)
            example, places = self.example(index), self._alike[index]
            for name, array in example.items():
                crop = _crop(array, size, float(top), float(left))
                crop = crop.flip(-1) if flip < 0.5 else crop
                crops.setdefault(name, []).append(crop.rot90(int(turn * 4), (-2, -1)))
        return {name: torch.stack(tensors) for name, tensors in crops.items()}


def _cumulative(weights: np.ndarray) -> Tensor:
    return torch.from_numpy(np.cumsum(weights / weights.sum()))


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
    sample: Callable[[Source], Example | Iterable[Example]],
    folder: Path,
    reading: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Bank:
    """Decode every source once; a bank of the same files, read the same way, that is already there is used again.

    Args:
        sample: source → its example, or as many as there are in it.
        reading: says how `sample` reads, where that is not always the same way.
        progress: told how many sources are done.

    Raises:
        InputError: files that cannot be read, or arrays of an example that differ in size; all of them are listed. Or
            there is no example at all.
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
            try:
                sampled = sample(source)
                for example in [sampled] if isinstance(sampled, Mapping) else sampled:
                    arrays = {}
                    for name, array in _checked(source, example).items():
                        arrays[name] = {"offset": offset, "shape": list(array.shape), "dtype": array.dtype.str}
                        offset += file.write(np.ascontiguousarray(array).tobytes())
                        offset += file.write(bytes(-offset % 8))  # keeps every array aligned
                    index.append({"source": source.name, "arrays": arrays})
            except InputError as error:
                problems.append(str(error).removesuffix("."))
                continue
            progress(done + 1)
    if problems:
        what = f"{len(problems)} examples cannot be used" if len(problems) > 1 else "an example cannot be used"
        raise InputError(f"{what}: {'; '.join(problems[:5])}", fix="mend or remove what is named")
    if not index:
        raise InputError(
            f"there is nothing to learn from in {len(sources)} files, as {sources[0].name}", sources[0].files[0].parent
        )
    write_atomic(listing, json.dumps({"sources": key, "examples": index}).encode(), overwrite=True)
    return Bank(folder)


def _checked(source: Source, example: Example) -> Example:
    shapes = {name: array.shape[:2] for name, array in example.items()}
    if len(set(shapes.values())) != 1:
        listed = ", ".join(f"{name} {w}×{h}" for name, (h, w) in shapes.items())
        raise InputError(f"the pictures of a pair differ in size: {listed}", source.name, "crop or remove them")
    return example
