"""The denoiser's training pairs, its options, and what it asks of its networks."""

import numpy as np
import pytest
import torch
from torch import nn

from photonet.engine.task import Window
from photonet.errors import UsageError
from photonet.photo import Photo
from photonet.tasks.denoise import TASK, trials
from photonet.tasks.denoise.display import (
    MAP_ERROR,
    STRONGEST,
    DenoiseTraining,
    DnCNNTraining,
    add_noise,
    dncnn_loss,
    dncnn_pair,
    judge,
)
from photonet.tasks.denoise.options import DenoiseOptions, DenoiseTrials


class FixedRunner:
    """Gives a gray picture, and an estimate that is sure of one level."""

    def __init__(self, network: str = "unet", level: float = 0.1) -> None:
        self.network, self.level, self.asked = network, level, []

    def picture(self, photo: Photo, network: str):
        return lambda window: torch.zeros(1, 3, window.height, window.width)

    def map(self, network: str, photo: Photo) -> torch.Tensor:
        self.asked.append(network)
        log_level = torch.full((1, 1, 2, 2), self.level + 0.5 / 255).log()
        return torch.cat([log_level, torch.full((1, 1, 2, 2), -4.0)], 1)


@pytest.fixture
def photo() -> Photo:
    return Photo(np.zeros((32, 32, 3), np.uint8))


def white_only(**changes) -> DenoiseTraining:
    return DenoiseTraining(camera=0, gray=0, **changes)


@pytest.mark.parametrize(("error", "expected"), [("squared", (0.1**2 + 0.2**2) / 4), ("rms", 0.15)])
def test_dncnn_loss(error: str, expected: float):
    """Of two pictures that are wrong by 0.1 and 0.2 everywhere."""
    clean = torch.full((2, 3, 16, 16), 0.5)
    pair = dncnn_pair({"target": clean}, torch.Generator(), DnCNNTraining(camera=0, gray=0, error=error))
    wrong = {**pair, "input": clean + torch.tensor([0.1, -0.2]).view(2, 1, 1, 1)}
    assert dncnn_loss(nn.Identity(), wrong, 0.0)["loss"].item() == pytest.approx(expected, rel=1e-3)


def test_white_noise_has_the_level_that_was_drawn(generator):
    target = torch.full((8, 3, 64, 64), 0.5)
    batch = add_noise({"target": target}, generator, white_only(sigma=(25, 25)))
    assert (batch["input"] - batch["target"]).std().item() * 255 == pytest.approx(25, rel=0.02)
    assert batch["level"].mean().item() * 255 == pytest.approx(25, rel=0.02)
    assert torch.equal(batch["target"], target)


def test_skew_makes_weak_noise_more_frequent(generator):
    """With an exponent of 2 the mean of the levels is a third of the highest, not a half."""
    target = torch.full((256, 1, 16, 16), 0.5)
    batch = add_noise({"target": target}, generator, white_only(sigma=(0, 60), skew=2))
    assert batch["level"].mean().item() * 255 == pytest.approx(20, rel=0.15)


def test_map_is_wrong_by_no_more_than_it_should(generator):
    batch = add_noise({"target": torch.full((16, 3, 64, 64), 0.5)}, generator, white_only(sigma=(30, 30)))
    ratio = batch["noise_map"].mean((1, 2, 3)) / batch["level"].mean((1, 2, 3))
    assert ((ratio - 1).abs() <= MAP_ERROR + 0.01).all()
    assert ratio.std() > 0.03


def test_own_pairs_keep_their_noise(generator):
    pair = {"input": torch.rand(2, 3, 32, 32), "target": torch.rand(2, 3, 32, 32)}
    batch = add_noise(pair, generator, DenoiseTraining())
    assert torch.equal(batch["input"], pair["input"])
    assert torch.equal(batch["target"], pair["target"])


def test_gray_pictures_have_gray_noise(generator):
    batch = add_noise({"target": torch.rand(4, 3, 32, 32)}, generator, DenoiseTraining(gray=1))
    for name in ("input", "target"):
        assert torch.equal(batch[name], batch[name][:, :1].expand(-1, 3, -1, -1))


