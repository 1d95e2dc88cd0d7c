"""What every network of every task must be able to do. Networks are small and random: this is not about quality."""

from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from small import LEARNED, NETWORKS, build_small, job_photos, small_card
from torch import Generator

from photonet.engine import checkpoint
from photonet.engine.bank import build_bank
from photonet.engine.data import Batch, Source
from photonet.engine.device import Device
from photonet.engine.infer import Engine
from photonet.engine.task import Network, Task
from photonet.tasks import get_task

SAMPLE = Path(__file__).parents[2] / "samples" / "clean" / "astronaut.png"
SIZES = [(1, 1), (1, 7), (7, 1), (17, 33), (64, 48)]
FLOAT32 = Device(torch.device("cpu"), torch.float32)
ROUNDING = 2e-5  # between tiled and whole: sums of float32 in another order
BF16_ERROR = 0.03  # of the largest value of the result
OVERFIT_STEPS, OVERFIT_RATE = 60, 1e-3

every_network = pytest.mark.parametrize(("task", "name"), NETWORKS, ids=["-".join(pair) for pair in NETWORKS])
every_learned = pytest.mark.parametrize(("task", "name"), LEARNED, ids=["-".join(pair) for pair in LEARNED])


def engine_of(task: Task, device: Device = FLOAT32, tile: int = 0) -> Engine:
    """An engine that holds all networks of the task, small."""
    engine = Engine(task, device, {}, tile=tile)
    for name, network in task.networks.items():
        engine.add(name, build_small(network))
    return engine


def output(engine: Engine, name: str, height: int, width: int) -> np.ndarray:
    """What a network makes of a picture: pixels H W C of a job, or the map H W 1 of a helper."""
    network = engine.task.networks[name]
    photos = job_photos(engine.task.name, network, height, width)
    if not network.serves_task:
        return engine.map(name, photos[0])[0].permute(1, 2, 0).numpy()
    engine.net = name
    return engine.run(photos, engine.task.options()).photo.pixels


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Batch]:
    """Crops of a sample picture for each network, through `sample` and a bank as in a training."""
    folder, drawn = tmp_path_factory.mktemp("banks"), {}
    for task, name in LEARNED:
        network = get_task(task).networks[name]

        def sample(source: Source, network: Network = network) -> dict:
            return {key: array[:96, :96] for key, array in network.sample(source, network).items()}

        bank = build_bank([Source(SAMPLE.name, (SAMPLE,))], sample, folder / f"{task}-{name}")
        drawn[f"{task}-{name}"] = bank.draw(3, 64, Generator().manual_seed(3))
    return drawn


@pytest.fixture
def network(task: str, name: str) -> Network:
    return get_task(task).networks[name]


def paired(network: Network, crops: Batch, seed: int = 5) -> Batch:
    """The training batch of some crops."""
    assert network.pair is not None
    return network.pair(dict(crops), Generator().manual_seed(seed), network.training())


@every_network
def test_published_config_builds(network: Network):
    module = network.build(network.config)
    assert (sum(parameter.numel() for parameter in module.parameters()) > 0) == network.learned
    assert network.tiling(module).radius >= 0
    with pytest.raises(TypeError):
        network.build({**network.config, "no_such_key": 1})


@every_network
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_any_size(task: str, name: str, network: Network, size: tuple[int, int]):
    engine = engine_of(get_task(task))
    result = output(engine, name, *size)
    scale: Fraction = engine.loaded(name).tiling.scale
    assert result.shape[:2] == tuple(ceil(side * scale) for side in size)
    assert np.isfinite(result).all()


@every_network
@pytest.mark.parametrize("tile", [16, 50])
def test_tiled_equals_whole(task: str, name: str, tile: int):
    whole = output(engine_of(get_task(task), tile=4096), name, 77, 130)
    tiled = output(engine_of(get_task(task), tile=tile), name, 77, 130)
    largest = np.abs(whole).max()
    assert np.ptp(whole) > 1e-3 * largest
    np.testing.assert_allclose(tiled / largest, whole / largest, rtol=0, atol=ROUNDING)


@every_learned
def test_weights_reach_the_result(task: str, name: str):
    engine = engine_of(get_task(task))
    before = output(engine, name, 32, 48)
    with torch.no_grad():
        for parameter in engine.loaded(name).module.parameters():
            parameter.mul_(1.5)
    assert np.abs(output(engine, name, 32, 48) - before).max() > 1e-4


@every_learned
def test_save_and_load(task: str, name: str, network: Network, tmp_path: Path):
    module, path = build_small(network), tmp_path / "weights.safetensors"
    card = small_card(task, name)
    checkpoint.save(path, card, module.state_dict(), torch.float32)
    definition = get_task(task)
    _, loaded = checkpoint.build(definition, *checkpoint.read_tensors(path), path)
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in module.state_dict().items())
    engine = engine_of(definition)
    expected = output(engine, name, 30, 41)
    engine.add(name, loaded)
    assert np.array_equal(output(engine, name, 30, 41), expected)


@every_learned
def test_half_precision_is_stored_once(task: str, name: str, network: Network, tmp_path: Path):
    card = small_card(task, name)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    checkpoint.save(first, card, build_small(network).state_dict())
    checkpoint.save(second, card, checkpoint.read_tensors(first)[1])
    assert first.read_bytes() == second.read_bytes()


@every_learned
def test_bf16_close_to_float32(task: str, name: str, network: Network):
    exact = output(engine_of(get_task(task)), name, 40, 56)
    rough = output(engine_of(get_task(task), Device(torch.device("cpu"), torch.bfloat16)), name, 40, 56)
    error = np.abs(rough - exact).max() / np.abs(exact).max()
    assert error < BF16_ERROR
    assert (error == 0) == network.exact  # else bf16 was not used


@every_learned
def test_pairs_follow_from_their_seed(task: str, name: str, network: Network, crops: dict[str, Batch]):
    first, again = (paired(network, crops[f"{task}-{name}"]) for _ in range(2))
    other = paired(network, crops[f"{task}-{name}"], seed=6)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert all(tensor.isfinite().all() for tensor in first.values())


@every_learned
def test_pairs_leave_global_randomness_alone(task: str, name: str, network: Network, crops: dict[str, Batch]):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    paired(network, crops[f"{task}-{name}"])
    assert torch.equal(torch.get_rng_state(), state)


@every_learned
def test_every_parameter_learns(task: str, name: str, network: Network, crops: dict[str, Batch]):
    assert network.loss is not None
    module = build_small(network).train()
    for seed in range(4):  # a batch may be of a kind that leaves a part of the network out
        network.loss(module, paired(network, crops[f"{task}-{name}"], seed), 0.5)["loss"].backward()
    gradients = {key: parameter.grad for key, parameter in module.named_parameters()}
    lazy = [key for key, grad in gradients.items() if grad is None or not grad.isfinite().all() or not grad.any()]
    assert lazy == []


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """The module with random weights everywhere: some begin as a solution, which any step makes worse at first."""
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module


@every_learned
def test_overfits_one_batch(task: str, name: str, network: Network, crops: dict[str, Batch]):
    assert network.loss is not None
    module = shaken(build_small(network)).train()
    optimizer = torch.optim.Adam(module.parameters(), OVERFIT_RATE)
    batch = paired(network, crops[f"{task}-{name}"])
    losses, score = [], network.scores(module, batch).mean().item()
    for _ in range(OVERFIT_STEPS):
        loss = network.loss(module, batch, 1.0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05 * abs(losses[0])
    assert network.scores(module, batch).mean().item() > score
