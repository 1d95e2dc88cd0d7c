"""A second player: what both pay, and that a training with one goes on as it stopped."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from runs import Blur, Trainer, assert_same, loss, losses, network, state, stop_after
from torch import Tensor, nn

from photonet.engine.data import Batch
from photonet.engine.player import Opponent, Player, adversary
from photonet.engine.task import Network
from photonet.errors import UsageError, WeightsError

OUTPUT, TARGET = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 2.0)


class Scale(nn.Module):
    """A logit: the mean of the picture, times a weight."""

    def __init__(self, weight: float = 3.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]]))

    def forward(self, picture: Tensor) -> Tensor:
        return picture.mean((1, 2, 3), keepdim=True) * self.weight


class Judge(nn.Module):
    """One whose weights Muon takes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3), nn.LeakyReLU(), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.body(picture)


def binary_cross_entropy(logit: float, truth: bool) -> float:
    share = 1 / (1 + math.exp(-logit))
    return -math.log(share if truth else 1 - share)


def test_value():
    """Logits 1.5 of the output and 6 of the target: the network pays for not being taken for the truth."""
    player = adversary(Scale, 0.1)
    module = player.build()
    assert player.weight == 0.1
    assert player.against(module, OUTPUT).item() == pytest.approx(binary_cross_entropy(1.5, True), rel=1e-6)
    expected = binary_cross_entropy(6, True) + binary_cross_entropy(1.5, False)
    assert player.loss(module, OUTPUT, TARGET).item() == pytest.approx(expected, rel=1e-6)


def test_value_of_one_that_knows_nothing():
    """log 2, and twice that; logits far out cost what they are, and no infinity."""
    player = adversary(Scale, 1)
    assert player.against(Scale(0.0), OUTPUT).item() == pytest.approx(math.log(2))
    assert player.loss(Scale(0.0), OUTPUT, TARGET).item() == pytest.approx(2 * math.log(2))
    assert player.against(Scale(-2000.0), OUTPUT).item() == pytest.approx(1000)


def test_gradients_pull_apart():
    """The network wants a larger logit for its output; the player a smaller one, and does not touch the network."""
    output = OUTPUT.clone().requires_grad_()
    adversary(Scale, 1).against(Scale(), output).backward()
    assert output.grad is not None
    # d softplus(-3 mean) = -3 (1 - sigmoid(1.5)) per picture, of 2 pictures of 48 values
    share = 1 / (1 + math.exp(-1.5))
    torch.testing.assert_close(output.grad, torch.full_like(OUTPUT, -3 * (1 - share) / 96))


@pytest.fixture
def opponent() -> Opponent:
    fabric = Fabric(accelerator="cpu", devices=1)
    return Opponent(adversary(Scale, 0.25), fabric, lambda module: torch.optim.SGD(module.parameters(), lr=99.0))


def test_terms(opponent: Opponent):
    terms = opponent.against({"loss": torch.tensor(2.0), "finest": torch.tensor(1.0)}, OUTPUT)
    found = binary_cross_entropy(1.5, True)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"loss": 2 + 0.25 * found, "finest": 1, "against": found}
    )


def test_learn(opponent: Opponent):
    """One step of gradient descent by hand, at the rate that it is told; what playing against it left is forgotten."""
    output = OUTPUT.clone().requires_grad_()
    opponent.against({"loss": torch.tensor(0.0)}, output)["loss"].backward()
    assert output.grad is not None
    before = output.grad.clone()
    real, fake = (1 / (1 + math.exp(-logit)) for logit in (6, 1.5))
    value = opponent.learn([(output, TARGET)], rate=0.1).item()
    assert value == pytest.approx(binary_cross_entropy(6, True) + binary_cross_entropy(1.5, False), rel=1e-5)
    slope = -2 * (1 - real) + 0.5 * fake
    assert opponent.module.weight.item() == pytest.approx(3 - 0.1 * slope, rel=1e-5)
    assert opponent.module.weight.grad is None
    assert torch.equal(output.grad, before)