def test_blocks_of_cropped_files_begin_anywhere(generator):
    """The steps between blocks, which compression makes, lie on multiples of 8 unless the file was cropped."""
    rows, columns = np.mgrid[:128, :128] / 20
    target = torch.from_numpy(0.5 + 0.3 * np.sin(rows) * np.sin(columns)).float().expand(4, 3, 128, 128)

    def offset(cropped: float) -> int:
        options = DenoiseTraining(camera=1, gray=0, grain=(0.01, 0.02), blur=(0, 0), cropped=cropped)
        noise = (pair := add_noise({"target": target}, generator, options))["input"] - pair["target"]
        assert noise.abs().max() < 0.05  # both have moved
        steps = noise.diff(dim=-1).square().mean((0, 1, 2))
        return int(torch.stack([steps[start::8].mean() for start in range(8)]).argmax())

    assert [offset(0) for _ in range(3)] == [7] * 3
    assert {offset(1) for _ in range(9)} - {7}


def test_level_of_the_user(photo):
    runner = FixedRunner()
    prepared = TASK.prepare([photo], DenoiseOptions(sigma=51), runner)
    _, noise_map = prepared.inputs(Window(0, 0, 16, 32))
    assert noise_map.shape == (1, 1, 16, 32)
    assert noise_map.unique().tolist() == pytest.approx([0.2])
    assert prepared.notes == {"noise": 51.0}
    assert runner.asked == []


def test_estimated_level(photo):
    runner = FixedRunner(level=0.1)
    prepared = TASK.prepare([photo], DenoiseOptions(), runner)
    assert prepared.notes == {"noise": pytest.approx(25.5, abs=0.05)}
    assert runner.asked == ["noise-level"]


def test_error_level_for_a_blind_network(photo):
    with pytest.raises(UsageError, match="blind"):
        TASK.prepare([photo], DenoiseOptions(sigma=5), FixedRunner("dncnn-color"))


@pytest.mark.parametrize("sigma", [-1, 256, "much"])
def test_error_sigma(sigma):
    with pytest.raises(ValueError, match="sigma"):
        DenoiseOptions(sigma=sigma)


def test_trials_by_name():
    names = [trial.name for trial in trials(DenoiseTrials(sigma="15, 25", camera=True), TASK.networks["unet"])]
    assert names == ["sigma 15", "sigma 25", "camera weak", "camera middle", "camera strong"]
    told = trials(DenoiseTrials(sigma="15", told=True), TASK.networks["unet"])
    assert [(trial.name, trial.options) for trial in told] == [("sigma 15, told", {"sigma": 15.0})]
    with pytest.raises(UsageError, match="numbers"):
        trials(DenoiseTrials(sigma="15;25"), TASK.networks["unet"])


def test_white_trial_follows_its_protocol():
    """Unclipped Gaussian noise, channels first, torch seed = number of the picture."""
    clean = np.full((5, 7, 3), 0.5, np.float32)
    noise = torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(3)) * 25 / 255
    expected = clean + noise[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(
        trials(DenoiseTrials(sigma="25"), TASK.networks["unet"])[0].degrade(clean, 3), expected, atol=1e-6
    )


def test_judge():
    clean = np.zeros((8, 8, 3), np.float32)
    noisy = clean + 10 / 255
    assert judge({"noise": 10.9}, noisy, clean) == {"noise within 10 %": 1, "within 25 %": 1, "within 1": 1}
    assert judge({"noise": 12}, noisy, clean) == {"noise within 10 %": 0, "within 25 %": 1, "within 1": 0}
    assert judge({}, noisy, clean) == {}


def test_more_noise_than_the_network_knows(photo):
    """Told a level of 255, it would paint green lines."""
    prepared = TASK.prepare([photo], DenoiseOptions(sigma=255), FixedRunner())
    _, noise_map = prepared.inputs(Window(0, 0, 16, 16))
    assert noise_map.max().item() == pytest.approx(STRONGEST)
    assert prepared.notes == {"noise": 255.0, "taken for": 95}
