"""The training loop, on a network of a few hundred weights that knows no task."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import CPU, TINY, Blur, Trainer, assert_same, log, loss, losses, network, pair, state, stop_after
from torch import Generator, Tensor, nn

from photonet.engine import checkpoint
from photonet.engine.bank import build_bank
from photonet.engine.checkpoint import Card
from photonet.engine.data import Batch, Source, read_pictures
from photonet.engine.draw import draw
from photonet.engine.recipe import Recipe
from photonet.engine.run import Run
from photonet.errors import InputError, UsageError, WeightsError
from photonet.nets.dncnn import DnCNN, fold_batch_norm


def test_files_of_a_run(trained: Trainer, tmp_path: Path):
    reported: list[dict] = []
    folder = trained(tmp_path / "run", steps=50, report=reported.append, sources=("toys",), licence="CC0")
    assert {"weights.safetensors", "resume.pt", "before-decay.pt", "log.jsonl"} <= {f.name for f in folder.iterdir()}
    assert {"decoded": 3, "of": 3} in reported  # for the bar alone
    assert [line for line in reported if "decoded" not in line] == log(folder)
    first, *_ = log(folder)
    assert len(first["one_batch_loss"]) == 5
    assert first["one_batch_loss"][-1] < first["one_batch_loss"][0]
    assert 0 < first["update_to_weight"] < 1
    assert [line["step"] for line in log(folder) if "validation" in line] == [0, 31, 50]
    assert losses(folder).keys() == {50}
    card, tensors = checkpoint.read_tensors(folder / "weights.safetensors")
    assert (card.task, card.network, card.licence, card.data.count) == ("toy", "blur", "CC0", 3)
    assert card.data.sources == ("toys",)
    assert card.recipe["steps"] in (31, 50)
    assert card.recipe["optimizer"] == "muon"
    assert tensors.keys() == Blur().state_dict().keys()


def test_pictures_for_tensorboard(trained: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Board:
        def __init__(self) -> None:
            self.shapes: list[tuple[int, ...]] = []
            self.names: set[str] = set()

        def add_image(self, name: str, picture: Tensor, step: int) -> None:
            assert 0 <= picture.min() <= picture.max() <= 1
            self.shapes.append(tuple(picture.shape))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.names.add(name)

        def flush(self) -> None: ...

    board = Board()
    monkeypatch.setattr(Run, "_board", board)
    trained(tmp_path / "run", steps=50)
    # input, output and target beside each other, the four examples below each other; validated three times
    assert board.shapes == [(3, 4 * 16, 3 * 16)] * 3
    assert {"loss", "validation", "lr"} <= board.names


def test_score_by_default(trained: Trainer, tmp_path: Path):
    """The decibels of the output: 0.1 off everywhere is 20 dB."""
    toy = replace(network(), score=None)
    batch = {"input": torch.full((2, 3, 4, 4), 0.6), "target": torch.full((2, 3, 4, 4), 0.5)}
    assert toy.scores(nn.Identity(), batch).tolist() == pytest.approx([20, 20], abs=1e-3)


def test_it_learns(trained: Trainer, tmp_path: Path):
    folder = trained(tmp_path / "run", steps=120, lr=1e-2)
    scores = [line["validation"] for line in log(folder) if "validation" in line]
    assert scores[-1] > scores[0] / 2  # the score is minus the error
    assert losses(folder)[100] < losses(folder)[50]


def test_same_seed_same_run(trained: Trainer, tmp_path: Path):
    first, again = (trained(tmp_path / name, steps=4) for name in ("first", "again"))
    other = trained(tmp_path / "other", steps=4, seed=1)
    assert_same(state(first)["module"], state(again)["module"])
    assert not torch.equal(state(first)["module"]["body.0.weight"], state(other)["module"]["body.0.weight"])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("stop", [1, 23, 50, 51])
def test_resumed_equals_uninterrupted(trained: Trainer, tmp_path: Path, optimizer: str, stop: int):
    options = {"steps": 60, "optimizer": optimizer, "clip": 0.5, "accumulate": 2 if stop == 23 else 1}
    whole = trained(tmp_path / "whole", **options)
    trained(tmp_path / "parts", **options, stop=stop_after(stop))
    assert state(tmp_path / "parts")["step"] == stop
    parts = trained(tmp_path / "parts", **options, resume=True)
    for key in ("module", "optimizer", "ema", "step", "steps", "losses"):
        assert_same(state(whole)[key], state(parts)[key], key)
    assert losses(parts) == losses(whole)
    assert log(parts)[-1]["validation"] == log(whole)[-1]["validation"]


def test_never_worse_than_what_it_began_with(trained: Trainer, tmp_path: Path):
    """The best weights of a training that spoils everything are those that it was given."""
    begin = trained(tmp_path / "begin", steps=40, lr=1e-2) / "weights.safetensors"
    spoiled = trained(tmp_path / "spoiled", steps=12, lr=3.0, init=begin)
    scores = [line["validation"] for line in log(spoiled) if "validation" in line]
    assert scores[0] > max(scores[1:])
    card, tensors = checkpoint.read_tensors(spoiled / "weights.safetensors")
    assert card.recipe["steps"] == 0
    assert_same(tensors, checkpoint.read_tensors(begin)[1])


def test_longer_from_before_the_decay(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "short", steps=10, decay=0.4)
    kept = state(tmp_path / "short", "before-decay.pt")
    assert kept["step"] == 7  # steps 0 to 6 ran at the full rate: the rate of step 7 is the first to fall
    folder = tmp_path / "longer"
    folder.mkdir()
    (tmp_path / "short" / "before-decay.pt").rename(folder / "resume.pt")
    trained(folder, steps=30, decay=0.4, resume=True)
    whole = trained(tmp_path / "whole", steps=30, decay=0.4)
    # all 7 steps ran at the rate that they have in the longer training too
    assert_same(state(folder)["module"], state(whole)["module"])


def test_scores_of_before_do_not_count(trained: Trainer, tmp_path: Path):
    """With other options the pairs are others, and so are the scores: the best begins anew."""
    easy = trained(tmp_path / "run", steps=40, lr=1e-2, training={"sigma": 0.01})
    best = state(easy)["best"]
    trained(easy, steps=40, resume=True, training={"sigma": 0.01})
    assert state(easy)["best"] == best
    weights = (easy / "weights.safetensors").read_bytes()
    trained(easy, steps=40, resume=True, training={"sigma": 0.5})  # nothing is left to do: nothing is written
    assert ((easy / "weights.safetensors").read_bytes(), state(easy)["best"]) == (weights, best)
    trained(easy, steps=44, lr=1e-2, resume=True, training={"sigma": 0.5})
    assert state(easy)["best"] < best
    assert checkpoint.read_card(easy / "weights.safetensors").recipe["training"] == {"sigma": 0.5}
    assert [line["scores"].split(":")[0] for line in log(easy) if "scores" in line] == [
        "are no longer those of before"
    ] * 2


def test_resumed_with_other_terms(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "run", steps=4)
    both = network(loss=lambda net, batch, progress: {**loss(net, batch, progress), "more": torch.zeros(())})
    folder = trained(tmp_path / "run", both, steps=50, resume=True)
    assert log(folder)[-2]["more"] == 0


def test_resumed_with_another_optimizer(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "run", steps=2)
    with pytest.raises(UsageError, match="began with muon, and cannot go on with adamw"):
        trained(tmp_path / "run", steps=4, optimizer="adamw", resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_weights_are_not_written_over(trained: Trainer, tmp_path: Path, resume: bool):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights.safetensors").write_bytes(b"mine")
    with pytest.raises(UsageError, match="nothing to resume" if resume else "there are weights already"):
        trained(tmp_path / "run", resume=resume)
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "run").iterdir()] == [
        ("weights.safetensors", b"mine")
    ]


def test_more_steps_after_the_end(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "run", steps=4)
    folder = trained(tmp_path / "run", steps=7, resume=True)
    assert state(folder)["step"] == 7


def test_minutes(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "run", steps=1_000_000, minutes=0.02)
    found = state(tmp_path / "run")
    assert found["steps"] == found["step"]
    assert 10 < found["step"] < 100_000
    assert 0.6 < found["seconds"] < 10  # 1.2 s were allowed
    assert found["optimizer"]["param_groups"][0]["lr"] < TINY["lr"] / 2  # it has fallen by the end


def test_init(trained: Trainer, tmp_path: Path):
    torch.manual_seed(9)
    module = Blur()
    checkpoint.save(tmp_path / "w.safetensors", Card(task="toy", network="blur"), module.state_dict(), torch.float32)
    trained(tmp_path / "run", steps=1, lr=1e-12, init=tmp_path / "w.safetensors", optimizer="adamw")
    torch.testing.assert_close(state(tmp_path / "run")["module"]["body.0.weight"], module.body[0].weight.data)
    wrong = {"body.0.weight": torch.zeros(1)}
    checkpoint.save(tmp_path / "wrong.safetensors", Card(task="toy", network="blur"), wrong)
    with pytest.raises(WeightsError, match="missing body"):
        trained(tmp_path / "other", init=tmp_path / "wrong.safetensors")
    assert not (tmp_path / "other").exists()


def test_init_deployed(trained: Trainer, tmp_path: Path):
    """Weights with batch norm begin a network without: folded, the same function."""
    small = {"channels": 3, "depth": 3, "width": 32}
    net = network(build=lambda config: DnCNN(**config), deploy=fold_batch_norm, config=small)
    weights = trained(tmp_path / "begun", net, lr=0.1) / "weights.safetensors"
    options: dict[str, Any] = {"steps": 1, "lr": 1e-12, "optimizer": "adamw", "init": weights}
    folded = trained(tmp_path / "run", net, config={"folded": True}, **options)
    begun = checkpoint.build_network(net, *checkpoint.read_tensors(weights), weights)
    module = DnCNN(**small, folded=True)
    module.load_state_dict(state(folded)["module"])
    noisy = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(module(noisy), begun(noisy), rtol=1e-5, atol=1e-5)
    both = r"weights of toy blur do not fit toy blur, built with .*depth = 4.*they with .*depth = 3"
    with pytest.raises(WeightsError, match=both + r".*unknown body\.3\.running_mean"):
        trained(tmp_path / "deeper", net, config={"depth": 4, "folded": True}, **options)
    with pytest.raises(
        WeightsError, match="weights of toy blur do not fit toy other"
    ):  # of another network: as they are
        trained(tmp_path / "other", net, network="other", config={"folded": True}, **options)


@pytest.mark.parametrize("changed", ["seed", "number"])
def test_draws_differ(sources: list[Source], tmp_path: Path, changed: str):
    """Places and noise follow the seed of the recipe as they follow the step."""
    bank = build_bank(sources, lambda source: read_pictures(source, network()), tmp_path / "bank")
    recipe = Recipe(task="toy", network="blur")

    def drawn(seed: int, number: int) -> Batch:
        return draw(network(), recipe, bank, 4, 8, seed, number, CPU.device)

    first, same = drawn(0, 1), drawn(0, 1)
    other = drawn(1, 1) if changed == "seed" else drawn(0, 2)
    assert_same(first, same)
    assert not torch.equal(first["target"], other["target"])
    noise = (batch["input"] - batch["target"] for batch in (first, other))
    assert not torch.allclose(*noise)


def test_gradients_that_are_not_finite_are_left_out(trained: Trainer, tmp_path: Path):
    def broken(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        value = loss(net, batch, progress)["loss"]
        return {"loss": value * (math.inf if 0.3 < progress < 0.6 else 1)}  # steps 2 and 3 of 6

    before = trained(tmp_path / "before", steps=6, stop=stop_after(2))
    during = trained(tmp_path / "during", network(loss=broken), steps=6, stop=stop_after(4))
    for name, weight in state(before)["module"].items():
        if "running" not in name and "tracked" not in name:
            assert torch.equal(state(during)["module"][name], weight), name
    after = trained(tmp_path / "during", network(loss=broken), steps=6, resume=True)
    assert all(tensor.isfinite().all() for tensor in state(after)["module"].values())
    assert not torch.equal(state(after)["module"]["body.0.weight"], state(before)["module"]["body.0.weight"])


def test_the_best_weights_are_kept(trained: Trainer, tmp_path: Path):
    values = iter([0.0, 3.0, 1.0])
    scored = network(score=lambda net, batch: torch.tensor(next(values)))
    trained(tmp_path / "run", scored, steps=10, decay=0.4)
    card = checkpoint.read_card(tmp_path / "run" / "weights.safetensors")
    assert (card.recipe["steps"], card.recipe["validation"]["score"]) == (7, 3.0)


def test_progress_runs_from_0_to_1(trained: Trainer, tmp_path: Path):
    seen: list[float] = []

    def remember(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        seen.append(progress)
        return loss(net, batch, progress)

    trained(tmp_path / "run", network(loss=remember), steps=4)
    assert seen[5:] == [0, 0.25, 0.5, 0.75]  # after the five of the check on one batch


def test_recipe_reaches_the_pairs(trained: Trainer, tmp_path: Path):
    seen: list[float] = []

    def remember(crops: Batch, generator: Generator, options: Any) -> Batch:
        seen.append(options.sigma)
        return pair(crops, generator, options)

    trained(tmp_path / "run", network(pair=remember), steps=2, training={"sigma": 0.25})
    assert set(seen) == {0.25}


def test_folder_in_use(trained: Trainer, tmp_path: Path):
    trained(tmp_path / "run", steps=2)
    with pytest.raises(UsageError, match="--resume"):
        trained(tmp_path / "run", steps=2)
    with pytest.raises(UsageError, match="nothing to resume"):
        trained(tmp_path / "new", steps=2, resume=True)


def test_network_without_training(trained: Trainer, tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be trained"):
        trained(tmp_path / "run", network(loss=None))


class TestPairs:
    def paired(self, tmp_path: Path, second: tuple[int, int]) -> list[Source]:
        found = []
        for number in range(2):
            files = []
            for kind, size in (("input", (20, 30)), ("target", second)):
                path = tmp_path / kind / f"{number}.png"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(np.full((*size, 3), 60 if kind == "input" else 180, np.uint8)).save(path)
                files.append(path)
            found.append(Source(str(number), tuple(files)))
        return found

    def test_own_pairs(self, trained: Trainer, tmp_path: Path):
        seen: list[Batch] = []

        def remember(crops: Batch, generator: Generator, options: Any) -> Batch:
            seen.append(crops)
            return pair(crops, generator, options)

        trained(tmp_path / "run", network(pair=remember), of=self.paired(tmp_path, (20, 30)), steps=2)
        assert all((crops["input"] == 60 / 255).all() and (crops["target"] == 180 / 255).all() for crops in seen)

    def test_sizes_differ(self, trained: Trainer, tmp_path: Path):
        steps: list[float] = []

        def remember(net: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
            steps.append(progress)
            return loss(net, batch, progress)

        with pytest.raises(InputError, match="differ in size"):
            trained(tmp_path / "run", network(loss=remember), of=self.paired(tmp_path, (30, 20)))
        assert steps == []
