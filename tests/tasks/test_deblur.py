"""Deblurring: what networks learn from, and what they and others are measured on."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Generator, Tensor, nn

from photonet.camera.blur import CLIPPED, centered
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.data import Batch
from photonet.engine.metrics import best_shifted, psnr
from photonet.errors import UsageError
from photonet.nets.multiscale import Discriminator, pyramid
from photonet.photo import Photo
from photonet.tasks.deblur import TASK
from photonet.tasks.deblur.multiscale import MultiScaleTraining, multiscale_loss, player
from photonet.tasks.deblur.options import DeblurTrials
from photonet.tasks.deblur.training import BORDER, DeblurTraining, make_pair, score_with, staged_loss
from photonet.tasks.deblur.trials import UNSHARP_AMOUNT, UNSHARP_RADIUS, kernel_trial, shake_trial, trials, unsharp

INNER = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
trials_module = import_module(kernel_trial.__module__)  # its package has a function of that name
CLEAR = {"shot": (1e-9, 1e-9), "compressed": 0}  # no noise, no JPEG
SLANTED = np.eye(11) + np.eye(11, k=1)  # a stroke of eleven pixels


@pytest.fixture
def crops(scene: np.ndarray) -> Tensor:
    """Four different crops, B 3 H W."""
    places = ((0, 0), (40, 90), (88, 30), (60, 128))
    return torch.stack([torch.from_numpy(scene[y : y + 112, x : x + 112]).permute(2, 0, 1) for y, x in places])


def made(crops: Tensor, seed: int = 0, **options: object) -> Batch:
    return make_pair({"target": crops}, Generator().manual_seed(seed), DeblurTraining.model_validate(options))


def sharpness(pictures: Tensor) -> Tensor:
    """Mean square of the difference of neighbors, of each picture."""
    return pictures.diff(dim=-1).square().mean((1, 2, 3)) + pictures.diff(dim=-2).square().mean((1, 2, 3))


@pytest.mark.parametrize("options", [{"shaken": 1}, {"shaken": 0, "moving": 0}, {"shaken": 0, "moving": 1}])
@pytest.mark.parametrize("compressed", [0, 1])
def test_pair(crops: Tensor, options: dict, compressed: int):
    """The border is cut; both are display values, the input in 8 bits and blurred."""
    pair = made(crops, **options, compressed=compressed, sharp=0, extent=(12, 24), lamps=0)
    assert pair.keys() == {"input", "target"}
    for values in pair.values():
        assert values.shape == (4, 3, 112 - 2 * BORDER, 112 - 2 * BORDER)
        assert 0 <= values.min() <= values.max() <= 1
    codes = pair["input"] * 255
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    if options.get("moving") != 1:  # else the target shows a thing of another picture
        torch.testing.assert_close(pair["target"], crops[INNER], rtol=0, atol=2e-6)
        assert (sharpness(pair["input"]) < 0.8 * sharpness(pair["target"])).all()


@pytest.mark.parametrize(("moving", "lamps"), [(0, 0), (0, 1), (1, 0.5)])
def test_sharp_pairs(crops: Tensor, moving: int, lamps: float):
    """Not blurred at all: up to rounding the input is the target, lamps and things in front included."""
    pair = made(crops, shaken=0, sharp=1, moving=moving, lamps=lamps, **CLEAR)
    torch.testing.assert_close(pair["input"], pair["target"], rtol=0, atol=0.7 / 255)
    assert torch.allclose(pair["target"], crops[INNER], atol=2e-6) == (not moving and not lamps)
    if not moving:
        assert (pair["target"] > crops[INNER] - 2e-6).all()  # lamps are brighter than they were shown


def test_noise_and_jpeg(crops: Tensor):
    """Of sharp pairs they are all that differs."""
    errors = {}
    for name, options in {
        "clear": CLEAR,
        "noise": {**CLEAR, "shot": (4e-4, 4e-4)},
        "jpeg": {**CLEAR, "compressed": 1, "quality": (60, 60)},
    }.items():
        pair = made(crops, shaken=0, sharp=1, moving=0, lamps=0, **options)
        errors[name] = (pair["input"] - pair["target"]).square().mean().sqrt().item() * 255
    assert errors["clear"] < 0.01  # of crops in 8 bits rounding leaves nothing
    assert 1.5 < errors["noise"] < 6
    assert 1.5 < errors["jpeg"] < 12


def test_blurred_films_are_recorded_as_all_else(scene: np.ndarray):
    """With the sensor's noise and JPEG, but no further blur, and whole."""
    flat = torch.full((4, 3, 96, 80), 0.5)
    batch = {"blurred": flat, "target": flat.flip(0)}
    options = DeblurTraining.model_validate({"shot": (1e-3, 1e-3), "compressed": 0})
    pair = make_pair(dict(batch), Generator().manual_seed(0), options)
    assert pair.keys() == {"input", "target"}
    assert pair["target"] is batch["target"]
    noise = srgb_decode(pair["input"]) - srgb_decode(flat)
    expected = (1e-3 * srgb_decode(torch.tensor(0.5))).sqrt().item()
    assert noise.std().item() == pytest.approx(expected, rel=0.1)
    clear = make_pair(dict(batch), Generator(), DeblurTraining.model_validate(CLEAR))["input"]
    torch.testing.assert_close(clear, flat, rtol=0, atol=0.6 / 255)


