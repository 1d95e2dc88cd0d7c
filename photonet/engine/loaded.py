"""Networks with their weights, on a device, ready to run."""

import copy
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from photonet.engine.checkpoint import Card
from photonet.engine.device import Device
from photonet.engine.task import Network, Tiling, apply
from photonet.errors import PhotonetError

DIGEST_CHARS = 16  # of the weights, in reports and notes


@dataclass
class Loaded:
    """A network with its weights, on a device.

    Args:
        largest_tile: side of the largest tile that fitted into memory so far.
    """

    name: str
    network: Network
    card: Card
    path: Path | None
    module: nn.Module
    device: Device
    tiling: Tiling
    largest_tile: int = sys.maxsize
    _float32: nn.Module | None = None

    @property
    def weights(self) -> str:
        """The beginning of the weights' digest; empty for a module that came from no file."""
        return self.card.digest[:DIGEST_CHARS]

    def __call__(self, tensors: Sequence[Tensor], call: Callable[..., Tensor] = apply) -> tuple[Tensor, bool]:
        """The output in float32, and whether it had to be run again in float32 because it was not finite."""
        moved = [_to_device(tensor, self.device.device) for tensor in tensors]
        with torch.backends.cudnn.flags(True, allow_tf32=False) if self.network.exact else nullcontext():
            output = call(self.module, *moved).float()
        if output.sum().isfinite():  # one number tells, and costs one pass
            return output, False
        if self._float32 is None:
            self._float32 = copy.deepcopy(self.module).float()
        output = call(self._float32, *moved).float()
        if not output.isfinite().all():
            raise PhotonetError("the network gave values that are not finite", self.name, "are its weights damaged?")
        return output, True


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True, memory_format=torch.channels_last)


def load(
    network: Network, name: str, card: Card, module: nn.Module, device: Device, path: Path | None = None
) -> Loaded:
    """Make a built module ready to run, in place: deployed, in the device's precision, channels last."""
    module = network.deploy(module.eval()).requires_grad_(False)
    tiling = network.tiling(module)
    device = replace(device, dtype=torch.float32) if network.exact else device
    module = module.to(device.device, device.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Loaded(name, network, card, path, module, device, tiling)
