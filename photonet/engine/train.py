"""One training loop for every network, on Lightning Fabric; nothing else imports it.

A step's crops and noise come from generators that are seeded by the recipe's seed, the step and the process, so that
a training that stops at any step goes on as if it had not.
"""

import copy
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card, Data
from photonet.engine.data import Bank, Batch, Source, build_bank, fingerprint
from photonet.engine.device import Device
from photonet.engine.optim import Ema, Muon, gradient_norm
from photonet.engine.recipe import Recipe
from photonet.engine.task import Network
from photonet.errors import UsageError, WeightsError

VALIDATION_SEED = 1_000_003
SANITY_STEPS = 5
Report = Callable[[dict[str, Any]], None]


@dataclass
class Run:
    """Where a training stands, and what it writes to.

    Args:
        recipe, network: what is trained.
        folder: gets `weights.safetensors`, `resume.pt`, `before-decay.pt` and `log.jsonl`.
        data: for the card.
        minutes: time budget; 0 trains the recipe's number of steps.
        report: told every line of the log.
        losses: of the steps since the last line of the log.
    """

    recipe: Recipe
    network: Network
    folder: Path
    data: Data
    minutes: float = 0
    report: Report = lambda line: None
    step: int = 0
    steps: int = 0
    seconds: float = 0
    best: float = float("-inf")
    losses: list[Tensor] = field(default_factory=list)
    stop: Callable[[], bool] = field(default=lambda: False)

    @property
    def progress(self) -> float:
        """0 at the beginning, 1 at the end."""
        return min(self.step / self.steps, 1)

    @property
    def falling(self) -> bool:
        """Whether the learning rate of the next step has begun to fall."""
        return self.step > self.steps * (1 - self.recipe.decay)

    def log(self, **line: Any) -> None:
        """Append a line to the log and report it."""
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.report(line)