def test_moving_things_are_of_other_pictures():
    """What moves over the one picture is a piece of the other."""
    pictures = torch.zeros(2, 3, 160, 160)
    pictures[1] = 1
    pair = made(pictures, shaken=0, moving=1, sharp=0, defocused=0, extent=(4, 8), lamps=0, **CLEAR)
    dark, bright = pair["target"]
    assert 0.05 < dark.mean() < 0.6
    assert 0.4 < bright.mean() < 0.95


@pytest.mark.parametrize("options", [{"shaken": 1}, {"shaken": 0, "moving": 0.5}])
def test_pairs_follow_from_their_generator(crops: Tensor, options: dict):
    first, again, other = (made(crops, seed, **options) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["input"], other["input"])


def test_out_of_focus(crops: Tensor):
    """A circle blurs every direction alike; a path does not."""
    options = {"shaken": 0, "moving": 0, "sharp": 0, "radius": (4, 4), "lamps": 0, **CLEAR}
    dots = torch.zeros(4, 3, 97, 97)
    dots[..., 48, 48] = 1
    for share, round_ in ((1, True), (0, False)):
        spots = made(dots, **options, defocused=share)["input"][:, 0]
        assert torch.allclose(spots, spots.transpose(1, 2), atol=2 / 255) == round_


def test_own_pairs_stay(crops: Tensor):
    batch = {"input": crops, "target": crops.flip(0)}
    result = make_pair(dict(batch), Generator(), DeblurTraining())
    assert result.keys() == batch.keys()
    assert all(result[name] is batch[name] for name in batch)


def test_crops_without_a_middle(crops: Tensor):
    with pytest.raises(UsageError, match="48 pixels are too small"):
        made(crops[..., :48])


class Constant(nn.Module):
    """The results that it was given, coarsest first."""

    def __init__(self, *results: Tensor) -> None:
        super().__init__()
        self.results = results

    def forward(self, picture: Tensor, all_scales: bool = False) -> Tensor | list[Tensor]:
        return list(self.results) if all_scales else self.results[-1]


def test_multiscale_loss(crops: Tensor):
    """Absolute errors of 0.1, 0.2 and 0.3, summed; a player sees the finest."""
    fine, middle, coarse = pyramid(crops)
    net = Constant(coarse + 0.1, middle - 0.2, fine + 0.3)
    terms = multiscale_loss(net, {"input": crops, "target": crops}, 0.5)
    assert terms["loss"].item() == pytest.approx(0.6, rel=1e-5)
    assert terms["finest"].item() == pytest.approx(0.3, rel=1e-5)
    assert torch.equal(terms["output"], net.results[-1])