def test_parts_of_a_batch_are_learned_together(opponent: Opponent):
    """One step for both, as from the whole."""
    whole = Opponent(opponent.player, Fabric(accelerator="cpu", devices=1), lambda m: torch.optim.SGD(m.parameters()))
    outputs, targets = (torch.cat([values, 2 * values]) for values in (OUTPUT, TARGET))
    expected = whole.learn([(outputs, targets)], rate=0.1)
    loss = opponent.learn([(OUTPUT, TARGET), (2 * OUTPUT, 2 * TARGET)], rate=0.1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(opponent.module.weight, whole.module.weight)


def test_what_is_not_finite_teaches_nothing(opponent: Opponent):
    opponent.learn([(OUTPUT * math.nan, TARGET)], rate=0.1)
    assert opponent.module.weight.item() == 3


def test_crops_that_it_cannot_judge(trained: Trainer, tmp_path: Path):
    class Picky(Judge):
        def forward(self, picture: Tensor) -> Tensor:
            raise ValueError("pictures of 256 pixels")

    picky = network(loss=shown, player=lambda options: adversary(Picky, 0.1))
    with pytest.raises(UsageError, match=r"crop: the second player needs pictures of 256 pixels\. make"):
        trained(tmp_path / "run", picky)


def shown(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
    """The loss, and what a player sees."""
    output = net(batch["input"])
    return {"loss": (output - batch["target"]).square().mean(), "output": output}


def against(weight: float | None) -> Network:
    """The toy network with a player of a weight; without one for None."""
    player = None if weight is None else adversary(Judge, weight)
    return network(loss=shown, player=lambda options: player)


@pytest.mark.parametrize(("optimizer", "stop", "accumulate"), [("muon", 3, 1), ("adamw", 1, 2), ("adamw", 50, 1)])
def test_resumed_equals_uninterrupted(trained: Trainer, tmp_path: Path, optimizer: str, stop: int, accumulate: int):
    options = {"steps": 60 if stop == 50 else 6, "optimizer": optimizer, "accumulate": accumulate}
    whole = trained(tmp_path / "whole", against(0.1), **options)
    trained(tmp_path / "parts", against(0.1), **options, stop=stop_after(stop))
    stopped = state(tmp_path / "parts")
    parts = trained(tmp_path / "parts", against(0.1), **options, resume=True)
    for key in ("module", "optimizer", "ema", "losses", "terms", "opponent"):
        assert_same(state(whole)[key], state(parts)[key], key)
    assert losses(parts) == losses(whole)
    moved = state(parts)["opponent"]["module"]
    for name, weight in stopped["opponent"]["module"].items():
        assert not torch.equal(weight, moved[name]), name


def test_state_of_both(trained: Trainer, tmp_path: Path):
    """What each loss is made of is logged, and the two states have nothing to do with each other."""
    kept = state(trained(tmp_path / "run", against(0.1), steps=4))
    assert kept["terms"] == ("loss", "against", "opponent")
    assert kept["opponent"]["module"].keys() == Judge().state_dict().keys()
    assert kept["module"].keys() == Blur().state_dict().keys()
    assert kept["opponent"]["optimizer"]["state"]


@pytest.mark.parametrize("weight", [None, 0.0])
def test_weight_0_changes_nothing(trained: Trainer, tmp_path: Path, weight: float | None):
    """Whether nobody plays or somebody whose word does not count, the network learns as if it had no `output`."""
    plain = state(trained(tmp_path / "plain", network(loss=loss), steps=5))
    played = state(trained(tmp_path / "played", against(weight), steps=5))
    for key in ("module", "optimizer", "ema"):
        assert_same(plain[key], played[key], key)
    assert (played["opponent"] is None) == (weight is None)
    if weight is None:
        assert played["terms"] == plain["terms"]
        assert_same(plain["losses"], played["losses"])


def test_weight_counts(trained: Trainer, tmp_path: Path):
    plain, played = (state(trained(tmp_path / str(w), against(w), steps=5))["module"] for w in (None, 0.5))
    assert not torch.equal(plain["body.0.weight"], played["body.0.weight"])


def test_a_recipe_asks_for_it(trained: Trainer, tmp_path: Path):
    """The player is made by the options of the training."""
    asked: list[float] = []

    def player(options: Any) -> Player | None:
        asked.append(options.sigma)
        return adversary(Judge, options.sigma)

    net = network(loss=shown, player=player)
    assert state(trained(tmp_path / "run", net, steps=2, training={"sigma": 0.2}))["opponent"]
    assert set(asked) == {0.2}


def test_restore(opponent: Opponent):
    saved = copy.deepcopy(opponent.state())
    opponent.learn([(OUTPUT, TARGET)], rate=0.1)
    assert opponent.module.weight.item() != 3
    opponent.restore(saved)
    assert opponent.module.weight.item() == 3


@pytest.mark.parametrize(("before", "after"), [(None, 0.5), (0.5, None)])
def test_error_state_of_others(trained: Trainer, tmp_path: Path, before: float | None, after: float | None):
    trained(tmp_path / "run", against(before), steps=2)
    with pytest.raises(WeightsError, match="another second player"):
        trained(tmp_path / "run", against(after), steps=4, resume=True)