def train(
    recipe: Recipe,
    network: Network,
    sources: tuple[Sequence[Source], Sequence[Source]],
    folder: Path,
    device: Device,
    *,
    minutes: float = 0,
    resume: bool = False,
    init: Path | None = None,
    devices: int = 1,
    nodes: int = 1,
    report: Report = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train a network.

    Args:
        sources: training and validation examples.
        folder: of the run; weights, state and log go there.
        minutes: time budget instead of the recipe's steps.
        resume: go on from the folder's `resume.pt`.
        init: weights to begin with.
        devices, nodes: processes per machine, and machines.
        stop: asked after every step; True saves and ends.

    Returns:
        The best weights; None in all processes but the first.

    Raises:
        UsageError: the folder holds another run, there is nothing to resume, or the configuration cannot be built.
        WeightsError: the state to resume from, or the weights to begin with, are damaged or do not fit.
    """
    if network.pair is None or network.loss is None or network.score is None or network.sample is None:
        raise UsageError(f"{recipe.task} {recipe.network} cannot be trained")
    state_file = folder / "resume.pt"
    if state_file.exists() and not resume:
        raise UsageError("holds a training already", folder, "go on with --resume, or name another folder with -o")
    if resume and not state_file.exists():
        raise UsageError("holds nothing to resume", folder)
    fabric = _fabric(device, devices, nodes)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    module = _build(network, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    banks = _banks(fabric, network, sources, folder, report)
    if init is not None:
        checkpoint.load_strictly(module, checkpoint.read_tensors(init)[1], init)
    optimizer = make_optimizer(module, recipe)
    ema = Ema(module, recipe.ema)
    model, optimizer = fabric.setup(module, optimizer)
    ema.state = {name: tensor.to(fabric.device) for name, tensor in ema.state.items()}
    data = Data(count=len(sources[0]), sha256=fingerprint(sources[0]), sources=recipe.sources)
    run = Run(recipe, network, folder, data, minutes, report if fabric.is_global_zero else _silent, stop=stop)
    run.steps = recipe.steps
    if resume:
        _restore(run, state_file, module, optimizer, ema)
    else:
        _sanity_check(run, fabric, model, module, optimizer, banks[0])
    fit(run, fabric, model, module, optimizer, ema, banks)
    return folder / "weights.safetensors" if fabric.is_global_zero else None


def _build(network: Network, recipe: Recipe) -> nn.Module:
    try:
        return network.build({**network.config, **recipe.config}).to(memory_format=torch.channels_last)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the network cannot be built ({error})", "config", "mend the recipe") from error


def fit(
    run: Run, fabric: Fabric, model: Any, module: nn.Module, optimizer: Any, ema: Ema, banks: tuple[Bank, Bank]
) -> None:
    """The loop."""
    recipe, began, saved = run.recipe, time.monotonic() - run.seconds, time.monotonic()
    first_step = run.step
    if run.step == 0:
        validate(run, fabric, model, module, ema, banks[1])
    while run.step < run.steps:
        rate, was_falling = recipe.rate(run.step, run.steps), run.falling
        for group in optimizer.param_groups:
            group["lr"] = rate
        run.losses.append(_update(run, fabric, model, module, optimizer, banks[0]))
        ema.update(module, run.step)
        run.step += 1
        run.seconds = time.monotonic() - began
        if run.minutes and run.step - first_step >= 10 and run.step % 10 == 0:
            run.steps = fabric.broadcast(_fitting_steps(run))
        if run.step % 50 == 0:
            mean = float(fabric.all_reduce(torch.stack(run.losses).mean()))  # type: ignore[arg-type]
            run.losses.clear()
            if fabric.is_global_zero:
                run.log(step=run.step, of=run.steps, loss=round(mean, 4), lr=rate, seconds=round(run.seconds, 1))
        # the first process decides: the clocks of the others may differ
        stopping, due = fabric.broadcast((run.stop(), time.monotonic() - saved > recipe.save_minutes * 60))
        begins_to_fall = run.falling and not was_falling
        if stopping or due or begins_to_fall or run.step >= run.steps:
            validate(run, fabric, model, module, ema, banks[1])
            if run.losses:
                run.losses = list(fabric.all_reduce(torch.stack(run.losses)))
            save(run, fabric, module, optimizer, ema, ["resume.pt", *(["before-decay.pt"] if begins_to_fall else [])])
            saved = time.monotonic()
        if stopping:
            return


def _update(run: Run, fabric: Fabric, model: Any, module: nn.Module, optimizer: Any, bank: Bank) -> Tensor:
    """One update of the weights; a gradient that is not finite is left out. Returns the loss."""
    recipe, total = run.recipe, torch.zeros((), device=fabric.device)
    for part in range(recipe.accumulate):
        number = (run.step * recipe.accumulate + part) * fabric.world_size + fabric.global_rank
        batch = draw(run.network, recipe, bank, recipe.batch, recipe.crop, number, fabric.device)
        with fabric.no_backward_sync(model, enabled=part + 1 < recipe.accumulate):
            terms = run.network.loss(model, batch, run.progress)  # type: ignore[misc]
            fabric.backward(terms["loss"] / recipe.accumulate)
        total += terms["loss"].detach() / recipe.accumulate
    if recipe.clip:
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
    else:
        norm = gradient_norm(module.parameters())
    if norm.isfinite():
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def draw(
    network: Network, recipe: Recipe, bank: Bank, batch: int, crop: int, number: int, device: torch.device
) -> Batch:
    """Batch `number` of a recipe: always the same one."""
    seed = recipe.seed * 2**32 + number
    crops = bank.draw(batch, crop, Generator().manual_seed(seed))
    crops = {name: tensor.to(device) for name, tensor in crops.items()}
    options = network.training.model_validate(recipe.training)
    return network.pair(crops, Generator(device).manual_seed(seed), options)  # type: ignore[misc]


def _fitting_steps(run: Run) -> int:
    """Steps that fit into the minutes, at the speed so far; the learning rate thus follows the clock."""
    share = run.seconds / (run.minutes * 60)
    return run.step if share >= 1 else max(int(run.step / share), run.step + 1)


@torch.no_grad()
def validate(run: Run, fabric: Fabric, model: Any, module: nn.Module, ema: Ema, bank: Bank) -> None:
    """Score the averaged weights on fixed crops, and keep them when they are the best so far."""
    own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(ema.state)
    module.eval()
    scores = []
    for number in islice(range(len(bank) // 4 + 1), 16):
        batch = draw(
            run.network, run.recipe, bank, 4, run.recipe.validation_crop, VALIDATION_SEED + number, fabric.device
        )
        scores.append(run.network.score(model, batch).mean())  # type: ignore[misc]
    score = torch.stack(scores).mean().item()
    module.load_state_dict(own)
    module.train()
    if not fabric.is_global_zero:
        return
    run.log(step=run.step, of=run.steps, validation=round(score, 4), seconds=round(run.seconds, 1))
    if score > run.best and run.step > 0:
        run.best = score
        checkpoint.save(run.folder / "weights.safetensors", card(run, fabric), ema.state)


def card(run: Run, fabric: Fabric) -> Card:
    """What is known about the weights as they are now."""
    recipe = run.recipe
    made = {
        **recipe.model_dump(mode="json", exclude={"task", "network", "config", "licence", "sources"}),
        "steps": run.step,
        "minutes": round(run.seconds / 60, 1),
        "device": f"{fabric.device.type}, {fabric.world_size} processes",
        "validation": {"pictures": list(recipe.validation), "score": round(run.best, 4)},
    }
    return Card(
        task=recipe.task,
        network=recipe.network,
        config={**run.network.config, **recipe.config},
        expects=run.network.expects.value,
        returns=run.network.returns.value,
        recipe=made,
        data=run.data,
        licence=recipe.licence,
    )


def save(
    run: Run, fabric: Fabric, module: nn.Module, optimizer: Any, ema: Ema, names: Sequence[str] = ("resume.pt",)
) -> None:
    """Write the whole state, so that `--resume` goes on bit by bit.

    Args:
        names: of the files; `before-decay.pt` is the state from which a training can go on for longer.
    """
    if not fabric.is_global_zero:
        return
    state = {
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": ema.state,
        "step": run.step,
        "steps": run.steps,
        "seconds": run.seconds,
        "best": run.best,
        "losses": run.losses,
    }
    for name in names:
        torch.save(state, run.folder / f".{name}")
        os.replace(run.folder / f".{name}", run.folder / name)


def _restore(run: Run, path: Path, module: nn.Module, optimizer: Any, ema: Ema) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError("the saved state is damaged", path, "begin again in another folder") from error
    checkpoint.load_strictly(module, state["module"], path)
    optimizer.load_state_dict(state["optimizer"])
    for name, tensor in ema.state.items():
        tensor.copy_(state["ema"][name])
    run.step, run.seconds, run.best = state["step"], state["seconds"], state["best"]
    device = next(module.parameters()).device
    run.losses = [loss.to(device) for loss in state.get("losses", [])]  # older files have none
    run.steps = max(run.recipe.steps, run.step) if not run.minutes else state["steps"]


def _sanity_check(run: Run, fabric: Fabric, model: Any, module: nn.Module, optimizer: Any, bank: Bank) -> None:
    """Overfit one batch for a few steps on a copy, and log what that says about loss and learning rate."""
    probe = copy.deepcopy(module)
    probe_optimizer = make_optimizer(probe, run.recipe)
    batch = draw(run.network, run.recipe, bank, run.recipe.batch, run.recipe.crop, 0, fabric.device)
    before = {name: p.detach().clone() for name, p in probe.named_parameters()}
    losses = []
    for group in probe_optimizer.param_groups:
        group["lr"] = run.recipe.lr / 10  # the probe has no warm-up
    for _ in range(SANITY_STEPS):
        with fabric.autocast():
            loss = run.network.loss(probe, batch, 0.0)["loss"]  # type: ignore[misc]
        loss.backward()
        probe_optimizer.step()
        probe_optimizer.zero_grad()
        losses.append(loss.item())
    ratios = [
        ((p - before[n]).norm() / (before[n].norm() + 1e-12)).item() for n, p in probe.named_parameters() if p.ndim > 1
    ]
    if fabric.is_global_zero:
        run.log(one_batch_loss=[round(v, 4) for v in losses], update_to_weight=round(max(ratios) / SANITY_STEPS, 5))


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer that a recipe names."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(module.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    return Muon(module, recipe.lr)


def _fabric(device: Device, devices: int, nodes: int) -> Fabric:
    precision: Any = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}[device.precision]
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every setting
    kind = {"cpu": "cpu", "cuda": "cuda", "mps": "mps"}[device.device.type]
    chosen: Any = [device.device.index or 0] if kind == "cuda" and devices == 1 else devices
    strategy = "ddp" if devices * nodes > 1 else "auto"
    return Fabric(accelerator=kind, devices=chosen, num_nodes=nodes, strategy=strategy, precision=precision)


def _banks(
    fabric: Fabric, network: Network, sources: tuple[Sequence[Source], Sequence[Source]], folder: Path, report: Report
) -> tuple[Bank, Bank]:
    """Training and validation banks; the first process builds them, the others wait."""
    banks = []
    for name, part in zip(("training", "validation"), sources, strict=True):
        with fabric.rank_zero_first():
            banks.append(build_bank(part, lambda source: network.sample(source, network), folder / f"{name}-bank"))
    return banks[0], banks[1]


def _silent(line: Mapping[str, Any]) -> None:
    pass
