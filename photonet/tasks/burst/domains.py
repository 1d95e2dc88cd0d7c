"""In which values networks see the frames of a burst."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from photonet.camera.sensor import ShotRead, stabilize, stabilized_deviation, unstabilize, variance


class Domain(NamedTuple):
    """What a network sees of linear values B C H W, whose noise is known.

    Args:
        enter: values and their noise → what the network sees.
        map: values of the reference and their noise → standard deviation of what it sees, B 1 H W.
        leave: the network's output and the noise → linear values.
    """

    enter: Callable[[Tensor, ShotRead], Tensor]
    map: Callable[[Tensor, ShotRead], Tensor]
    leave: Callable[[Tensor, ShotRead], Tensor]


LINEAR = Domain(
    enter=lambda values, noise: values,
    map=lambda reference, noise: variance(reference, noise).mean(1, keepdim=True).sqrt(),
    leave=lambda values, noise: values,
)
STABILIZED = Domain(
    enter=stabilize,
    map=lambda reference, noise: stabilized_deviation(noise).view(-1, 1, 1, 1).expand_as(reference[:, :1]),
    leave=unstabilize,
)
