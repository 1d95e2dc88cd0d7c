"""`photonet train TASK`: train a network of a task on the user's own pictures."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from photonet.engine import checkpoint
from photonet.engine.data import list_sources, split
from photonet.engine.device import pick_device
from photonet.engine.recipe import Recipe, make_options, make_recipe, read_recipe, with_changes
from photonet.engine.run import RECIPE, Kept, read_kept
from photonet.engine.train import train
from photonet.errors import ExitCode, UsageError
from photonet.io import READABLE_SUFFIXES
from photonet.tasks import get_task

from . import flags
from .console import bars, err


def command(name: str) -> Callable[..., None]:
    """The training command of a task."""
    task = get_task(name)

    def body(
        photos: Annotated[
            Path | None, typer.Option(help="Folder of clean photos; the task spoils them itself.")
        ] = None,
        pairs: Annotated[
            tuple[Path, Path] | None, typer.Option(help="Folder of inputs and folder of targets with the same names.")
        ] = None,
        output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the run.")] = None,
        recipe: Annotated[Path | None, typer.Option(help="TOML file, like those in weights/.")] = None,
        set: Annotated[
            list[str] | None,
            typer.Option(help="A field of the recipe, as in lr=1e-3 or training.gray=0; several times."),
        ] = None,
        net: flags.NET = None,
        minutes: Annotated[
            float,
            typer.Option(
                help="Time to spend, earlier sessions included, instead of the recipe's steps; --resume keeps it.",
                min=0,
            ),
        ] = 0,
        resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the folder stopped.")] = False,
        init: Annotated[str | None, typer.Option(help="Weights to begin with: a name or a file.")] = None,
        devices: Annotated[int, typer.Option(help="Processes or GPUs on each machine.", min=1)] = 1,
        nodes: Annotated[
            int, typer.Option(help="Machines; see torchrun's variables MASTER_ADDR and NODE_RANK.", min=1)
        ] = 1,
        device: flags.DEVICE = "auto",
        precision: flags.PRECISION = "auto",
        quiet: flags.QUIET = False,
        verbose: flags.VERBOSE = 0,
    ) -> None:
        wanted = net or task.default_network
        folder = output or Path("runs") / task.weights_name(wanted)
        kept = read_kept(folder) if resume and (folder / RECIPE).exists() else None
        chosen = _recipe(name, wanted, _changes(set or []), recipe, kept, folder)
        if kept is not None:
            if net and net != chosen.network:
                raise UsageError(
                    f"this run trains {chosen.network}", folder, "leave --net out, or choose another folder"
                )
            minutes = minutes or kept.minutes
            photos, pairs = _folders(photos, pairs, kept.folders)
        if chosen.network not in task.networks:
            raise UsageError(f"{name} has no network {chosen.network!r}", "--net", ", ".join(task.networks))
        if output is None and not resume:
            folder = Path("runs") / task.weights_name(chosen.network)
        network = task.networks[chosen.network]
        make_options(network.training, chosen.training)
        suffixes = (*READABLE_SUFFIXES, *(network.also if photos else ()))
        sources = split(list_sources(photos, pairs, suffixes, merged=task.photos[1] > 1), chosen.validation)
        stopping = _Stop()
        with bars(not quiet) as shown:
            weights = train(
                chosen,
                network,
                sources,
                folder,
                pick_device(device, precision),
                minutes=minutes,
                folders=pairs or ([photos] if photos else []),
                resume=resume,
                init=checkpoint.find(init) if init else None,
                devices=devices,
                nodes=nodes,
                report=_Printer(shown, quiet),
                stop=stopping,
            )
        if weights is not None and stopping.asked:
            err.print(f"stopped and saved; go on with --resume -o {folder}", markup=False)
        elif weights is not None and not quiet:
            if checkpoint.read_card(weights).recipe["steps"] == 0:
                err.print("nothing was better than the weights that it began with: they are the best", markup=False)
            err.print(f"best weights: {weights}\nuse them: photonet {name} IN -o OUT --weights {weights}", markup=False)
        if stopping.asked:
            raise typer.Exit(ExitCode.INTERRUPTED)

    return flags.with_flags(body, [], f"Train a network for {name}, on clean photos or on pairs of your own.")


def _changes(given: list[str]) -> dict[str, Any]:
    """Fields of the recipe that `--set` changes."""
    fields: dict[str, Any] = {}
    for change in given:
        key, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"{change!r} is not like lr=1e-3", "--set")
        try:
            fields[key] = json.loads(text)
        except json.JSONDecodeError:
            fields[key] = text
    return fields


def _recipe(
    task: str, network: str, changes: dict[str, Any], path: Path | None, kept: Kept | None, folder: Path
) -> Recipe:
    """The recipe of a file, of the run that is resumed, or of the shipped weights, with changes."""
    if path is not None:
        chosen = read_recipe(path, changes)
        if chosen.task != task:
            raise UsageError(f"this recipe is for {chosen.task}, not for {task}", path)
        return chosen
    if kept is not None:
        return make_recipe(with_changes(kept.recipe, changes), folder)
    shipped = checkpoint.recipe_of(f"{task}-{network}")
    # what the shipped weights were trained on says nothing of the user's pictures, and their seed only kept the last of
    # their trainings apart from those before it
    foreign = ("licence", "sources", "validation", "seed")
    fields = {key: value for key, value in shipped.items() if key not in foreign}
    return make_recipe(with_changes({**fields, "task": task, "network": network}, changes), "--set")


def _folders(
    photos: Path | None, pairs: tuple[Path, Path] | None, kept: Sequence[Path]
) -> tuple[Path | None, tuple[Path, Path] | None]:
    """Photos and pairs as they were named, else as the run that is resumed had them."""
    if photos or pairs or not kept:
        return photos, pairs
    return (kept[0], None) if len(kept) == 1 else (None, (kept[0], kept[1]))


class _Printer:
    """Prints the log's validations, and moves the bar by its steps."""

    def __init__(self, shown: Any, quiet: bool) -> None:
        self.shown, self.quiet = shown, quiet

    def __call__(self, line: dict[str, Any]) -> None:
        if "decoded" in line:
            self.shown.show("decoding", line["decoded"], line["of"])
        elif "loss" in line:
            self.shown.show(f"loss {line['loss']:.3f}", line["step"], line["of"])
        elif not self.quiet:
            err.print("  ".join(f"{key} {value}" for key, value in line.items()), markup=False)


class _Stop:
    """Remembers the first Ctrl-C or SIGTERM, so that the step ends and is saved; the second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __call__(self) -> bool:
        return self.asked
