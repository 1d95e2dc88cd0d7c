"""The contract between a task and the engine: two dataclasses, whose defaults serve any RGB → RGB task."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike
from torch import Generator, Tensor, nn

from photonet.color import ColorState
from photonet.engine.data import Batch, Example, Source, read_pictures
from photonet.engine.losses import decibels
from photonet.engine.options import Options
from photonet.engine.player import Player
from photonet.engine.trial import Baseline, Judge, Trial
from photonet.photo import Photo


@dataclass(frozen=True)
class Tiling:
    """How a picture may be cut into tiles for a network, so that tiled equals whole to float rounding.

    Args:
        stride: height and width of the input must be multiples of it.
        radius: how far in pixels an input pixel reaches.
        scale: output pixels per input pixel and side.
        bytes_per_pixel: memory of the features in 16-bit precision, as `photonet bench` measures it.
    """

    stride: int = 1
    radius: int = 0
    scale: Fraction = Fraction(1)
    bytes_per_pixel: int = 400


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture, in pixels; it may reach over the borders, where the picture is reflected."""

    top: int
    left: int
    height: int
    width: int


Inputs = Callable[[Window], tuple[Tensor, ...]]
Look = Callable[[Window], np.ndarray]


def apply(network: nn.Module, *tensors: Tensor) -> Tensor:
    """The network's output, as most jobs want it."""
    output: Tensor = network(*tensors)
    return output


@dataclass(frozen=True)
class Prepared:
    """What a job must know once, and how its tensors are made window by window.

    Args:
        inputs: window → tensors for the network, 1 C H W, float32.
        notes: for the report, by name ("noise": 8.6).
        call: network and its tensors → output; an invertible network can be called backwards.
        finish: the network's output for a window → the result there, in `Network.returns`; by default the same.
        complete: the whole result → what it is to be: another sensor, another state.
        dtype: depth of the result before `complete`; None keeps that of the first photo, or what was asked for.
        marks: what the result's XMP note says beside task, network and weights.
        returns: color state of what `finish` gives, where that is not `Network.returns`.
    """

    inputs: Inputs
    notes: Mapping[str, Any] = field(default_factory=dict)
    call: Callable[..., Tensor] = apply
    finish: Callable[[Tensor], Tensor] = lambda output: output
    complete: Callable[[Photo], Photo] = lambda photo: photo
    dtype: DTypeLike | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    returns: ColorState | None = None


class Runner(Protocol):
    """What `Task.prepare` may ask of the engine."""

    @property
    def network(self) -> str:
        """The network that the job will run."""

    def weights_of(self, network: str) -> str:
        """The beginning of the digest of a network's weights, as results name them."""

    def picture(
        self, photo: Photo, network: str, state: ColorState | None = None, look: Look | None = None
    ) -> Callable[[Window], Tensor]:
        """Window → the picture as the network expects it, 1 C H W.

        Args:
            state: to be in; None for the one that the network expects.
            look: how the pixels of a window are read, on the scale of the photo's; None takes them as they are.
        """

    def map(self, network: str, photo: Photo) -> Tensor:
        """The whole output of another network of the task, 1 C H W; meant for small outputs."""

    def apply(self, network: str, tensor: Tensor) -> Tensor:
        """The output of another network of the task for tensors B C H W that fit it, in float32 on its device."""


def prepare_picture(photos: Sequence[Photo], options: Any, runner: Runner) -> Prepared:
    """The default of `Task.prepare`: the first photo is all that the network wants."""
    picture = runner.picture(photos[0], runner.network)
    return Prepared(lambda window: (picture(window),))


