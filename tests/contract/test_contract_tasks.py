"""What every task must be able to do on the command line, and in Python."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from small import build_small, noise_photo, small_card

import photonet
from photonet.color import SENSOR_STATES
from photonet.engine import checkpoint
from photonet.engine.score import trials_of
from photonet.engine.task import Task
from photonet.errors import UsageError
from photonet.tasks import CATALOG, get_task
from photonet_cli.main import main

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut-noisy.png"
Run = Callable[..., int]

every_task = pytest.mark.parametrize("name", CATALOG)


@pytest.fixture
def task(name: str) -> Task:
    return get_task(name)


@pytest.fixture(autouse=True)
def _small_weights(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random weights for every network of the task, in place of the shipped ones."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, network in task.networks.items():
        card = small_card(task.name, name)
        checkpoint.save(folder / f"{task.weights_name(name)}.safetensors", card, build_small(network).state_dict())
    monkeypatch.setattr(checkpoint, "shipped", lambda: sorted(folder.glob("*.safetensors")))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("denoise", …)` gives the exit code."""

    def command(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["photonet", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    return command


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The corner of a sample picture: 90×61 pixels."""
    path = tmp_path / "sample.png"
    with Image.open(SAMPLE) as image:
        image.crop((40, 40, 130, 101)).save(path)
    return path


@every_task
def test_definition(name: str, task: Task):
    assert task.name == name
    assert task.summary == CATALOG[name].summary
    assert task.default_network in task.choices()
    assert all(network.summary for network in task.networks.values())


@every_task
def test_options_refuse_unknown_fields(task: Task):
    for model in (task.options, task.trial_options, *(network.training for network in task.networks.values())):
        assert model() == model.model_validate({})
        with pytest.raises(ValidationError, match="no_such_field"):
            model.model_validate({"no_such_field": 1})


@every_task
def test_options_have_words_for_help(task: Task):
    for model in (task.options, task.trial_options):
        assert [field for field, info in model.model_fields.items() if not info.description] == []


@every_task
def test_every_trial_spoils_reproducibly(task: Task):
    clean = np.random.default_rng(0).random((32, 48, 3), np.float32)
    trials = trials_of(task, task.trial_options(), task.networks[task.default_network])
    assert trials
    for trial in trials:
        spoiled = trial.degrade(clean.copy(), 4)
        assert spoiled.dtype == np.float32
        assert np.isfinite(spoiled).all()
        assert np.array_equal(spoiled, trial.degrade(clean.copy(), 4))
        assert not np.array_equal(spoiled, trial.degrade(clean.copy(), 5))


@every_task
def test_on_a_sample(name: str, run: Run, sample: Path, tmp_path: Path):
    assert run(name, sample, "-o", tmp_path / "out.png", "--precision", "fp32") == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (90, 61)
        result = np.asarray(image)
    assert np.any(result != np.asarray(Image.open(sample)))
    again = photonet.run(name, sample, precision="fp32").pixels  # the same from Python
    assert np.array_equal(result, again)


@every_task
def test_every_network_on_a_sample(name: str, task: Task, run: Run, sample: Path, tmp_path: Path):
    Image.open(sample).convert("L").save(tmp_path / "gray.png")
    for network in task.choices():
        if task.networks[network].expects in SENSOR_STATES:
            source = tmp_path / "raw.dng"
            photonet.write(noise_photo(task.networks[network], 61, 90), source, overwrite=True)
        else:
            source = sample if task.networks[network].channels == 3 else tmp_path / "gray.png"
        assert run(name, source, "-o", tmp_path / f"{network}.png", "--net", network) == 0
        assert (tmp_path / f"{network}.png").exists()


@every_task
def test_bad_input(name: str, run: Run, sample: Path, tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(sample.read_bytes()[:900])
    assert run(name, tmp_path / "missing.png", "-o", tmp_path / "out.png") == 3
    assert run(name, broken, "-o", tmp_path / "out.png") == 3
    assert run(name, sample, "-o", tmp_path / "out.png", "--no-such-flag") == 2
    assert run(name, sample, "-o", tmp_path / "out.png", "--net", "no-such-network") == 2
    assert run(name, sample, "-o", tmp_path / "out.png", "--weights", tmp_path / "missing.safetensors") == 4
    assert run(name, sample, "-o", tmp_path / "out.png", "--device", "cuda:99") == 5
    assert not (tmp_path / "out.png").exists()


@every_task
def test_unknown_options_in_python(name: str, sample: Path):
    with pytest.raises(UsageError, match="no_such_option"):
        photonet.run(name, sample, no_such_option=1)


@every_task
def test_folder(name: str, run: Run, sample: Path, tmp_path: Path):
    for number in range(2):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(sample, tmp_path / "in" / f"{number}.png")
    assert run(name, tmp_path / "in", "-o", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "1.png"]