def test_staged_loss_and_score():
    target = torch.full((2, 3, 8, 8), 0.5)
    after = torch.tensor([-0.1, 0.03]).view(2, 1, 1, 1)
    net, batch = Constant(target + after), {"input": target, "target": target}
    net.results[-1][1, :, ::2] += 0.06  # half of the second picture
    mean = (0.1 + (0.03 + 0.09) / 2) / 2 * 255
    light = srgb_encode(srgb_decode(torch.tensor([0.53, 0.59])).mean()).item() - 0.5  # of the second picture
    local = (0.1 + light) / 2 * 255
    first, last = (staged_loss(net.results[-1], target, progress) for progress in (0.0, 1.0))
    assert first["local"].item() == pytest.approx(local, rel=1e-4)
    assert first["loss"].item() == pytest.approx(mean + local, rel=1e-4)
    expected = (0.1 + ((0.03**2 + 0.09**2) / 2) ** 0.5) / 2 * 255
    assert last["loss"].item() == pytest.approx(expected + local, rel=1e-3)
    assert score_with()(net, batch).item() == pytest.approx(-20 * np.log10(expected / 255), abs=0.01)


def test_player():
    assert player(MultiScaleTraining()) is None
    found = player(MultiScaleTraining(adversarial=1e-4))
    assert found is not None
    assert found.weight == 1e-4
    assert isinstance(found.build(), Discriminator)


def test_trials_by_extent(scene: np.ndarray):
    """All of one size, deterministic, each picture with a path of its own; the more shaken, the less is left."""
    found = trials(DeblurTrials(extent="0, 5,25"), TASK.networks["unet"])
    assert [trial.name for trial in found] == ["sharp, against itself", "shake 5 px", "shake 25 px"]
    assert found[0].degrade(scene, 3) is scene
    left = []
    for trial in found[1:]:
        blurred, sharp = trial.degrade(scene, 3)
        assert blurred.shape == sharp.shape == (200 - 2 * BORDER, 240 - 2 * BORDER, 3)
        assert blurred.dtype == sharp.dtype == np.float32
        inner = scene[BORDER:-BORDER, BORDER:-BORDER]
        dark = inner.mean(2) < CLIPPED  # highlights are brighter than the display shows
        np.testing.assert_allclose(sharp[dark], inner[dark], atol=1e-5)
        assert (sharp >= inner - 1e-5).all()
        assert np.array_equal(blurred, trial.degrade(scene, 3)[0])
        assert not np.array_equal(blurred, trial.degrade(scene, 4)[0])
        left.append(psnr(blurred, sharp))
        assert (trial.slack, trial.rivals) == (0, {})
    assert left[0] > left[1] + 3
    assert left[1] < 25


def test_trial_noise():
    """Of a flat gray: the sensor's noise, at the slope of the display's curve there, and rounding."""
    blurred, _ = shake_trial(5).degrade(np.full((148, 148, 3), 0.5, np.float32), 0)
    light = ((0.5 + 0.055) / 1.055) ** 2.4
    slope = (0.5 + 0.055) / (2.4 * light)
    expected = np.sqrt((1e-4 * light) * slope**2 + 1 / 12 / 255**2)
    assert blurred.std() == pytest.approx(expected, rel=0.03)
    assert blurred.mean() == pytest.approx(0.5, abs=1e-3)


def test_sharp_pictures_are_saved_too(scene: np.ndarray):
    """Quality holds for pictures without blur as well."""
    (plain,), (packed,) = (
        trials(DeblurTrials(extent="0", quality=quality), TASK.networks["unet"]) for quality in (100, 60)
    )
    assert packed.name == "sharp, against itself, quality 60"
    assert np.array_equal(plain.degrade(scene, 0), scene)
    assert 1 / 255 < np.abs(packed.degrade(scene, 0) - scene).mean() < 10 / 255


def test_trials_with_jpeg(scene: np.ndarray):
    plain, packed = (shake_trial(5, quality) for quality in (100, 70))
    assert packed.name == "shake 5 px, quality 70"
    (first, _), (second, sharp) = (trial.degrade(scene, 0) for trial in (plain, packed))
    assert first.shape == second.shape == sharp.shape == (152, 192, 3)
    assert 0.003 < np.sqrt(np.square(first - second).mean()) < 0.03


@pytest.mark.parametrize(
    ("extent", "what"), [("5,x", "no list of numbers"), ("", "no list")] + [(e, "range") for e in ("-1", "47", "nan")]
)
def test_error_of_extents(extent: str, what: str):
    with pytest.raises(UsageError, match=f"--extent: .*{what}"):
        trials(DeblurTrials(extent=extent), TASK.networks["unet"])


