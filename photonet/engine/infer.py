"""Running networks over pictures of any size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor, nn

from photonet.color import SENSOR_STATES, ColorState
from photonet.engine import checkpoint
from photonet.engine.canvas import Canvas, picture_of
from photonet.engine.checkpoint import Card
from photonet.engine.develop import decoded, encoded, for_network
from photonet.engine.device import Device, is_out_of_memory
from photonet.engine.loaded import Loaded, load
from photonet.engine.task import Look, Task, Window
from photonet.engine.tiles import Tile, halo, plan_tiles, round_up
from photonet.errors import DeviceError, UsageError, WeightsError
from photonet.io import with_note
from photonet.photo import Photo

SMALLEST_TILE = 128
# bytes for the features of one tile: on a CPU what stays near its caches is as fast as more
DEFAULT_MEMORY = {"cpu": 0.15e9, "cuda": 2e9, "mps": 1e9}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Result:
    """A finished job.

    Args:
        photo: the result, as a rule in the color state of the first photo of the job; a task may make another of it.
            RAW pictures stay RAW, in float32: what a display network gives for a mosaic is camera RGB.
        notes: for the report.
        network: that ran; empty where none did.
        weights: the beginning of their digest.
        tile: largest side of a tile's core in the end.
        retried: tiles that were run again in float32.
        overlap: how often a pixel was computed on average; the borders that tiles share cost that.
    """

    photo: Photo
    notes: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""
    weights: str = ""
    tile: int = 0
    retried: int = 0
    overlap: float = 1


class Engine:
    """Runs a task: holds its networks on one device, loaded when first used.

    Args:
        task: what to run.
        device: where.
        weights: network → file; `checkpoint.choose` makes it.
        net: the network to use; None lets the task choose.
        tile: largest side of a tile in pixels, 0 for an automatic choice.
        max_memory: bytes that the network may take for a tile, 0 for an automatic choice.
        strength: 0 gives the input, 1 the network's result.

    Raises:
        UsageError: an argument is out of range; all of them are listed at once.
    """

    def __init__(
        self,
        task: Task,
        device: Device,
        weights: Mapping[str, Path],
        *,
        net: str | None = None,
        tile: int = 0,
        max_memory: float = 0,
        strength: float = 1.0,
    ) -> None:
        problems = []
        if net is not None and net not in set(task.choices()):
            problems.append(f"--net: {task.name} has no network {net!r}, only {', '.join(task.choices())}")
        if not 0 <= strength <= 1:
            problems.append(f"--strength: {strength} is not between 0 and 1")
        elif strength < 1 and not task.blends:
            problems.append(f"--strength: no mixture of input and result of {task.name} is a picture")
        if tile < 0:
            problems.append(f"--tile: {tile} is not a size in pixels (0 chooses by itself)")
        if max_memory < 0:
            problems.append(f"--max-memory: {max_memory} is not a size in bytes")
        if problems:
            raise UsageError("; ".join(problems))
        self.task, self.device, self.weights, self.net = task, device, dict(weights), net
        self.tile, self.max_memory, self.strength = tile, max_memory, strength
        self._loaded: dict[str, Loaded] = {}

    def add(self, name: str, module: nn.Module) -> None:
        """Use a module that is at hand, instead of weights from a file; it is moved and converted in place."""
        network, card = self.task.networks[name], Card(task=self.task.name, network=name)
        self._loaded[name] = load(network, name, card, module, self.device)

    def loaded(self, name: str) -> Loaded:
        """A network by name, loaded at its first use.

        Raises:
            WeightsError: there are none, or they are damaged.
        """
        if name not in self._loaded and not self.task.networks[name].learned:
            self.add(name, self.task.networks[name].build(self.task.networks[name].config))
        if name not in self._loaded:
            path = self.weights.get(name)
            if path is None:
                fix = f"`photonet train {self.task.name} --net {name}` or `photonet models import` makes some"
                raise WeightsError("no weights are installed for this network", self.task.weights_name(name), fix)
            card, tensors = checkpoint.read_tensors(path)
            network, module = checkpoint.build(self.task, card, tensors, path)
            if card.network != name:
                raise WeightsError(f"these weights are for the network {card.network}, not for {name}", path)
            self._loaded[name] = load(network, name, card, module, self.device, path)
        return self._loaded[name]

    def tile_size(self, loaded: Loaded) -> int:
        """The largest side of a tile's core that the user, or the memory that may be used, allows."""
        if self.tile:
            return max(round_up(self.tile, loaded.tiling.stride), loaded.tiling.stride)
        scale = 2 if loaded.device.dtype == torch.float32 else 1
        memory = self.max_memory or DEFAULT_MEMORY[self.device.device.type]
        margin = halo(loaded.tiling)
        side = int((memory / (loaded.tiling.bytes_per_pixel * scale)) ** 0.5) - 2 * margin
        least = SMALLEST_TILE if self.max_memory else max(SMALLEST_TILE, 2 * margin)  # less is mostly margin
        return max(side // loaded.tiling.stride * loaded.tiling.stride, round_up(least, loaded.tiling.stride))

    @torch.inference_mode()
    def run(
        self,
        photos: Sequence[Photo],
        options: Any,
        dtype: DTypeLike | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Result:
        """The result of one job.

        Args:
            photos: of the job.
            options: of the task.
            dtype: depth of the result; None keeps that of the first photo.
            progress: called with tiles done and tiles in all.

        Raises:
            UsageError: the task wants more photos, or fewer.
            DeviceError: out of memory even with the smallest tiles.
        """
        fewest, most = self.task.photos
        if not fewest <= len(photos) <= most:
            wanted = f"{fewest} to {most} pictures" if most > 1 else "one picture"
            raise UsageError(f"{self.task.name} takes {wanted}, not {len(photos)}", photos[0].meta.source or "")
        photos = self.task.arrange(photos, options)
        name = self.net or (self.task.choose(photos, options) if self.task.choose else self.task.default_network)
        loaded = self.loaded(name)
        photos = [_entering(photo, loaded.network.expects) for photo in photos]
        photo = photos[0]
        if photo.sensor is not None:
            dtype = np.float32  # what a sensor recorded may lie below black
        prepared = self.task.prepare(photos, options, _Runner(self, name))
        returns = prepared.returns or loaded.network.returns
        canvas = Canvas(photo, returns, loaded.tiling.scale, prepared.dtype or dtype, self.strength)

        def work(tile: Tile) -> bool:
            output, retried = loaded(prepared.inputs(tile.read), prepared.call)
            canvas.place(tile, prepared.finish(output))
            return retried

        swept = _sweep(photo, loaded, self.tile_size(loaded), work, progress)
        note = {**self._note(loaded), **prepared.marks}
        meta = replace(photo.meta, xmp=with_note(photo.meta.xmp, note))
        sensor = photo.sensor and replace(photo.sensor, noise=_left(photo.sensor.noise, self.strength))
        result = prepared.complete(photo.with_pixels(canvas.pixels, meta=meta, sensor=sensor))
        if result.sensor and result.state not in SENSOR_STATES:
            result = decoded(result, photo)
        return Result(result, dict(prepared.notes), name, loaded.weights, *swept)

    def _note(self, loaded: Loaded) -> dict[str, str]:
        """What a result says of how it was made."""
        fields = {"Task": self.task.name, "Network": loaded.name, "Weights": loaded.weights}
        return {"Software": f"photonet {version('photonet')}", **{name: text for name, text in fields.items() if text}}

    def map(self, name: str, photo: Photo) -> Tensor:
        """The whole output of a network over a picture, 1 C H W in float32; meant for small outputs."""
        loaded = self.loaded(name)
        picture, scale = picture_of(photo, loaded.network), loaded.tiling.scale
        whole: list[Tensor] = []  # one tensor, made when its number of channels is known

        def work(tile: Tile) -> bool:
            output, retried = loaded((picture(tile.read),))
            part = tile.crop(output, scale).cpu()
            if not whole:
                size = ceil(photo.height * scale), ceil(photo.width * scale)
                whole.append(part.new_empty(*part.shape[:2], *size))
            top, left = int(tile.core.top * scale), int(tile.core.left * scale)
            whole[0][..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
            return retried

        _sweep(photo, loaded, self.tile_size(loaded), work, lambda done, total: None)
        return whole[0]


def _left(noise: tuple[float, float] | None, strength: float) -> tuple[float, float] | None:
    """The noise profile of a mixture; what a network made whole has another one, which nobody knows."""
    share = (1 - strength) ** 2
    return (noise[0] * share, noise[1] * share) if noise and share else None


def _entering(photo: Photo, expects: ColorState) -> Photo:
    """The photo as a network can take it: RAW pictures for display networks in a way that can be undone."""
    if expects == ColorState.SRGB and photo.state in SENSOR_STATES:
        return encoded(photo)
    return for_network(photo, expects)


@dataclass(frozen=True)
class _Runner:
    """What a task's `prepare` sees of the engine."""

    engine: Engine
    network: str

    def weights_of(self, network: str) -> str:
        return self.engine.loaded(network).weights

    def picture(
        self, photo: Photo, network: str, state: ColorState | None = None, look: Look | None = None
    ) -> Callable[[Window], Tensor]:
        return picture_of(photo, self.engine.task.networks[network], state, look)

    def map(self, network: str, photo: Photo) -> Tensor:
        return self.engine.map(network, photo)

    def apply(self, network: str, tensor: Tensor) -> Tensor:
        return self.engine.loaded(network)((tensor,))[0]


def _sweep(
    photo: Photo, loaded: Loaded, size: int, work: Callable[[Tile], bool], progress: Progress
) -> tuple[int, int, float]:
    """Do `work` on every tile; out of memory halves the tile and begins again, for later pictures too.

    Returns:
        Size of the tiles in the end, how many were run again in float32, and how often a pixel was computed.
    """
    stride = loaded.tiling.stride
    area = round_up(photo.height, stride) * round_up(photo.width, stride)
    while True:
        size = min(size, loaded.largest_tile)
        tiles = plan_tiles(photo.height, photo.width, size, loaded.tiling)
        retried = 0
        try:
            for done, tile in enumerate(tiles):
                retried += work(tile)
                progress(done + 1, len(tiles))
            return size, retried, sum(tile.read.height * tile.read.width for tile in tiles) / area
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # outside of the handler, whose traceback holds the tensors that did not fit
        size = min(size, round_up(max(photo.height, photo.width), stride)) // 2
        if size < SMALLEST_TILE:
            raise DeviceError("out of memory even with the smallest tiles", loaded.device, "close other programs")
        loaded.largest_tile = size = round_up(size, stride)
        if loaded.device.device.type == "cuda":
            torch.cuda.empty_cache()
