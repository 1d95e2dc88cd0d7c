"""The invertible ISP: its pairs, its trials, and that its inverse is one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from photonet.camera.process import base_curve
from photonet.color import ColorState, srgb_decode
from photonet.engine.develop import PLAIN, develop
from photonet.engine.device import Device
from photonet.engine.infer import Engine
from photonet.errors import InputError, UsageError
from photonet.io import encode, read_bytes, read_note, with_note
from photonet.nets.invertible import InvertibleIsp
from photonet.photo import Photo
from photonet.tasks.isp import TASK
from photonet.tasks.isp.flow import best_whites, white_of
from photonet.tasks.isp.options import IspOptions, IspTraining, IspTrials
from photonet.tasks.isp.training import make_pair, two_way_loss
from photonet.tasks.isp.trials import balanced_view, camera_photo, trials, undone_by_formula


@pytest.fixture
def clean() -> np.ndarray:
    """Soft colors, none of them at the ends."""
    rows, columns = np.mgrid[:32, :48] / 9
    return (0.5 + 0.3 * np.stack([np.sin(rows + columns * k) for k in (0.4, 0.7, 1)], 2)).astype(np.float32)


@pytest.fixture
def engine() -> Engine:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = InvertibleIsp(3, 6, 2)
    engine = Engine(TASK, Device(torch.device("cpu"), torch.bfloat16), {})
    engine.add("squeezed", net)
    return engine


def test_inverse_is_exact_without_jpeg(engine: Engine, clean: np.ndarray):
    """In float32, although the device computes in bf16."""
    photo = camera_photo(clean, 1, 0)
    rendered = engine.run([photo], IspOptions()).photo
    assert (rendered.state, rendered.sensor, rendered.pixels.dtype) == (ColorState.SRGB, None, np.float32)
    back = engine.run([rendered], IspOptions(inverse=True)).photo
    assert back.state == ColorState.CAMERA
    assert np.abs(back.pixels - photo.pixels).max() < 1e-4


def test_inverse_of_a_jpeg(engine: Engine, clean: np.ndarray):
    """Whose 8 bits become the float32 of a sensor."""
    photo = camera_photo(clean, 1, 0)
    shown = read_bytes(encode(engine.run([photo], IspOptions()).photo, "jpeg", quality=100))
    back = engine.run([shown], IspOptions(inverse=True)).photo
    assert back.pixels.dtype == np.float32
    assert np.abs(back.pixels - photo.pixels).mean() < 5e-3
    assert back.pixels.max() <= 1


@pytest.mark.parametrize(
    "damage",
    [
        {"white_balance": [0, 1, 1]},
        {"white_balance": [float("nan"), 1, 1]},
        {"xyz_to_camera": [[1, 0], [0, 1]]},
        {"xyz_to_camera": [[0, 0, 0]] * 3},
        {"cfa": [[7, 8], [9, 9]]},
        {"cfa": [0, 1]},
        {"cfa": []},
    ],
    ids=str,
)
def test_error_damaged_sensor(engine: Engine, clean: np.ndarray, damage: dict):
    shown = read_bytes(encode(engine.run([camera_photo(clean, 1, 0)], IspOptions()).photo, "jpeg", quality=90))
    note = read_note(shown.meta.xmp)
    changed = {**note, "Sensor": json.dumps({**json.loads(note["Sensor"]), **damage})}
    photo = replace(shown, meta=replace(shown.meta, xmp=with_note(None, changed)))
    with pytest.raises(InputError, match="note on the sensor is damaged"):
        engine.run([photo], IspOptions(inverse=True))


def test_pair_is_the_development_of_its_input():
    display = torch.rand(3, 3, 32, 32, generator=Generator().manual_seed(1))
    pair = make_pair({"target": display}, Generator().manual_seed(2), IspTraining())
    assert pair["target"].min() >= 0
    assert pair["target"].max() <= 1
    assert pair["input"].max() > 1.02  # highlights beyond white, which the rendering clips
    assert ((pair["quality"] >= 75) & (pair["quality"] <= 96)).all()
    dark = srgb_decode(pair["input"]).amax(1, keepdim=True).expand(-1, 3, -1, -1) < 0.5  # no color is clipped there
    assert dark.sum() > 100
    torch.testing.assert_close(pair["target"][dark], base_curve(pair["input"])[dark], atol=1e-5, rtol=0)


def test_camera_photo_develops_to_what_it_came_from(clean: np.ndarray):
    photo = camera_photo(clean, 3, 0)
    shown = develop(photo, PLAIN, np.float32).pixels
    np.testing.assert_allclose(shown, clean, atol=2e-3)


@pytest.mark.parametrize(("share", "lowest", "highest"), [(0.0, 1.0, 1.0), (0.0001, 1.0, 1.1), (0.3, 1.25, 1.5)])
def test_white_makes_room_for_highlights(clean: np.ndarray, share: float, lowest: float, highest: float):
    """Where there are some: a few bright pixels do not cost all others their precision."""
    pixels = np.tile(clean * 1.15, (4, 4, 1))
    pixels.reshape(-1, 3)[: int(share * pixels.size / 3)] = 1.5
    assert lowest <= white_of(Photo(pixels)) <= highest


def test_clipped_share(clean: np.ndarray):
    shown = develop(camera_photo(clean, 3, 0.3), PLAIN, np.float32).pixels
    assert 0.15 < (shown.max(2) >= 1).mean() < 0.45


def test_formula_undoes_the_development(clean: np.ndarray):
    """But for 8 bits and JPEG, of which quality 100 leaves little."""
    photo = camera_photo(clean, 3, 0)
    back = undone_by_formula(photo, 100)
    assert np.abs(balanced_view(back, 0) - balanced_view(photo, 0)).mean() < 0.01


def test_trials():
    assert [trial.name for trial in trials(IspTrials(quality="80,90"), TASK.networks["squeezed"])] == [
        "quality 80",
        "quality 90",
        "quality 80, 30% clipped",
        "quality 90, 30% clipped",
    ]
    with pytest.raises(UsageError, match="--quality"):
        trials(IspTrials(quality="high"), TASK.networks["squeezed"])


def test_white_of_a_batch_is_that_of_each(clean: np.ndarray):
    """A picture without highlights keeps white at 1; a few that are far brighter get room, at most their own value."""
    generator = Generator().manual_seed(3)
    dark = torch.rand(1, 500, generator=generator) * 0.9
    bright = torch.cat([dark[:, 50:], 1 + torch.rand(1, 50, generator=generator)], 1)
    both = best_whites(torch.cat([dark, bright]))
    assert both[0] == 1
    assert 1 < both[1] <= bright.max()
    assert torch.equal(both, torch.cat([best_whites(dark), best_whites(bright)]))


@pytest.mark.parametrize("recovery", ["absolute", "decibels"])
def test_loss_has_gradients(recovery: str):
    """Also after the same network ran for a user, in inference mode."""
    net = InvertibleIsp(3, 6, 2)
    display = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(1))
    options = IspTraining(rounding="straight-through", recovery=recovery)
    with torch.inference_mode():
        two_way_loss(net, make_pair({"target": display}, Generator().manual_seed(2), options), 0.0)
    two_way_loss(net, make_pair({"target": display}, Generator().manual_seed(2), options), 0.0)["loss"].backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in gradients)


def test_decibels_weigh_small_errors_as_large_ones():
    """An error ten times as small changes a loss in decibels as much, and an absolute one a tenth as much."""
    net = InvertibleIsp(3, 6, 2)
    display = torch.rand(1, 3, 32, 32, generator=Generator().manual_seed(1))
    pair = make_pair({"target": display}, Generator().manual_seed(2), IspTraining(recovery="decibels"))
    rough, fine = (two_way_loss(net, {**pair, "quality": torch.tensor([q])}, 0.0)["recovery"] for q in (30.0, 95.0))
    plain = {**pair, "decibels": torch.tensor([False])}
    errors = [two_way_loss(net, {**plain, "quality": torch.tensor([q])}, 0.0)["recovery"] for q in (30.0, 95.0)]
    ratio = torch.log10(errors[0] / errors[1]).item()
    assert (rough - fine).item() == pytest.approx(0.02 * ratio, rel=0.3)


def test_cut_pictures_have_other_blocks(clean: np.ndarray):
    trial = trials(IspTrials(quality="90", cut=3), TASK.networks["squeezed"])[0]
    photo, truth = trial.degrade(clean, 1)
    assert (photo.height, photo.width) == (29, 45)
    assert np.array_equal(photo.pixels, camera_photo(clean[3:, 3:], 1, 0).pixels)
    assert truth is photo
