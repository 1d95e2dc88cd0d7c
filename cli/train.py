"""`photonet train TASK`: train a network of a task on the user's own pictures."""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from photonet.engine import checkpoint
from photonet.engine.data import list_sources, named, split
from photonet.engine.device import pick_device
from photonet.engine.recipe import Recipe, make_options, make_recipe, read_fields
from photonet.engine.run import RECIPE, Kept, read_kept
from photonet.engine.task import Task
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
        changes = _changes(set or [])
        chosen, folder, kept = _chosen(task, net, changes, recipe, output, resume, init is not None)
        if kept is not None:
            minutes = minutes or (0 if "steps" in changes else kept.minutes)
            photos, pairs = _folders(photos, pairs, kept.folders)
        network = task.networks[chosen.network]
        make_options(network.training, chosen.training)
        suffixes = (*READABLE_SUFFIXES, *(network.also if photos else ()))
        listed = list_sources(photos, pairs, suffixes, merged=task.photos[1] > 1)
        if chosen.validation and not named(listed, chosen.validation):
            held = len(split(listed, ())[1])
            what = (
                f"none is named as the recipe's validation: {held} of {len(listed)} held out, its sources are not these"
            )
            err.print(what, markup=False)
            foreign = {"validation": (), "licence": "", "sources": ()}
            chosen = chosen.model_copy(update={name: foreign[name] for name in foreign if name not in changes})
        stopping = _Stop()
        with bars(not quiet) as shown:
            weights = train(
                chosen,
                network,
                split(listed, chosen.validation),
                folder,
                pick_device(device, precision),
                minutes=minutes,
                folders=pairs or ([photos] if photos else []),
                resume=resume,
                init=checkpoint.find(init) if init and not resume else None,
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


def _chosen(
    task: Task,
    net: str | None,
    changes: Mapping[str, Any],
    path: Path | None,
    output: Path | None,
    resume: bool,
    trained: bool,
) -> tuple[Recipe, Path, Kept | None]:
    """The recipe of a file, of the run that is resumed, or of the shipped weights; the run's folder; what it kept."""
    fields = read_fields(path) if path else {}
    if fields.get("task", task.name) != task.name:
        raise UsageError(f"this recipe is for {fields['task']}, not for {task.name}", path)
    wanted = changes.get("network") or fields.get("network") or net or task.default_network
    folder = output or Path("runs") / task.weights_name(wanted)
    kept = read_kept(folder) if resume and (folder / RECIPE).exists() else None
    if not path:
        fields = kept.recipe if kept is not None else _shipped(task, wanted)
    trained = trained or (kept is not None and kept.begun)
    recipe = make_recipe(fields, path or (folder if kept else "--set"), changes, trained)
    if net and net != recipe.network:
        raise UsageError(f"what is trained here is {recipe.network}, not {net}", path or folder, "leave --net out")
    if recipe.network not in task.networks:
        raise UsageError(f"{task.name} has no network {recipe.network!r}", "--net", ", ".join(task.networks))
    return recipe, folder, kept


def _shipped(task: Task, network: str) -> dict[str, Any]:
    """Fields of the recipe of the shipped weights."""
    # what they were trained on says nothing of the user's pictures, and their seed only kept the last training apart
    # from those before it
    foreign = ("licence", "sources", "validation", "seed")
    shipped = checkpoint.recipe_of(task.weights_name(network))
    own = {key: value for key, value in shipped.items() if key not in foreign}
    return {**own, "task": task.name, "network": network}


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
