"""Weights in one `.safetensors` file, with a card in its header that is enough to rebuild the network."""

import hashlib
import json
import struct
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from photonet.engine.recipe import Recipe
from photonet.engine.task import Network, Task
from photonet.errors import UsageError, WeightsError
from photonet.io import write_atomic

FORMAT = 1
HEADER_KEY = "photonet"


class Score(BaseModel):
    """One measured number and how it was measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dataset: str
    condition: str
    protocol: str
    pictures: int
    precision: str
    psnr: float = Field(allow_inf_nan=False)
    ssim: float | None = Field(None, allow_inf_nan=False)


class Data(BaseModel):
    """What a network was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    count: int = 0
    sha256: str = ""
    sources: tuple[str, ...] = ()


class Card(BaseModel):
    """Everything that is known about weights.

    Args:
        format: version of this card.
        task, network, config: what `Network.build` needs.
        expects, returns: color states it was trained in.
        recipe: options, seed, steps, minutes and device of the training.
        scores: measured, with their protocols.
        data: what it was trained on.
        licence: of the weights.
        origin: for imported weights, where they come from.
        digest: SHA-256 over all tensors and the rest of the card but for its scores: measuring makes no other weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int = FORMAT
    task: str
    network: str
    config: dict[str, Any] = Field(default_factory=dict)
    expects: str = "srgb"
    returns: str = "srgb"
    recipe: dict[str, Any] = Field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    data: Data = Data()
    licence: str = ""
    origin: str = ""
    digest: str = ""


def save(path: Path, card: Card, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> Card:
    """Write weights and their card atomically, over what was there.

    Args:
        dtype: floating-point tensors are stored in it, but for those of one dimension: the variances of a batch norm
            would lose digits, and they take no space.

    Returns:
        The card with its digest.
    """
    stored = {name: _stored(tensor, dtype) for name, tensor in tensors.items()}
    card = card.model_copy(update={"digest": _digest(card, _tensor_bytes(to_safetensors(stored)))})
    write_atomic(path, to_safetensors(stored, {HEADER_KEY: card.model_dump_json()}), overwrite=True)
    return card


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def _tensor_bytes(file: bytes) -> bytes:
    (length,) = struct.unpack("<Q", file[:8])
    return file[8 + length :]


def _digest(card: Card, tensor_bytes: bytes) -> str:
    content = json.dumps(card.model_dump(mode="json", exclude={"digest", "scores"}), sort_keys=True).encode()
    return hashlib.sha256(content + tensor_bytes).hexdigest()


def read_card(path: Path) -> Card:
    """The card alone; takes milliseconds.

    Raises:
        WeightsError: no such file, not a safetensors file, or a card that this version does not know.
    """
    if not path.is_file():
        raise WeightsError("no such weights", path, "`photonet models list` shows what is there")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER_KEY)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"damaged or not a safetensors file ({error})", path, "fetch or train it again") from error
    if text is None:
        raise WeightsError("has no photonet card", path, "`photonet models import` takes foreign weights in")
    try:
        card = json.loads(text)
        if card.get("format") != FORMAT:
            raise WeightsError(f"card format {card.get('format')!r} is unknown", path, "update photonet")
        return Card.model_validate(card)
    except (ValidationError, ValueError, AttributeError) as error:
        raise WeightsError(f"the card is damaged ({error})", path, "fetch or train it again") from error


def read_tensors(path: Path) -> tuple[Card, dict[str, Tensor]]:
    """Card and tensors, after the digest was checked.

    Raises:
        WeightsError: as `read_card`; also for a file whose content does not match its digest.
    """
    card = read_card(path)
    if _digest(card, _tensor_bytes(path.read_bytes())) != card.digest:
        raise WeightsError(
            "the content does not match its digest", path, "the file was changed: fetch or train it again"
        )
    with safe_open(path, framework="pt") as file:
        return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def build(task: Task, card: Card, tensors: Mapping[str, Tensor], where: object) -> tuple[Network, nn.Module]:
    """The network of a card, of a task, with its weights in float32.

    Raises:
        WeightsError: made for another task or network, or as `build_network`.
    """
    if card.task != task.name:
        raise WeightsError(f"these weights are for {card.task}, not for {task.name}", where)
    if card.network not in task.networks:
        raise WeightsError(f"{task.name} has no network {card.network!r}", where, f"it has {', '.join(task.networks)}")
    network = task.networks[card.network]
    return network, build_network(network, card, tensors, where)


def build_network(network: Network, card: Card, tensors: Mapping[str, Tensor], where: object) -> nn.Module:
    """A network as its card says, with its weights in float32.

    Raises:
        WeightsError: other color states, a configuration that cannot be built, missing or extra keys, all of them
            listed.
    """
    if (card.expects, card.returns) != (network.expects.value, network.returns.value):
        raise WeightsError(f"trained on {card.expects} pictures, but the network takes {network.expects.value}", where)
    try:
        module = network.build(card.config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"its configuration cannot be built ({error})", where) from error
    load_strictly(module, tensors, where)
    return module.eval()


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Copy tensors into a module; names and shapes must match one to one.

    Raises:
        WeightsError: naming every difference.
    """
    expected = module.state_dict()
    problems = [f"missing {name}" for name in expected.keys() - tensors.keys()]
    problems += [f"unknown {name}" for name in tensors.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    if problems:
        raise WeightsError("does not fit the network: " + ", ".join(sorted(problems)), where)
    module.load_state_dict(dict(tensors))


def begin_with(path: Path, module: nn.Module, network: Network, recipe: Recipe) -> None:
    """Copy trained weights into a network that is to be trained on.

    Args:
        path: of the weights; those of the same network are deployed first where they fit in that form only.
        module: built by `network` as the recipe says.

    Raises:
        WeightsError: they cannot be read, cannot be built as their card says, or do not fit the module.
    """
    card, tensors = read_tensors(path)
    if (card.task, card.network) == (recipe.task, recipe.network) and tensors.keys() != module.state_dict().keys():
        deployed = network.deploy(build_network(network, card, tensors, path)).state_dict()
        tensors = deployed if deployed.keys() == module.state_dict().keys() else tensors
    try:
        load_strictly(module, tensors, path)
    except WeightsError as error:
        what = f"weights of {card.task} {card.network} do not fit {recipe.task} {recipe.network}"
        if (card.task, card.network) != (recipe.task, recipe.network):
            raise WeightsError(
                what, path, "begin with weights of that network, or train this one with --net"
            ) from error
        built, wanted = (_in_words(config) for config in (card.config, {**network.config, **recipe.config}))
        fix = "build the network like them with --set config.NAME=VALUE, or begin with others"
        raise WeightsError(f"{what}, built with {wanted}, they with {built}: {error.what}", path, fix) from error


def _in_words(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in config.items()) or "no options"


def shipped() -> list[Path]:
    """Weights that were installed with photonet, by name."""
    folder = Path(str(files("photonet_weights")))
    return sorted(folder.glob("*.safetensors"))


def recipe_of(name: str) -> dict[str, Any]:
    """Fields of the recipe that lies beside shipped weights; none where there is no such recipe."""
    path = Path(str(files("photonet_weights"))) / f"{name}.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def find(name: str) -> Path:
    """Weights by the name of shipped ones, or by path.

    Raises:
        WeightsError: neither; lists what is shipped.
    """
    known = {path.stem: path for path in shipped()}
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    raise WeightsError("no such weights", name, f"name a file, or one of: {', '.join(known) or 'none are installed'}")


def choose(task: Task, names: Sequence[str], net: str | None = None) -> tuple[dict[str, Path], str | None]:
    """Which weights and which network a run uses.

    Args:
        names: weights that the user named, by name or file.
        net: the network that the user named.

    Returns:
        Network → weights: the shipped ones, replaced by the named; and the network to use, which named weights choose
        where the user did not. None leaves it to the task.

    Raises:
        WeightsError: named weights are of another task, or of another network than the named one.
        UsageError: named weights are of several networks for the same pictures, and no network was named.
    """
    prefix = f"{task.name}-"
    stems = {path.stem.removeprefix(prefix): path for path in shipped() if path.stem.startswith(prefix)}
    files = {network: path for network, path in stems.items() if network in task.networks}
    named: dict[str, Path] = {}
    for name in names:
        path = find(name)
        card = read_card(path)
        if card.task != task.name:
            raise WeightsError(f"these weights are for {card.task}, not for {task.name}", path)
        if card.network in named:
            raise WeightsError(f"a second file for the network {card.network}", path, f"{named[card.network]} is one")
        named[card.network] = path
    serving = [network for network in named if network in set(task.choices())]
    if net is None and len(serving) > 1:
        if len({task.networks[network].expects for network in serving}) == len(serving):
            return {**files, **named}, None  # the pictures decide
        raise UsageError(f"weights of several networks: {', '.join(serving)}", "--weights", "choose one with --net")
    if net is None and serving:
        net = serving[0]
    elif net is not None and serving and net not in serving:
        raise WeightsError(f"these weights are for the network {serving[0]}, not for {net}", named[serving[0]])
    return {**files, **named}, net
