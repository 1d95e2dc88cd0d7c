"""Mosaics: phases, noise, training pairs, and what becomes of files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

import photonet
from photonet.camera.mosaic import BAYER, FLIPS_TO_RGGB, XTRANS
from photonet.camera.sensor import ShotRead, add_shot_read
from photonet.color import ColorState
from photonet.engine.device import Device
from photonet.engine.infer import Engine
from photonet.errors import UsageError
from photonet.nets.unet import ResidualUNet
from photonet.photo import Photo, Sensor
from photonet.tasks.denoise import TASK, choose, trials
from photonet.tasks.denoise.options import DenoiseOptions, DenoiseTrials
from photonet.tasks.denoise.raw import noise_in
from photonet.tasks.denoise.raw_networks import RawTraining

FLOAT32 = Device(torch.device("cpu"), torch.float32)
NOISE = (2e-3, 1e-5)


def raw_photo(height: int = 40, width: int = 56, phase: str = "RGGB", noise=NOISE) -> Photo:
    """A mosaic of soft light with noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:height, :width]
    light = 0.3 + 0.2 * np.sin(rows / 9) * np.cos(columns / 7)
    pixels = (light + rng.normal(0, 0.02, light.shape)).astype(np.float32)[..., None]
    sensor = Sensor(BAYER[phase], np.zeros((2, 2)), 1.0, (2.0, 1.0, 1.5), np.eye(3), noise)
    return Photo(pixels, ColorState.MOSAIC, sensor=sensor)


@pytest.fixture
def engine() -> Engine:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = ResidualUNet(1, (8, 8), (1, 1))
    engine = Engine(TASK, FLOAT32, {})
    engine.add("raw-unet", net)
    return engine


@pytest.mark.parametrize("phase", BAYER)
def test_every_phase_is_the_same_to_the_network(engine: Engine, phase: str):
    """A mosaic turned over is denoised as the mosaic is, turned over."""
    plain = raw_photo()
    flips = tuple(axis - 1 for axis in FLIPS_TO_RGGB[phase])  # pixels have a channel behind H and W
    turned = np.ascontiguousarray(np.flip(plain.pixels, flips) if flips else plain.pixels)
    assert plain.sensor is not None
    photo = plain.with_pixels(turned, sensor=replace(plain.sensor, cfa=BAYER[phase]))
    expected = engine.run([plain], DenoiseOptions()).photo.pixels
    result = engine.run([photo], DenoiseOptions()).photo.pixels
    np.testing.assert_allclose(np.flip(result, flips) if flips else result, expected, atol=1e-6)
    assert np.abs(expected - plain.pixels).max() > 1e-3


def test_the_input_decides(engine: Engine):
    mosaic = raw_photo()
    assert mosaic.sensor is not None
    assert choose([mosaic], DenoiseOptions()) == "raw-unet"
    fuji = mosaic.with_pixels(mosaic.pixels, sensor=replace(mosaic.sensor, cfa=XTRANS))
    assert choose([fuji], DenoiseOptions()) == "unet"
    assert choose([Photo(np.zeros((4, 4, 3), np.uint8))], DenoiseOptions()) == "unet"


def test_result_stays_a_mosaic_without_the_old_noise_profile(engine: Engine):
    result = engine.run([raw_photo()], DenoiseOptions(), np.uint16)
    assert result.photo.state == ColorState.MOSAIC
    assert result.photo.pixels.dtype == np.float32
    assert result.photo.sensor is not None
    assert result.photo.sensor.noise is None
    assert result.notes == {"shot": 2e-3, "read": 1e-5, "levels": "from the file"}


def test_noise_is_told_read_or_estimated():
    assert noise_in(raw_photo(), DenoiseOptions(noise=(1e-3, 1e-6)))[1] == "told"
    level, origin = noise_in(raw_photo(), DenoiseOptions())
    assert (level.shot.item(), origin) == (pytest.approx(2e-3), "from the file")
    with pytest.raises(UsageError, match="too small"):
        noise_in(raw_photo(noise=None), DenoiseOptions())


def test_read_noise_that_cannot_be_seen_is_assumed():
    """A bright picture: its estimate is that of cameras with this shot noise, not none."""
    clean = torch.linspace(0.2, 0.8, 400)[:, None].expand(400, 600)[None, None]
    noise = ShotRead(torch.tensor([1e-3]), torch.tensor([4e-6]))
    for seed in range(6):
        noisy = add_shot_read(clean, noise, Generator().manual_seed(seed))[0].permute(1, 2, 0).contiguous().numpy()
        level, origin = noise_in(raw_photo(noise=None).with_pixels(noisy), DenoiseOptions())
        if "assumed" in origin:
            assert 5e-7 < level.read.item() < 4e-5
            return
    pytest.fail("the estimate was sure each time")


def test_integer_mosaics(engine: Engine):
    photo = raw_photo(400, 600, noise=None)
    codes = photo.with_pixels((photo.pixels.clip(0, 1) * 65535).round().astype(np.uint16))
    results = [engine.run([one], DenoiseOptions()).photo.pixels for one in (photo, codes)]
    np.testing.assert_allclose(results[1], results[0], atol=1e-3)


