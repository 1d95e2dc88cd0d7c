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
from small import TAKE_RAW, build_small, noise_photo, small_card

import photonet
from photonet.color import SENSOR_STATES
from photonet.engine import checkpoint
from photonet.engine.score import trials_of
from photonet.engine.task import Task
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.photo import Photo
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
        if not network.learned:
            continue
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
def sample(name: str, task: Task, tmp_path: Path) -> Path:
    """The corner of a sample picture, 90×61 pixels; a RAW file for tasks that want one."""
    if name in TAKE_RAW:
        path = tmp_path / "sample.dng"
        photonet.write(noise_photo(name, task.networks[task.default_network], 61, 90), path)
        return path
    path = tmp_path / "sample.png"
    with Image.open(SAMPLE) as image:
        image.crop((40, 40, 130, 101)).save(path)
    return path


@pytest.fixture
def samples(task: Task, sample: Path) -> list[Path]:
    """As many pictures as a job of the task wants at least."""
    return [sample, *copies(sample, task.photos[0] - 1)]


def copies(path: Path, count: int) -> list[Path]:
    """The same picture under other names."""
    made = [path.with_stem(f"{path.stem}-{number}") for number in range(count)]
    for copy in made:
        shutil.copy(path, copy)
    return made


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


def input_of(trial: Trial, clean: np.ndarray, number: int) -> np.ndarray:
    """Pixels of what a trial makes of a clean picture."""
    made = trial.degrade(clean.copy(), number)
    degraded = made[0] if isinstance(made, tuple) else made
    degraded = degraded[0] if isinstance(degraded, list) else degraded
    return degraded.pixels if isinstance(degraded, Photo) else degraded


@every_task
def test_every_trial_spoils_reproducibly(task: Task):
    clean = np.random.default_rng(0).random((56, 64, 3), np.float32)  # blur reaches over a border that it cuts
    trials = trials_of(task, task.trial_options(), task.networks[task.default_network])
    assert trials
    for trial in trials:
        spoiled = input_of(trial, clean, 4)
        assert spoiled.dtype == np.float32
        assert np.isfinite(spoiled).all()
        assert np.array_equal(spoiled, input_of(trial, clean, 4))
        if not np.array_equal(spoiled, clean):  # what spoils nothing shows what a task leaves alone
            assert not np.array_equal(spoiled, input_of(trial, clean, 5))


@every_task
def test_on_a_sample(name: str, run: Run, sample: Path, samples: list[Path], tmp_path: Path):
    assert run(name, *samples, "-o", tmp_path / "out.png", "--precision", "fp32") == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (90, 61)
        result = np.asarray(image)
    if name in TAKE_RAW:
        return  # written from float32, with dither
    assert np.any(result != np.asarray(Image.open(sample)))
    again = photonet.run(name, samples, precision="fp32").pixels  # the same from Python
    assert np.array_equal(result, again)


@every_task
def test_every_network_on_a_sample(name: str, task: Task, run: Run, sample: Path, tmp_path: Path):
    more = task.photos[0] - 1
    for network in task.choices():
        source = sample
        if task.networks[network].expects in SENSOR_STATES:
            source = tmp_path / "raw.dng"
            photonet.write(noise_photo(name, task.networks[network], 61, 90), source, overwrite=True)
        elif task.networks[network].channels == 1:
            source = tmp_path / "gray.png"
            Image.open(sample).convert("L").save(source)
        assert run(name, source, *copies(source, more), "-o", tmp_path / f"{network}.png", "--net", network) == 0
        assert (tmp_path / f"{network}.png").exists()


@every_task
def test_bad_input(name: str, run: Run, sample: Path, samples: list[Path], tmp_path: Path):
    broken = tmp_path / f"broken{sample.suffix}"
    broken.write_bytes(sample.read_bytes()[:900])
    to = ("-o", tmp_path / "out.png")
    assert run(name, tmp_path / "missing.png", *samples[1:], *to) == 3
    assert run(name, broken, *samples[1:], *to) == 3
    assert run(name, *samples, *to, "--no-such-flag") == 2
    assert run(name, *samples, *to, "--net", "no-such-network") == 2
    assert run(name, *samples, *to, "--weights", tmp_path / "missing.safetensors") == 4
    assert run(name, *samples, *to, "--device", "cuda:99") == 5
    assert not (tmp_path / "out.png").exists()


@every_task
def test_unknown_options_in_python(name: str, samples: list[Path]):
    with pytest.raises(UsageError, match="no_such_option"):
        photonet.run(name, samples, no_such_option=1)


@every_task
def test_number_of_photos(name: str, task: Task, run: Run, sample: Path, samples: list[Path], tmp_path: Path):
    fewest, most = task.photos
    photos = [photonet.read(sample)] * (most + 1)
    for count in {fewest - 1, most + 1} - {0}:
        with pytest.raises(UsageError, match=f"not {count}"):
            photonet.run(name, photos[:count])
    if fewest > 1:
        assert run(name, *samples[: fewest - 1], "-o", tmp_path / "out.png") == 2


@every_task
def test_folder(name: str, task: Task, run: Run, sample: Path, tmp_path: Path):
    for number in range(2):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(sample, tmp_path / "in" / f"{number}{sample.suffix}")
    assert run(name, tmp_path / "in", "-o", tmp_path / "out", "--format", "png") == 0
    assert sorted(os.listdir(tmp_path / "out")) == (["0.png", "1.png"] if task.photos[1] == 1 else ["in.png"])
