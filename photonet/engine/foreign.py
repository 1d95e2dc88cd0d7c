"""Weights that other projects published: read as numbers, renamed, never executed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor

from photonet.engine.checkpoint import Card
from photonet.engine.task import Task
from photonet.errors import UsageError, WeightsError

MATLAB_HDF5 = b"MATLAB 7.3 MAT-file"


def read_foreign(path: Path, tasks: Sequence[Task]) -> tuple[Card, dict[str, Tensor]]:
    """A card and tensors from a file of another project.

    Args:
        path: a torch file with a state dictionary, or a MatConvNet network (.mat, version 7.3).
        tasks: asked, in turn, whether one of their networks takes these tensors.

    Raises:
        WeightsError: the file is missing or damaged, or no network takes it.
    """
    tensors = _read(path)
    for task in tasks:
        for name, network in task.networks.items():
            found = network.adopt(tensors)
            if found is not None:
                config, renamed = found
                expects, returns = network.expects.value, network.returns.value
                return Card(task=task.name, network=name, config=config, expects=expects, returns=returns), renamed
    listed = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in list(tensors.items())[:4])
    raise WeightsError(f"no network of photonet has these weights ({listed}, …)", path)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError("no such file", path)
    with path.open("rb") as file:
        reader: Callable[[Path], dict[str, Tensor]] = _read_matlab if file.read(19) == MATLAB_HDF5 else _read_torch
    return reader(path)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"not a torch file of plain tensors ({reason})", path) from error
    if isinstance(content, Mapping) and isinstance(content.get("params"), Mapping):  # KAIR's later files
        content = content["params"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError("holds no state dictionary", path)
    return dict(content)


def _read_matlab(path: Path) -> dict[str, Tensor]:
    """Convolutions of a MatConvNet network, in order: `0.weight`, `0.bias`, `1.weight`, …"""
    try:
        import h5py
    except ImportError as error:
        raise UsageError("h5py is not installed", path, "pip install h5py") from error
    tensors: dict[str, Tensor] = {}
    try:
        with h5py.File(path) as file:
            layers = [file[reference] for reference in np.ravel(file["net"]["layers"][:])]
            convolutions = [layer for layer in layers if _text(layer["type"]) == "conv"]
            for index, layer in enumerate(convolutions):
                weight, bias = (np.array(file[reference], np.float32) for reference in np.ravel(layer["weights"][:]))
                # MatConvNet stores rows, columns, in, out; MATLAB's order reverses that: out, in, columns, rows
                tensors[f"{index}.weight"] = torch.from_numpy(weight.transpose(0, 1, 3, 2).copy())
                tensors[f"{index}.bias"] = torch.from_numpy(bias.ravel().copy())
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"not a MatConvNet network ({error})", path) from error
    return tensors


def _text(dataset: "object") -> str:
    return "".join(map(chr, np.ravel(dataset[:])))  # type: ignore[index]