def test_error_kernels_and_extents(tmp_path: Path):
    with pytest.raises(UsageError, match="--extent: measured kernels have extents of their own"):
        trials(DeblurTrials(extent="5", kernels=tmp_path), TASK.networks["unet"])


def test_error_of_small_pictures():
    small = np.zeros((49, 2 * BORDER, 3), np.float32)
    for trial in (shake_trial(5), kernel_trial(1, np.ones((1, 49)))):
        with pytest.raises(UsageError, match="48×49 is too small for this blur"):
            trial.degrade(small, 0)


def test_trials_by_kernel(scene: np.ndarray, tmp_path: Path):
    """Every kernel is a trial, wherever in its file it lies; what cannot be told where it is may be shifted."""
    for name, shift in (("a", 0), ("b", 3)):
        picture = np.zeros((15, 15), np.uint8)
        picture[shift : shift + 11, :11] = SLANTED[:, :11] * 90
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    found = trials(DeblurTrials(kernels=tmp_path, quality=90), TASK.networks["unet"])
    assert [trial.name for trial in found] == ["kernel 1, quality 90", "kernel 2, quality 90"]
    assert {trial.slack for trial in found} == {4}
    first, second = (trial.degrade(scene, 0)[0] for trial in found)
    middle = [picture.shape[0] // 2 for picture in (first, second)], [p.shape[1] // 2 for p in (first, second)]
    ones, others = ((slice(y - 40, y + 40), slice(x - 40, x + 40)) for y, x in zip(*middle, strict=True))
    apart = [np.abs(first[ones] - np.roll(second, moved, 1)[others]).mean() for moved in (0, 1, -1)]
    assert 2 * apart[0] < min(apart[1:])


KERNELS = pytest.mark.parametrize("kernel", [SLANTED, np.ones((1, 9)), np.eye(7)[:, ::-1] + np.eye(7)[3]])


@KERNELS
@pytest.mark.parametrize(("name", "least"), [("Wiener, true kernel", 0.1), ("Richardson-Lucy, true kernel", 3)])
def test_deconvolutions_of_a_trial(scene: np.ndarray, kernel: np.ndarray, name: str, least: float):
    """Told the kernel they give some of it back, and leave the picture where it is: the kernel is centered."""
    trial = kernel_trial(1, kernel)
    blurred, sharp = trial.degrade(scene * np.float32(0.85), 0)
    result = trial.rivals[name](Photo(blurred)).pixels
    assert result.shape == sharp.shape
    assert result.dtype == np.float32
    before, after = (psnr(*best_shifted(picture, sharp, trial.slack)) for picture in (blurred, result))
    assert after > before + least
    assert psnr(result[4:-4, 4:-4], sharp[4:-4, 4:-4]) == pytest.approx(after, abs=0.01)


@KERNELS
@pytest.mark.parametrize("name", trials_module.DECONVOLUTIONS)
def test_deconvolutions(scene: np.ndarray, monkeypatch: pytest.MonkeyPatch, kernel: np.ndarray, name: str):
    """Of light without noise, and without borders that somebody had to make up, they give much of it back."""
    monkeypatch.setattr(trials_module, "WIENER_BALANCE", 1e-3)  # the usual one expects noise
    known = centered(torch.from_numpy(kernel))
    light = scene[..., 1].astype(np.float64) ** 2.2
    blurred = ndimage.convolve(light, known.numpy(), mode="wrap")
    result = trials_module.DECONVOLUTIONS[name](blurred, known.numpy())
    before, after = (psnr(picture[20:-20, 20:-20], light[20:-20, 20:-20]) for picture in (blurred, result))
    assert after > before + 3


def test_unsharp(scene: np.ndarray):
    """Each channel by itself, and clipped as scikit-image does."""
    result = unsharp(scene, scene)
    for channel in range(3):
        plane = scene[..., channel]
        blurred = ndimage.gaussian_filter(plane, UNSHARP_RADIUS, mode="reflect")
        np.testing.assert_allclose(
            result[..., channel], (plane + UNSHARP_AMOUNT * (plane - blurred)).clip(0, 1), atol=1e-5
        )
    assert result.dtype == np.float32