def one_by_one(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The default of `Task.group`: every file is a job of its own."""
    return [(path,) for path in paths]


def together(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The `Task.group` of tasks that merge: all files that were named, or lie in one folder, are one job."""
    return [tuple(paths)]


def as_they_come(photos: Sequence[Photo], options: Any) -> Sequence[Photo]:
    """The default of `Task.arrange`."""
    return photos


@dataclass(frozen=True)
class Network:
    """A network of a task: how it is built, run and trained.

    Args:
        summary: one line for lists.
        build: config → module; a published network is built at its published width by default.
        config: what `build` gets unless weights or a recipe say otherwise.
        tiling: of the built module.
        expects, returns: color states it was trained in; the engine converts, or says why it cannot.
        channels: of the pictures it takes.
        maps: names of its further inputs.
        map_channels: of each of them.
        adopt: tensors of another project → config and renamed tensors, or None where they are of no such network.
        deploy: called once on the loaded module, for folding batch norm and the like.
        reads: color state and channels that its training pictures are read in; by default as it takes them.
        pairs: whether it can learn from pairs of the user's own.
        exact: it needs float32, whatever the device is fast in.
        serves_task: False for a helper that `Task.prepare` uses and `--net` cannot choose.
        learned: False for a classical method, which needs no weights.
        crop_multiple: training crops must be multiples of it in height and width.
        training: a pydantic model of what `pair` and `loss` can be told by a recipe.
        also: endings of files other than pictures that `sample` reads.
        sample: source of files → named arrays, or several such examples, read once into the bank; by default `target`,
            and `input` of a pair.
        pair: batch of crops, generator on its device, training options → batch for the loss, with the `input` and the
            `target` of the network and whatever else its loss wants.
        loss: module, batch, progress 0 to 1 → {"loss": …, and anything to log}; with a player also `output`, what it is
            shown.
        player: training options → who plays against it, None for nobody.
        score: module, batch → one number, or one for each example, higher is better; by default the decibels of
            `predict`.
    """

    summary: str
    build: Callable[[Mapping[str, Any]], nn.Module]
    tiling: Callable[[Any], Tiling]
    config: Mapping[str, Any] = field(default_factory=dict)
    expects: ColorState = ColorState.SRGB
    returns: ColorState = ColorState.SRGB
    channels: int = 3
    maps: tuple[str, ...] = ()
    map_channels: int = 1
    adopt: Callable[[Mapping[str, Tensor]], tuple[dict[str, Any], dict[str, Tensor]] | None] = lambda tensors: None
    deploy: Callable[[Any], nn.Module] = lambda module: module
    reads: tuple[ColorState, int] | None = None
    pairs: bool = True
    exact: bool = False
    serves_task: bool = True
    learned: bool = True
    crop_multiple: int = 1
    training: type[Options] = Options
    also: tuple[str, ...] = ()
    sample: Callable[[Source, "Network"], Example | Iterable[Example]] = read_pictures
    pair: Callable[[Batch, Generator, Any], Batch] | None = None
    loss: Callable[[nn.Module, Batch, float], dict[str, Tensor]] | None = None
    player: Callable[[Any], Player | None] = lambda options: None
    score: Callable[[nn.Module, Batch], Tensor] | None = None

    def predict(self, module: nn.Module, batch: Batch) -> Tensor:
        """The module's output for a training batch, B C H W."""
        return module(batch["input"], *(batch[name] for name in self.maps))

    def scores(self, module: nn.Module, batch: Batch) -> Tensor:
        """The score of each example, or of the batch."""
        return self.score(module, batch) if self.score else decibels(self.predict(module, batch), batch["target"])


@dataclass(frozen=True)
class Task:
    """What a verb of the command line does.

    Args:
        name, summary: the command and its one-line help.
        options: a pydantic model; its fields become the command's flags.
        networks: name → `Network`, the default first; `--net` chooses, else `choose` does.
        choose: photos of a job → name of a network.
        usual: whether it is a RAW file, options → what `choose` will most likely say; by default the first that fits.
        group: files that were named, or lie in one folder → jobs.
        photos: fewest and most of a job.
        arrange: photos of a job → in the order that they are worked on; the result is named as the first, and keeps its
            size and metadata.
        prepare: photos, options, runner → `Prepared`.
        trial_options: a pydantic model; its fields become flags of `photonet eval`.
        trials: trial options, network → conditions to score under; without, its own training pair is one.
        raw_suffix: of the results of RAW files, where nobody says.
        blends: whether a mixture of input and result means anything, as --strength makes it.
        pair_options: of runs that pairs of the user's own are scored with.
        baselines: name → classical method on the same degraded pixels.
        methods: name → options that make the task work in another way, to be scored beside it.
        judge: notes of a run, degraded and clean picture → further figures, averaged over the pictures.
        protocol: how the scores are made, for tables and cards.
    """

    name: str
    summary: str
    networks: Mapping[str, Network]
    options: type[Options] = Options
    choose: Callable[[Sequence[Photo], Any], str] | None = None
    usual: Callable[[bool, Any], str] | None = None
    group: Callable[[Sequence[Path]], list[tuple[Path, ...]]] = one_by_one
    photos: tuple[int, int] = (1, 1)
    arrange: Callable[[Sequence[Photo], Any], Sequence[Photo]] = as_they_come
    prepare: Callable[[Sequence[Photo], Any, Runner], Prepared] = prepare_picture
    trial_options: type[Options] = Options
    trials: Callable[[Any, Network], list[Trial]] | None = None
    raw_suffix: str = ".tif"
    blends: bool = True
    pair_options: Mapping[str, Any] = field(default_factory=dict)
    baselines: Callable[[], Mapping[str, Baseline]] = dict
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    judge: Judge = lambda notes, degraded, clean: {}
    protocol: str = ""

    @property
    def default_network(self) -> str:
        """The first network."""
        return next(iter(self.networks))

    def usual_network(self, raw: bool, options: Any) -> str:
        """The network that a file gets, as far as its name tells: of RAW files the first that takes mosaics."""
        if self.usual is not None:
            return self.usual(raw, options)
        mosaics = (name for name in self.choices() if self.networks[name].expects == ColorState.MOSAIC)
        return next(mosaics, self.default_network) if raw else self.default_network

    def choices(self) -> Iterator[str]:
        """Networks that `--net` can choose."""
        return (name for name, network in self.networks.items() if network.serves_task)

    def weights_name(self, network: str) -> str:
        """Name of the shipped weights of a network."""
        return f"{self.name}-{network}"
