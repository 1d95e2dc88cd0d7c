"""One training loop for every network, on Lightning Fabric; nothing else imports it.

A step's crops and noise come from generators that are seeded by the recipe's seed, the step and the process, so that
a training that stops at any step goes on as if it had not.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from math import ceil, lcm
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from photonet.engine import checkpoint
from photonet.engine.bank import Bank, build_bank
from photonet.engine.checkpoint import Data
from photonet.engine.data import Example, Source, fingerprint, read_as
from photonet.engine.device import Device
from photonet.engine.draw import draw
from photonet.engine.optim import Ema, Muon, gradient_norm
from photonet.engine.pace import Pace
from photonet.engine.player import Opponent
from photonet.engine.recipe import Recipe
from photonet.engine.run import BEFORE_DECAY, STATE, WEIGHTS, Report, Run
from photonet.engine.task import Network
from photonet.errors import InputError, UsageError
from photonet.io import check_folder, make_folder

VALIDATION_SEED = 2**30  # of every training; those of recipes are smaller
SANITY_STEPS = 5
LOG_EVERY = 50  # steps


def train(
    recipe: Recipe,
    network: Network,
    sources: tuple[Sequence[Source], Sequence[Source]],
    folder: Path,
    device: Device,
    *,
    minutes: float = 0,
    folders: Sequence[Path] = (),
    resume: bool = False,
    init: Path | None = None,
    devices: int = 1,
    nodes: int = 1,
    report: Report = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train a network.

    Args:
        recipe, network: what is trained, and how.
        sources: training and validation examples.
        folder: of the run; weights, state and log go there.
        device: kind of device, and precision; of several devices each process takes its own.
        minutes: time budget instead of the recipe's steps.
        folders: that the sources come from; kept for who resumes.
        resume: go on from the folder's `resume.pt`.
        init: weights to begin with; those of the same network are deployed first where they fit in that form only.
        devices, nodes: processes per machine, and machines.
        report: told every line of the log, how many examples are decoded, and that nothing was left to do.
        stop: asked after every step; True saves and ends.

    Returns:
        The best weights; None in all processes but the first.

    Raises:
        UsageError: the folder holds another run or weights, there is nothing to resume, or the configuration cannot be
            built.
        OutputError: there is no such folder, and none can be made.
        WeightsError: the state to resume from, or the weights to begin with, are damaged or do not fit.
    """
    _check_network(recipe, network, sources)
    _check_run(folder, resume)
    fabric = _fabric(replace(device, dtype=torch.float32) if network.exact else device, devices, nodes)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    module = _build(network, recipe)
    if init is not None:
        checkpoint.begin_with(init, module, network, recipe)
    make_folder(folder)
    banks = _banks(fabric, network, sources, folder, report)
    model, optimizer = fabric.setup(module, make_optimizer(module, recipe))
    player = network.player(network.training.model_validate(recipe.training))
    run = Run(
        recipe=recipe,
        network=network,
        module=module,
        optimizer=optimizer,
        ema=Ema(module, recipe.ema),
        folder=folder,
        data=Data(count=len(sources[0]), sha256=fingerprint(sources[0]), sources=recipe.sources),
        where=f"{fabric.device.type}, {fabric.world_size} processes",
        minutes=minutes,
        folders=folders,
        first=fabric.is_global_zero,
        held_out=fingerprint(sources[1]),
        report=report,
        steps=recipe.steps,
        opponent=Opponent(player, fabric, lambda module: make_optimizer(module, recipe)) if player else None,
        begun=init is not None,
    )
    if resume:
        run.restore()
    else:
        _sanity_check(run, fabric, banks[0])
    run.keep_recipe()
    fit(run, fabric, model, banks, stop)
    return folder / WEIGHTS if run.first else None


def _check_run(folder: Path, resume: bool) -> None:
    """Nobody's training or weights are written over."""
    check_folder(folder)
    used = (folder / STATE).exists()
    if resume and not used:
        raise UsageError("holds nothing to resume", folder, "leave --resume out, or name the run's folder with -o")
    if used and not resume:
        raise UsageError("holds a training already", folder, "go on with --resume, or name another folder with -o")
    if not used and (folder / WEIGHTS).exists():
        raise UsageError("there are weights already", folder / WEIGHTS, "name another folder with -o, or move them")


