"""The command line run inside the test's process, with small random weights in place of the shipped ones."""

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from running import SMALL, Command, Done, picture

from photonet.engine import checkpoint
from photonet.engine.checkpoint import Card
from photonet.tasks import get_task


@pytest.fixture
def photonet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """`photonet("denoise", path, "-o", out)` runs the real `main` and catches what it prints."""
    from photonet_cli.main import main

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
        monkeypatch.setattr(sys, "argv", ["photonet", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
            main()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, out.buffer.getvalue(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Network → a file with small random weights."""
    folder, task, files = tmp_path_factory.mktemp("weights"), get_task("denoise"), {}
    for number, (name, config) in enumerate(SMALL.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            module = task.networks[name].build(config)
        files[name] = folder / f"denoise-{name}.safetensors"
        states = {"expects": task.networks[name].expects.value, "returns": task.networks[name].returns.value}
        card = Card(task="denoise", network=name, config=config, **states)
        checkpoint.save(files[name], card, module.state_dict())
    return files


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch, small_weights: dict[str, Path]) -> None:
    """Small weights are the shipped ones: tests are quick, and independent of what a training made."""
    monkeypatch.setattr(checkpoint, "shipped", lambda: sorted(small_weights.values()))


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, _shipped: None) -> None:
    """A photonet that was installed without weights."""
    monkeypatch.setattr(checkpoint, "shipped", lambda: [])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """One small PNG."""
    return picture(tmp_path / "photo.png")
