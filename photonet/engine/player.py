"""A second player: a network that learns to tell another's results from the truth, and is played against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from photonet.engine.optim import gradient_norm
from photonet.errors import UsageError


@dataclass(frozen=True)
class Player:
    """What a second player is.

    Args:
        build: its module.
        weight: of `against` in the loss of the network.
        against: its module, output of the network → what the network pays for being found out.
        loss: its module, output, target → its own loss.
    """

    build: Callable[[], nn.Module]
    weight: float
    against: Callable[[nn.Module, Tensor], Tensor]
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]


def adversary(build: Callable[[], nn.Module], weight: float) -> Player:
    """A player whose module gives logits: that a picture is no network's.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014; with the loss of the network that does not saturate.
    """

    def against(module: nn.Module, output: Tensor) -> Tensor:
        return F.softplus(-module(output).float()).mean()

    def loss(module: nn.Module, output: Tensor, target: Tensor) -> Tensor:
        return F.softplus(-module(target).float()).mean() + F.softplus(module(output).float()).mean()

    return Player(build, weight, against, loss)


class Opponent:
    """A player in a training: its module and its optimizer.

    Args:
        player: what it is.
        fabric: Lightning's, that the training runs on.
        make_optimizer: module → optimizer.
    """

    def __init__(self, player: Player, fabric: Any, make_optimizer: Callable[[nn.Module], Any]) -> None:
        self.player = player
        self.module = player.build()
        self._model, self._optimizer = fabric.setup(self.module, make_optimizer(self.module))
        self._fabric = fabric

    def against(self, terms: dict[str, Tensor], output: Tensor) -> dict[str, Tensor]:
        """The terms of the network's loss, with what it pays for being found out.

        Raises:
            UsageError: the output is too small for it.
        """
        try:
            found = self.player.against(self._model, output)
        except ValueError as error:
            raise UsageError(f"the second player needs {error}", "crop", "make the crops larger") from error
        return {**terms, "loss": terms["loss"] + self.player.weight * found, "against": found}

    def learn(self, played: Sequence[tuple[Tensor, Tensor]], rate: float) -> Tensor:
        """One update of its own weights from outputs and targets, over which its loss is averaged; returns that."""
        self._optimizer.zero_grad(set_to_none=True)  # playing against it left gradients
        total = torch.zeros((), device=played[0][0].device)
        for output, target in played:
            loss = self.player.loss(self._model, output.detach(), target) / len(played)
            self._fabric.backward(loss)
            total = total + loss.detach()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if gradient_norm(self.module.parameters()).isfinite():
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; a RuntimeError says that it is of another player."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