def _check_network(recipe: Recipe, network: Network, sources: tuple[Sequence[Source], Sequence[Source]]) -> None:
    """It can learn from such sources; crops suit its stride, and the cells that training pairs are made in."""
    if network.pair is None or network.loss is None:
        raise UsageError(f"{recipe.task} {recipe.network} cannot be trained")
    if not network.pairs and any(len(source.files) > 1 for part in sources for source in part):
        raise UsageError(f"{recipe.network} makes its pairs from clean photos only", "--pairs", "give --photos DIR")
    stride = lcm(network.tiling(_build(network, recipe)).stride, network.crop_multiple)
    wrong = {n: v for n in ("crop", "validation_crop") for v in [getattr(recipe, n)] if v % stride}
    if wrong:
        what = " and ".join(f"{name} is {value}" for name, value in wrong.items())
        fix = " ".join(f"--set {name}={ceil(value / stride) * stride}" for name, value in wrong.items())
        raise UsageError(f"{what}, not a multiple of {stride}", "recipe", fix)


def _build(network: Network, recipe: Recipe) -> nn.Module:
    try:
        return network.build({**network.config, **recipe.config}).to(memory_format=torch.channels_last)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the network cannot be built ({error})", "config", "mend the recipe") from error


def fit(run: Run, fabric: Fabric, model: Any, banks: tuple[Bank, Bank], stop: Callable[[], bool]) -> None:
    """Update until the steps are done or `stop` says so; validate and save every few minutes and at the end."""
    began, saved, first_step = time.monotonic() - run.seconds, time.monotonic(), run.step
    pace = Pace()
    if run.best == float("-inf") and run.step < run.steps:  # it begins, or goes on with other scores than before
        validate(run, fabric, model, banks[1])
    while run.step < run.steps:
        rate, was_falling = run.recipe.rate(run.step, run.steps), run.falling
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        run.losses.append(pace.run(lambda: _update(run, fabric, model, banks[0])))
        run.ema.update(run.module, run.step)
        run.step += 1
        run.seconds = time.monotonic() - began
        if run.minutes and run.step - first_step >= 10 and run.step % 10 == 0:
            run.steps = fabric.broadcast(run.fitting_steps())
        if run.step % LOG_EVERY == 0:
            means: Any = fabric.all_reduce(torch.stack(run.losses).mean(0))
            run.losses.clear()
            terms = {name: round(mean, 4) for name, mean in zip(run.terms, means.tolist(), strict=True)}
            line = {"step": run.step, "of": run.steps, **terms, "lr": rate, "gflop_per_s": round(pace.lap(), 1)}
            run.log(**line, **({"skipped": run.skipped} if run.skipped else {}), seconds=round(run.seconds, 1))
        # the first process decides: the clocks of the others may differ
        stopping, due = fabric.broadcast((stop(), time.monotonic() - saved > run.recipe.save_minutes * 60))
        begins_to_fall = run.falling and not was_falling
        if stopping or due or begins_to_fall or run.step >= run.steps:
            paused = time.monotonic()
            validate(run, fabric, model, banks[1])
            if run.losses:
                run.losses = list(fabric.all_reduce(torch.stack(run.losses)))
            run.save([STATE, BEFORE_DECAY] if begins_to_fall else [STATE])
            saved = time.monotonic()
            pace.pause(saved - paused)
        if stopping:
            return


def _update(run: Run, fabric: Fabric, model: Any, bank: Bank) -> Tensor:
    """One update of the weights; a gradient that is not finite is left out. Returns the terms of the loss."""
    recipe, total, played = run.recipe, torch.zeros((), device=fabric.device), []
    for part in range(recipe.accumulate):
        number = (run.step * recipe.accumulate + part) * fabric.world_size + fabric.global_rank
        batch = draw(run.network, recipe, bank, recipe.batch, recipe.crop, recipe.seed, number, fabric.device)
        with fabric.no_backward_sync(model, enabled=part + 1 < recipe.accumulate):
            terms = run.network.loss(model, batch, run.progress)  # type: ignore[misc]
            shown: Any = terms.pop("output", None)
            if run.opponent is not None:
                terms = run.opponent.against(terms, shown)
            fabric.backward(terms["loss"] / recipe.accumulate)
        if run.opponent is not None:
            played.append((shown.detach(), batch["target"]))
        run.terms = tuple(terms)
        total = total + torch.stack([term.detach().float() for term in terms.values()]) / recipe.accumulate
    if run.opponent is not None:
        learned = run.opponent.learn(played, run.optimizer.param_groups[0]["lr"])
        run.terms, total = (*run.terms, "opponent"), torch.cat([total, learned.float()[None]])
    parameters = list(run.module.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.clip) if recipe.clip else gradient_norm(parameters)
    if norm.isfinite():
        run.optimizer.step()
    else:
        run.skipped += 1
    run.optimizer.zero_grad(set_to_none=True)
    if run.losses and len(run.losses[0]) != len(total):
        run.losses.clear()  # of other terms: it was resumed with other options
    return total


