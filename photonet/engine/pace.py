"""How fast a training computes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Pace:
    """Counts what an update computes, once, and times the others.

    Args:
        flop: of an update, forward and backward: multiplications and additions of convolutions and matrix products.
        steps: updates in the lap.
        began: when the lap began, by the monotonic clock; it is moved by every pause.
    """

    flop: int = 0
    steps: int = 0
    began: float = field(default_factory=time.monotonic)

    def run(self, update: Callable[[], Tensor]) -> Tensor:
        """The result of an update; the first is counted and belongs to no lap."""
        if self.flop:
            self.steps += 1
            return update()
        with FlopCounterMode(display=False) as counter:
            result = update()
        self.flop, self.began = counter.get_total_flops(), time.monotonic()
        return result

    def pause(self, seconds: float) -> None:
        """What was done in these seconds was no update."""
        self.began += seconds

    def lap(self) -> float:
        """GFLOP/s since the last lap; a new one begins."""
        now = time.monotonic()
        rate = self.flop * self.steps / max(now - self.began, 1e-9) / 1e9
        self.steps, self.began = 0, now
        return rate
