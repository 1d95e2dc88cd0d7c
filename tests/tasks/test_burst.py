"""Bursts: their frames, their noise, and what they become."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bursts import SHIFTS, burst_of, seen
from PIL import Image
from torch import Generator

from photonet.camera.mosaic import BAYER, mosaic
from photonet.camera.sensor import ShotRead
from photonet.color import ColorState
from photonet.engine.device import Device
from photonet.engine.infer import Engine, Result
from photonet.engine.recipe import make_options
from photonet.errors import InputError, UsageError
from photonet.photo import Metadata, Photo, Sensor
from photonet.tasks.burst import TASK
from photonet.tasks.burst.frames import arrange
from photonet.tasks.burst.networks import STABILIZER
from photonet.tasks.burst.options import BurstOptions, BurstTrials
from photonet.tasks.burst.running import choose
from photonet.tasks.burst.scores import shown
from photonet.tasks.burst.training import deviation
from photonet.tasks.burst.trials import protocol_trial, trials

SENSOR = Sensor(BAYER["GBRG"], np.zeros((2, 2)), 1.0, (2.0, 1.0, 1.5), np.eye(3))


def options(**changes: object) -> BurstOptions:
    made = make_options(TASK.options, changes)
    assert isinstance(made, BurstOptions)
    return made


def merged(photos: list[Photo], **changes: object) -> Result:
    engine = Engine(TASK, Device(torch.device("cpu"), torch.float32), {})
    return engine.run(photos, options(**{"reference": "0", **changes}))


def exif_of(model: str) -> bytes:
    """An EXIF block that names a camera."""
    exif = Image.Exif()
    exif[0x0110] = model
    return exif.tobytes().removeprefix(b"Exif\0\0")


def rms(photo: Photo, clean: np.ndarray) -> float:
    inner = slice(8, -8)
    return float(np.sqrt(np.mean(np.square(photo.pixels[inner, inner] - clean[inner, inner]))))


@pytest.mark.parametrize("method", ["average", "hdrplus"])
@pytest.mark.parametrize("state", [ColorState.SRGB, ColorState.LINEAR])
def test_classical_merges_reduce_noise(scene: np.ndarray, method: str, state: ColorState):
    photos = burst_of(scene, 0.03, state)
    result = merged(photos, method=method)
    assert (result.network, result.photo.state) == (method, state)
    before, after = rms(photos[0], seen(scene, SHIFTS[0])), rms(result.photo, seen(scene, SHIFTS[0]))
    assert after < 0.75 * before


def test_noise_of_display_frames_is_measured(scene: np.ndarray):
    notes = merged(burst_of(scene, 0.03), method="average").notes
    assert notes["levels"] == "estimated"
    assert notes["noise"] == pytest.approx(0.03 * 255, rel=0.2)
    assert merged(burst_of(scene), method="average", sigma=7).notes["noise"] == 7


def test_report_tells_how_the_frames_lie(scene: np.ndarray):
    notes = merged(burst_of(scene), method="average").notes
    assert notes["shifts"] == pytest.approx([4.0, 5.2, 6.1], abs=0.15)
    assert (notes["reference"], notes["frames"]) == ("0.png", 4)


def test_a_frame_of_another_scene_is_left_out(scene: np.ndarray):
    photos = burst_of(scene)
    photos.insert(2, Photo(np.ascontiguousarray(photos[1].pixels[::-1, ::-1]), meta=Metadata(source=Path("other.png"))))
    result = merged(photos, method="average")
    assert result.notes["frames"] == 4
    assert any("other.png" in note and "left out" in note for note in result.photo.meta.notes)
    assert rms(result.photo, seen(scene, SHIFTS[0])) < 0.015
    with pytest.raises(InputError, match="no other frame goes with it: other"):
        merged([photos[0], photos[2]], method="average")


def test_brighter_and_darker_frames_are_left_out(scene: np.ndarray):
    for state in (ColorState.SRGB, ColorState.LINEAR):
        photos = burst_of(scene, state=state)
        photos[2] = photos[2].with_pixels(photos[2].pixels * 0.6)
        result = merged(photos, method="average")
        assert result.notes["frames"] == 3
        assert any("2.png is brighter or darker" in note for note in result.photo.meta.notes)


def test_clipped_parts_tell_nothing_of_the_noise(scene: np.ndarray):
    photos = burst_of(scene, 0.03)
    for photo in photos:
        photo.pixels[:90] = 1
        photo.pixels[90:120] = 0
    assert merged(photos, method="average").notes["noise"] == pytest.approx(0.03 * 255, rel=0.25)


@pytest.mark.parametrize(("gain", "gray"), [(4, True), (8, False), (8, True)])
def test_dark_and_noisy_bursts_are_aligned(scene: np.ndarray, gain: int, gray: bool):
    """The darkest exposure of the protocol."""
    trial = protocol_trial(gain, 4, gray=gray, exposures=(0.1, 0.1))
    burst, _ = trial.degrade(scene, 1)
    assert isinstance(burst, list)
    assert merged(burst, **trial.options, method="average").notes["frames"] == 4


def test_what_a_frame_does_not_show_is_the_references(scene: np.ndarray):
    still = burst_of(scene, 0)[0]
    moved = still.with_pixels(np.roll(still.pixels, 20, 1))
    moved.pixels[:, :20] = 1
    result = merged([still, moved], method="average").photo.pixels
    np.testing.assert_allclose(result[:, -18:], still.pixels[:, -18:], atol=1e-6)


@pytest.mark.parametrize("phase", sorted(BAYER))
def test_mosaics_stay_mosaics(scene: np.ndarray, phase: str):
    """Each color is merged with itself, whatever the filter array begins with."""
    rng = np.random.default_rng(3)
    sensor = replace(SENSOR, cfa=BAYER[phase])
    tinted = scene * np.array([1, 0.5, 0.25], np.float32)
    photos = []
    for shift in SHIFTS:
        color = torch.from_numpy(seen(tinted, shift)).permute(2, 0, 1)[None]
        sites = mosaic(color, sensor.cfa)[0].permute(1, 2, 0).numpy()
        noise = rng.normal(0, 1, sites.shape) * np.sqrt(1e-3 * sites.clip(0) + 1e-6)
        photos.append(Photo((sites + noise).astype(np.float32), ColorState.MOSAIC, sensor=sensor))
    truth = mosaic(torch.from_numpy(seen(tinted, SHIFTS[0])).permute(2, 0, 1)[None], sensor.cfa)
    clean = truth[0].permute(1, 2, 0).numpy()
    for method in ("average", "hdrplus"):
        result = merged(photos, method=method)
        assert result.network == f"raw-{method}"
        assert result.photo.state == ColorState.MOSAIC
        assert np.array_equal(result.photo.sensor.cfa, sensor.cfa)  # type: ignore[union-attr]
        assert rms(result.photo, clean) < 0.8 * rms(photos[0], clean)


def test_noise_of_mosaics_comes_from_the_file(scene: np.ndarray):
    gray = np.ascontiguousarray(scene[:64, :64, :1])
    photos = [Photo(gray, ColorState.MOSAIC, sensor=replace(SENSOR, noise=(2e-3, 1e-5)))] * 2
    notes = merged(photos, method="average").notes
    assert (notes["shot"], notes["read"], notes["levels"]) == (2e-3, 1e-5, "from the file")
    notes = merged(photos, method="average", noise=(1e-3, 1e-6)).notes
    assert (notes["shot"], notes["levels"]) == (1e-3, "told")


def test_told_noise_must_fit_the_pictures(scene: np.ndarray):
    with pytest.raises(UsageError, match="--noise"):
        merged(burst_of(scene), method="average", noise=(1e-3, 1e-6))
    with pytest.raises(UsageError, match="--sigma"):
        merged(burst_of(scene, state=ColorState.LINEAR), method="average", sigma=5)


def test_the_reference(scene: np.ndarray):
    photos = burst_of(scene)
    blurred = photos[0].with_pixels((photos[0].pixels + np.roll(photos[0].pixels, 2, 1)) / 2)
    assert arrange([blurred, *photos[1:]], options())[0] is not blurred
    assert arrange(photos, options(reference="2"))[0] is photos[2]
    assert arrange(photos, options(reference="some/folder/3.png"))[0] is photos[3]
    same = [replace(p, meta=Metadata(source=Path(f"{k}/0.png"))) for k, p in enumerate(photos)]
    assert arrange(same, options(reference="2/0.png"))[0] is same[2]
    for unclear in ("0.png", "²"):
        with pytest.raises(UsageError, match="--reference"):
            arrange(same, options(reference=unclear))
    assert arrange(photos, options(reference="2"))[1:] == [photos[0], photos[1], photos[3]]
    with pytest.raises(UsageError, match="--reference"):
        arrange(photos, options(reference="4"))


def test_an_overexposed_frame_is_no_reference(scene: np.ndarray):
    photos = burst_of(scene)
    photos[1] = photos[1].with_pixels(photos[1].pixels * 1.5)
    assert arrange(photos, options())[0] is not photos[1]
    assert arrange(photos, options(reference=1))[0] is photos[1]


def test_the_sharpest_is_one_of_the_first_three(scene: np.ndarray):
    photos = burst_of(scene)
    soft = [p.with_pixels((p.pixels + np.roll(p.pixels, 2, 1) + np.roll(p.pixels, 2, 0)) / 3) for p in photos[:3]]
    assert arrange([*soft, photos[3]], options())[0] is not photos[3]


def test_frames_that_are_not_alike(scene: np.ndarray):
    photos = burst_of(scene)
    smaller = photos[1].with_pixels(photos[1].pixels[:-2])
    gray = photos[1].with_pixels(photos[1].pixels[..., :1])
    deep = photos[1].with_pixels((photos[1].pixels * 65535).astype(np.uint16))
    for other in (smaller, gray, deep):
        with pytest.raises(InputError, match=r"1[.]png"):
            arrange([photos[0], other], options())
    other = replace(photos[1], meta=replace(photos[1].meta, exif=exif_of("B")))
    with pytest.raises(InputError, match=r"1[.]png.*of a B, and 0[.]png of a A"):
        arrange([replace(photos[0], meta=replace(photos[0].meta, exif=exif_of("A"))), other], options())
    mosaics = [Photo(scene[..., :1], ColorState.MOSAIC, sensor=replace(SENSOR, cfa=BAYER[p])) for p in ("RGGB", "BGGR")]
    with pytest.raises(InputError, match="filter array"):
        arrange(mosaics, options())


def test_choice_of_the_network(scene: np.ndarray):
    color, gray = Photo(scene), Photo(scene[..., :1])
    raw = Photo(scene[..., :1], ColorState.MOSAIC, sensor=SENSOR)
    found = [choose([photo], options(method=method)) for photo in (color, gray) for method in ("fusion", "kpn")]
    assert found == ["fusion", "kpn-small-color", "fusion", "kpn-small-gray"]
    assert choose([raw], options()) == "raw-fusion"
    with pytest.raises(UsageError, match="--method"):
        choose([raw], options(method="kpn"))


def test_map_is_the_deviation_of_the_noise():
    noise = ShotRead(torch.tensor([0.01]), torch.tensor([1e-4]))
    flat = torch.full((1, 3, 200, 200), 0.4)
    noisy = flat + torch.randn(flat.shape, generator=Generator().manual_seed(0)) * (0.01 * 0.4 + 1e-4) ** 0.5
    assert noisy.std() == pytest.approx(deviation(flat, noise).mean().item(), rel=0.02)


@pytest.mark.parametrize("shot", [0.0, 0.01])
def test_stabilizer(shot: float):
    """Noise has the deviation that it says everywhere; white noise leaves values as they are."""
    levels = torch.tensor([shot]), torch.tensor([4e-4])
    values = torch.linspace(0.1, 1, 16).view(1, 16, 1, 1).expand(1, 16, 100, 100)
    noise = torch.randn(values.shape, generator=Generator().manual_seed(0))
    noisy = values + noise * (levels[0] * values + levels[1]).sqrt()
    seen = STABILIZER.enter(noisy, *levels)
    assert seen.std((-2, -1)).flatten().tolist() == pytest.approx([STABILIZER.deviation(*levels).item()] * 16, rel=0.06)
    torch.testing.assert_close(STABILIZER.leave(seen, *levels), noisy, atol=1e-5, rtol=0)
    assert torch.allclose(seen, noisy, atol=1e-6) == (shot == 0)


def test_protocol(scene: np.ndarray):
    """Noise as stated: log10 of the standard deviation of read noise, of the variance of shot noise; shifts differ."""
    trial = protocol_trial(4, frames=5)
    burst, clean = trial.degrade(scene, 3)
    assert isinstance(burst, list)
    assert len(burst) == 5
    noise = burst[0].pixels - clean.pixels
    expected = np.mean(10**-1.8 * clean.pixels.clip(0) + 10 ** (2 * -1.44))
    assert np.var(noise) == pytest.approx(expected, rel=0.03)
    assert trial.options["noise"] == pytest.approx((10**-1.8, 10**-2.88))
    assert trial.view is not None
    again = trial.view(clean, 3)
    assert again.shape == (scene.shape[0] - 16, scene.shape[1] - 16, 3)
    # the exposure is taken out again; 2.2 and the sRGB curve are nearly inverse
    np.testing.assert_allclose(again, scene[8:-8, 8:-8], atol=0.05)


def test_trials(scene: np.ndarray):
    gray, _ = protocol_trial(1, gray=True).degrade(scene, 0)
    assert gray[0].pixels.shape[2] == 1
    foreign, _ = protocol_trial(1, 3, foreign=True).degrade(scene, 0)
    assert len(foreign) == 4
    assert merged(foreign, noise=(0.002, 1e-5), method="average").notes["frames"] == 3
    names = [trial.name for trial in trials(BurstTrials(), TASK.networks["fusion"])]
    assert names == [f"gain {gain}, 8 frames" for gain in (1, 2, 4, 8)]
    for wrong in ("3", "a"):
        with pytest.raises(UsageError, match="--gain"):
            trials(BurstTrials(gain=wrong), TASK.networks["fusion"])


def test_raw_trials(scene: np.ndarray):
    """Mosaics that begin with red, whose noise the files tell."""
    found = trials(BurstTrials(raw=True, frames=3), TASK.networks["fusion"])
    assert [trial.name.split()[0] for trial in found] == ["low", "middle", "high"]
    assert len(trials(BurstTrials(), TASK.networks["raw-fusion"])) == 3
    burst, clean = found[2].degrade(scene, 1)
    assert (len(burst), clean.state) == (3, ColorState.MOSAIC)
    noise = burst[0].pixels - clean.pixels
    assert np.var(noise) == pytest.approx(np.mean(8e-3 * clean.pixels) + burst[0].sensor.noise[1], rel=0.05)
    assert merged(burst, method="average").notes["levels"] == "from the file"


def test_shown_goes_on_straight_above_white():
    values = torch.tensor([0.0, 0.0031308, 1.0, 1.5, 2.0])
    assert shown(values)[:3].tolist() == pytest.approx([0, 0.04045, 1], abs=1e-4)
    assert (shown(values)[4] - shown(values)[3]).item() == pytest.approx(0.5 * 1.055 / 2.4, abs=1e-6)