@torch.no_grad()
def validate(run: Run, fabric: Fabric, model: Any, bank: Bank) -> None:
    """Score the averaged weights on fixed crops, and keep them when they are the best so far."""
    own = {name: tensor.clone() for name, tensor in run.module.state_dict().items()}
    run.module.load_state_dict(run.ema.state)
    run.module.eval()
    scores = []
    for number in islice(range(len(bank) // 4 + 1), 16):
        crop = run.recipe.validation_crop
        batch = draw(run.network, run.recipe, bank, 4, crop, VALIDATION_SEED, number, fabric.device)
        scores.append(run.network.scores(model, batch).mean())
        if number == 0:
            run.show(batch["input"], run.network.predict(model, batch), batch["target"])
    score = torch.stack(scores).mean().item()
    run.module.load_state_dict(own)
    run.module.train()
    run.log(step=run.step, of=run.steps, validation=round(score, 4), seconds=round(run.seconds, 1))
    run.keep_best(score)


def _sanity_check(run: Run, fabric: Fabric, bank: Bank) -> None:
    """Overfit one batch for a few steps on a copy, and log what that says about loss and learning rate."""
    recipe, probe = run.recipe, copy.deepcopy(run.module)
    optimizer = make_optimizer(probe, recipe)
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr / 10  # the probe has no warm-up
    batch = draw(run.network, recipe, bank, recipe.batch, recipe.crop, recipe.seed, 0, fabric.device)
    before = [p.detach().clone() for p in probe.parameters()]
    losses = []
    for _ in range(SANITY_STEPS):
        with fabric.autocast():
            loss = run.network.loss(probe, batch, 0.0)["loss"]  # type: ignore[misc]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(round(loss.item(), 4))
    pairs = zip(probe.parameters(), before, strict=True)
    ratio = max(((p - old).norm() / (old.norm() + 1e-12)).item() for p, old in pairs if p.ndim > 1)
    run.log(one_batch_loss=losses, update_to_weight=round(ratio / SANITY_STEPS, 5))


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer that a recipe names."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(module.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    return Muon(module, recipe.lr)


def _fabric(device: Device, devices: int, nodes: int) -> Fabric:
    # no fp16: its gradients need scaling, and bf16 or float32 do without
    precision: Any = "bf16-mixed" if device.precision == "bf16" else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every setting
    kind = {"cpu": "cpu", "cuda": "cuda", "mps": "mps"}[device.device.type]
    chosen: Any = [device.device.index or 0] if kind == "cuda" and devices == 1 else devices
    strategy = "ddp" if devices * nodes > 1 else "auto"
    return Fabric(accelerator=kind, devices=chosen, num_nodes=nodes, strategy=strategy, precision=precision)


def _banks(
    fabric: Fabric, network: Network, sources: tuple[Sequence[Source], Sequence[Source]], folder: Path, report: Report
) -> tuple[Bank, Bank]:
    """Training and validation banks; the first process builds them, the others wait.

    Raises:
        InputError: as `build_bank`, of both at once.
    """

    def sample(source: Source) -> Example | Iterable[Example]:
        return network.sample(source, network)

    def bank(name: str, part: Sequence[Source]) -> Bank:
        def progress(done: int) -> None:
            report({"decoded": done, "of": len(part)})

        return build_bank(part, sample, folder / f"{name}-bank", " ".join(map(str, read_as(network))), progress)

    banks, errors = [], []
    for name, part in zip(("training", "validation"), sources, strict=True):
        with fabric.rank_zero_first():
            try:  # in here, so that every process comes to both of its barriers
                banks.append(bank(name, part))
            except InputError as error:
                errors.append(error)
    if errors:
        raise InputError("; ".join(error.what for error in errors), errors[0].where, errors[0].fix)
    return banks[0], banks[1]
