"""What the tests of the command line share: commands, pictures and networks, all small."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from photonet.color import ColorState
from photonet.io import write
from photonet.photo import Photo, Sensor

SAMPLES = Path(__file__).parents[2] / "samples"
SMALL = {
    "unet": {"widths": (8, 8), "blocks": (1, 1)},
    "raw-unet": {"channels": 1, "widths": (8, 8), "blocks": (1, 1)},
    "noise-level": {"widths": (8, 8, 8)},
    "dncnn-color": {"channels": 3, "depth": 3, "width": 8},
    "dncnn-gray": {"channels": 1, "depth": 3, "width": 8},
}


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def records(self) -> list[Any]:
        """JSON Lines of stdout."""
        return [json.loads(line, parse_constant=_no_constants) for line in self.out.splitlines()]


def _no_constants(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


Command = Callable[..., Done]


def refused(done: Done, code: int, *words: object) -> None:
    """The command failed as it should: its code, a message that names what is wrong, and nothing on stdout."""
    assert done.code == code, done.err
    assert done.stdout == b""
    text = " ".join(done.err.replace("│", " ").split())
    assert [word for word in map(str, words) if word not in text] == [], text
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err


def picture(path: Path, height: int = 40, width: int = 56, seed: int = 0, **options: Any) -> Path:
    """A file with soft waves and some noise; its suffix chooses the format."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 9
    waves = np.stack([np.sin(rows + columns * k) for k in (0.4, 0.7, 1)], axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((128 + 60 * waves + rng.normal(0, 9, waves.shape)).astype(np.uint8)).save(path, **options)
    return path


def wedge(path: Path, cfa: np.ndarray | None = None, noise: tuple[float, float] | None = None) -> Path:
    """A DNG: a gray wedge of 48×32 sites, brighter to the right."""
    filters = np.array([[0, 1], [1, 2]]) if cfa is None else cfa
    sensor = Sensor(
        filters, np.zeros(filters.shape), 1.0, (2.0, 1.0, 1.5), np.linalg.inv(np.eye(3) * 0.9 + 0.03), noise
    )
    light = np.tile(np.linspace(0.02, 0.9, 48, dtype=np.float32), (32, 1))
    gains = 1 / np.array([2.0, 1.0, 1.5], np.float32)[np.tile(filters, (16, 24))[:32, :48]]
    write(Photo((light * gains)[..., None], ColorState.MOSAIC, sensor=sensor), path)
    return path


def pixels(path: Path) -> np.ndarray:
    """What Pillow reads, independently of photonet."""
    with Image.open(path) as image:
        return np.asarray(image)


def start(*arguments: object) -> subprocess.Popen[str]:
    """The installed command in a process of its own, on one thread."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("photonet")), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # a parent in the background hands down an ignored SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
