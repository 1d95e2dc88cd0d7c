"""The count and the clock of a training's updates."""

import time

import pytest
import torch

from photonet.engine.pace import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last number is what time it is."""
    times = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[-1])
    return times


def test_laps(clock: list[float]):
    """Forward and backward of 8×8 weights for 2 rows, 2 · 2 · 64 twice; the first update and pauses take no time."""
    weight, rows = torch.ones(8, 8, requires_grad=True), torch.ones(2, 8)
    pace = Pace()

    def update() -> torch.Tensor:
        loss = (rows @ weight).sum()
        loss.backward()
        clock.append(clock[-1] + 2)
        return loss.detach()

    for _ in range(4):
        assert pace.run(update).item() == 128
    clock.append(clock[-1] + 10)
    pace.pause(10)
    assert pace.flop == 2 * 2 * 2 * 64
    assert pace.lap() == pytest.approx(3 * pace.flop / 6 / 1e9)
    pace.run(update)
    assert pace.lap() == pytest.approx(pace.flop / 2 / 1e9)
