"""A training as it stands: the network and its optimizer, where they have come to, and what is kept of them on disk."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card, Data
from photonet.engine.optim import Ema
from photonet.engine.player import Opponent
from photonet.engine.recipe import Recipe
from photonet.engine.task import Network
from photonet.errors import UsageError, WeightsError
from photonet.io import write_atomic

Report = Callable[[dict[str, Any]], None]

STATE, BEFORE_DECAY, WEIGHTS, LOG = "resume.pt", "before-decay.pt", "weights.safetensors", "log.jsonl"
RECIPE = "recipe.json"  # recipe, minutes and folders of the run: what --resume goes on with


@dataclass
class Run:
    """A training.

    Args:
        recipe, network: what is trained.
        module, optimizer, ema: that learn.
        folder: gets weights, state and log.
        data: for the card.
        where: device and processes, for the card.
        minutes: time budget; 0 trains the recipe's number of steps.
        folders: that the examples come from.
        first: whether this process is the one that writes and reports.
        held_out: fingerprint of the pictures that it is judged by.
        report: told every line of the log, and what is for who watches alone.
        step, steps: done, and in all.
        seconds: that it took so far, pauses left out.
        best: validation score of the weights that are kept.
        terms: names of what the loss is made of.
        losses: those terms, of the steps since the last line of the log.
        skipped: updates left out because the gradient was not finite.
        opponent: the second player, where there is one.
        begun: whether it began with weights that were trained before.
    """

    recipe: Recipe
    network: Network
    module: nn.Module
    optimizer: Any
    ema: Ema
    folder: Path
    data: Data
    where: str
    minutes: float
    folders: Sequence[Path]
    first: bool
    held_out: str
    report: Report
    step: int = 0
    steps: int = 0
    seconds: float = 0
    best: float = float("-inf")
    terms: tuple[str, ...] = ("loss",)
    losses: list[Tensor] = field(default_factory=list)
    skipped: int = 0
    opponent: Opponent | None = None
    begun: bool = False

    @property
    def progress(self) -> float:
        """0 at the beginning, 1 at the end."""
        return min(self.step / self.steps, 1)

    @property
    def falling(self) -> bool:
        """Whether the learning rate of the next step has begun to fall."""
        return self.step > self.steps * (1 - self.recipe.decay)

    @property
    def judged(self) -> str:
        """By what the validation scores: two scores compare only where it is the same."""
        recipe = self.recipe
        return f"{self.held_out} {recipe.validation_crop} {json.dumps(recipe.training, sort_keys=True)}"

    def fitting_steps(self) -> int:
        """Whole steps that fit into the minutes, at the speed so far; the learning rate thus follows the clock."""
        return max(self.step, int(self.step * self.minutes * 60 / self.seconds))

    def log(self, **line: Any) -> None:
        """Append a line to the log and report it; TensorBoard gets the numbers where it is installed."""
        if not self.first:
            return
        with (self.folder / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.report(line)
        for name, value in line.items():
            if self._board and isinstance(value, float):
                self._board.add_scalar(name, value, self.step)

    def show(self, *pictures: Tensor) -> None:
        """Put pictures, B C H W each, into TensorBoard: one beside the other, one example below the other.

        What is no picture, or not as large as the first, is left out.
        """
        if not self.first or not self._board:
            return
        alike = [p.float() for p in pictures if p.shape == pictures[0].shape and p.shape[1] in (1, 3)]
        if alike:
            rows = torch.cat(alike, -1).clamp(0, 1)
            self._board.add_image("validation", torch.cat(list(rows), -2), self.step)

    @cached_property
    def _board(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.folder / "tensorboard"))

    def keep_best(self, score: float) -> None:
        """Write the averaged weights when their score is the best so far; at the beginning only those of others."""
        if self.first and score > self.best and (self.step > 0 or self.begun):
            self.best = score
            checkpoint.save(self.folder / WEIGHTS, self.card(), self.ema.state)

    def card(self) -> Card:
        """What is known about the weights as they are now."""
        recipe = self.recipe
        made = {
            **recipe.model_dump(mode="json", exclude={"task", "network", "config", "licence", "sources"}),
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "device": self.where,
            "validation": {"pictures": list(recipe.validation), "score": round(self.best, 4)},
        }
        return Card(
            task=recipe.task,
            network=recipe.network,
            config={**self.network.config, **recipe.config},
            expects=self.network.expects.value,
            returns=self.network.returns.value,
            recipe=made,
            data=self.data,
            licence=recipe.licence,
        )

    def save(self, names: Sequence[str]) -> None:
        """Write the whole state, so that `--resume` goes on bit by bit.

        Args:
            names: of the files; `before-decay.pt` is the state from which a training can go on for longer.
        """
        if not self.first:
            return
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state,
            "step": self.step,
            "steps": self.steps,
            "seconds": self.seconds,
            "best": self.best,
            "terms": self.terms,
            "losses": self.losses,
            "skipped": self.skipped,
            "opponent": self.opponent and self.opponent.state(),
            "data": (self.data.count, self.data.sha256),
            "judged": self.judged,
            "optimizer_name": self.recipe.optimizer,
            "begun": self.begun,
        }
        content = BytesIO()
        torch.save(state, content)
        for name in names:
            write_atomic(self.folder / name, content.getvalue(), overwrite=True)
        if self._board:
            self._board.flush()

    def restore(self) -> None:
        """Go on from the saved state; that pictures or scores are others than before is logged, the end is reported.

        Raises:
            UsageError: it began with another optimizer.
            WeightsError: it is damaged, or of another network or second player.
        """
        path = self.folder / STATE
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (UnpicklingError, RuntimeError, EOFError) as error:
            raise WeightsError("the saved state is damaged", path, "begin again in another folder") from error
        optimizer = state.get("optimizer_name", self.recipe.optimizer)
        if optimizer != self.recipe.optimizer:
            what = f"began with {optimizer}, and cannot go on with {self.recipe.optimizer}"
            raise UsageError(what, path, "begin in another folder, with --init and its weights")
        checkpoint.load_strictly(self.module, state["module"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        for name, tensor in self.ema.state.items():
            tensor.copy_(state["ema"][name])
        self._restore_opponent(state["opponent"], path)
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        device = next(self.module.parameters()).device
        self.terms = tuple(state["terms"])
        self.losses = [loss.to(device) for loss in state["losses"]]
        self.skipped = state.get("skipped", 0)
        self.begun = state.get("begun", self.begun)
        self.steps = self.fitting_steps() if self.minutes else max(self.recipe.steps, self.step)
        count, sha256 = state.get("data", (self.data.count, self.data.sha256))
        if sha256 != self.data.sha256:
            self.log(pictures=f"are others than before: {self.data.count} to train on, {count} before")
        if state.get("judged", self.judged) != self.judged:
            self.log(scores="are no longer those of before: other pictures are held out, or the options are others")
            self.best = float("-inf")
        if self.first and self.step >= self.steps:
            more = "a larger --minutes" if self.minutes else "--set steps=N"
            self.report({"finished": f"after {self.step} steps; more with {more}"})

    def _restore_opponent(self, state: dict[str, Any] | None, path: Path) -> None:
        what, fix = "the saved state has another second player", "go on with the recipe that it began with"
        if (state is None) != (self.opponent is None):
            raise WeightsError(what, path, fix)
        if self.opponent is not None and state is not None:
            try:
                self.opponent.restore(state)
            except (KeyError, TypeError, RuntimeError) as error:
                raise WeightsError(what, path, fix) from error

    def keep_recipe(self) -> None:
        """Write what `--resume` needs to go on in the same way."""
        if self.first:
            kept = {
                "recipe": self.recipe.model_dump(mode="json"),
                "minutes": self.minutes,
                "folders": [str(folder.absolute()) for folder in self.folders],
                "begun": self.begun,
            }
            write_atomic(self.folder / RECIPE, json.dumps(kept, indent=2).encode(), overwrite=True)


class Kept(NamedTuple):
    """What a run goes on with: its recipe's fields, minutes, folders of its pictures, whether it began with weights."""

    recipe: dict[str, Any]
    minutes: float
    folders: tuple[Path, ...]
    begun: bool


def read_kept(folder: Path) -> Kept:
    """What the run in a folder goes on with.

    Raises:
        UsageError: the file is broken.
    """
    try:
        kept = json.loads((folder / RECIPE).read_text())
        folders = tuple(map(Path, kept["folders"]))
        return Kept(dict(kept["recipe"]), float(kept["minutes"]), folders, bool(kept.get("begun", False)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"cannot be read ({error})", folder / RECIPE, "move it away, and name a recipe with --recipe"
        ) from error