def test_no_network_without_read_noise(engine: Engine):
    """Told none, the networks get the least that they know: below black nothing explodes."""
    result = engine.run([raw_photo()], DenoiseOptions(noise=(2e-3, 0.0)))
    assert result.notes["read"] == 0
    assert np.abs(result.photo.pixels).max() < 2


@pytest.mark.parametrize("shape", [(400, 600), (3000, 3100)])
def test_estimated_noise_is_that_of_the_picture(shape: tuple[int, int]):
    """Of a large picture a part is enough."""
    rows = np.linspace(0.05, 0.7, shape[0], dtype=np.float32)[:, None]
    clean = torch.from_numpy(np.broadcast_to(rows, shape).copy())[None, None]
    noise = ShotRead(torch.tensor([2e-3]), torch.tensor([4e-5]))
    noisy = add_shot_read(clean, noise, Generator().manual_seed(1))[0].permute(1, 2, 0).numpy()
    photo = raw_photo(noise=None).with_pixels(noisy)
    level, origin = noise_in(photo, DenoiseOptions())
    assert origin == "estimated"
    assert level.shot.item() == pytest.approx(2e-3, rel=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"sigma": 10.0}, "--noise"), ({"noise": (2.0, 0.0)}, "between 0 and 1"), ({"noise": "1e-3"}, "noise")],
)
def test_wrong_options(engine: Engine, options: dict, words: str):
    with pytest.raises((UsageError, ValueError), match=words):
        engine.run([raw_photo()], DenoiseOptions(**options))


def test_text_of_the_command_line():
    assert DenoiseOptions(noise="1e-3,2e-6").noise == (1e-3, 2e-6)


def test_training_pair_has_the_noise_that_it_tells():
    """Averaged over the picture, the square of what was added is the variance that was drawn."""
    network = TASK.networks["raw-brooks"]
    batch = {"target": torch.full((4, 3, 128, 128), 0.6)}
    options = RawTraining(shot=(5e-3, 5e-3), underexposed=0, high_iso=0, defects=0, saturates=0, told_error=0)
    pair = network.pair(batch, Generator().manual_seed(2), options)  # type: ignore[misc]
    drawn = (pair["input"] - pair["target"]).square().mean((1, 2, 3))
    told = pair["variance"].mean((1, 2, 3))
    torch.testing.assert_close(drawn, told, rtol=0.08, atol=0)
    assert pair["input"].shape == (4, 1, 64, 64)


def test_high_iso_pair():
    """Rows differ: the mean of a row has more noise than independent sites would leave."""
    network = TASK.networks["raw-brooks"]
    batch = {"target": torch.zeros(6, 3, 256, 256)}
    options = RawTraining(underexposed=0, high_iso=1, defects=0)
    ratios = []
    for seed in range(4):
        pair = network.pair(batch, Generator().manual_seed(seed), options)  # type: ignore[misc]
        noise = pair["input"] - pair["target"]
        ratios.append((noise.mean(3).std(2) * 128**0.5 / noise.std((2, 3))).max().item())
    assert max(ratios) > 1.5


def test_defects_are_single_sites():
    network = TASK.networks["raw-brooks"]
    batch = {"target": torch.full((12, 3, 128, 128), 0.6)}
    options = RawTraining(shot=(3e-5, 4e-5), underexposed=0, high_iso=0, defects=0.02)
    pair = network.pair(batch, Generator().manual_seed(2), options)  # type: ignore[misc]
    share = ((pair["input"] - pair["target"]).abs() > 0.1).double().mean((1, 2, 3))
    assert share.max() < 0.02
    assert 0.1 < (share > 5e-4).double().mean() < 0.7


@pytest.mark.parametrize("told", [True, False])
def test_trials_are_mosaics_with_a_clean_one(told: bool):
    clean = np.random.default_rng(0).random((32, 48, 3), np.float32)
    found = trials(DenoiseTrials(raw=True, told=told), TASK.networks["unet"])
    assert [trial.name for trial in found] == [
        f"{name}{', told' if told else ''}"
        for name in ("low ISO, shot 0.0003", "middle ISO, shot 0.0015", "high ISO, shot 0.008")
    ]
    assert [trial.name for trial in trials(DenoiseTrials(told=told), TASK.networks["raw-unet"])] == [
        trial.name for trial in found
    ]
    errors = []
    for trial in found:
        noisy, target = trial.degrade(clean, 3)
        assert isinstance(noisy, Photo)
        assert isinstance(target, Photo)
        assert noisy.state == target.state == ColorState.MOSAIC
        assert noisy.sensor is not None
        assert (noisy.sensor.noise is not None) == told
        errors.append(float(np.square(noisy.pixels - target.pixels).mean()))
    assert errors == sorted(errors)
    shown = photonet.develop(trials(DenoiseTrials(raw=True), TASK.networks["unet"])[0].degrade(clean, 3)[1])  # type: ignore[arg-type, index]
    assert shown.state == ColorState.SRGB
