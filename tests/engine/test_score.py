"""Scores by hand, and the protocol of an evaluation."""

import math

import numpy as np
import pytest
from toys import Halve

from photonet.engine.infer import Engine
from photonet.engine.metrics import best_shifted, psnr, ssim
from photonet.engine.score import Row, averages, evaluate, spoiled
from photonet.engine.task import Network, Options, Prepared, Task, Tiling
from photonet.engine.trial import Trial
from photonet.errors import UsageError
from photonet.io import write
from photonet.photo import Photo


@pytest.mark.parametrize(("offset", "expected"), [(0.1, 20.0), (0.01, 40.0), (-0.1, 20.0)])
def test_value_psnr(offset, expected):
    clean = np.full((4, 5, 3), 0.5, np.float32)
    assert psnr(clean + np.float32(offset), clean) == pytest.approx(expected, abs=1e-4)


def test_value_psnr_over_all_channels():
    """An error of 0.3 in one of three channels: 10 log10(3 / 0.09)."""
    clean = np.full((4, 5, 3), 0.5, np.float32)
    result = clean + np.float32([0.3, 0, 0])
    assert psnr(result, clean) == pytest.approx(10 * math.log10(3 / 0.09), abs=1e-4)


def test_psnr_is_of_the_clipped_result():
    white = np.ones((4, 4, 1), np.float32)
    assert psnr(white + 0.5, white) == math.inf
    assert psnr(white * 0, white) == pytest.approx(0)


def test_value_ssim(random_photo):
    clean = random_photo(20, 24, dtype=np.float32).pixels
    assert ssim(clean, clean) == pytest.approx(1)
    # constant pictures a and b: only the luminance term (2ab + C1)/(a² + b² + C1) with C1 = 0.01² is left
    a, b = (np.full((16, 16, 1), value, np.float32) for value in (0.4, 0.6))
    assert ssim(a, b) == pytest.approx((0.48 + 1e-4) / (0.52 + 1e-4), rel=1e-4)
    noisy = clean + np.random.default_rng(0).normal(0, 0.2, clean.shape).astype(np.float32)
    assert 0.3 < ssim(noisy, clean) < 0.95


def test_ssim_of_a_picture_smaller_than_its_window():
    tiny = np.zeros((10, 30, 3), np.float32)
    assert math.isnan(ssim(tiny, tiny))


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-3, 3)])
def test_best_shifted(random_photo, shift):
    """What was moved by a few pixels is found, and compared with the clean picture where both show something."""
    clean = random_photo(20, 24, dtype=np.float32).pixels
    moved, inner = best_shifted(np.roll(clean, shift, (0, 1)), clean, 3)
    assert moved.shape == (14, 18, 3)
    assert np.array_equal(inner, clean[3:-3, 3:-3])
    assert np.array_equal(moved, inner)


@pytest.mark.parametrize("slack", [0, 2])
def test_best_shifted_no_further_than_slack(random_photo, slack):
    """What was moved by a pixel more stays apart; without slack nothing is moved or cut."""
    clean = random_photo(20, 24, dtype=np.float32).pixels
    moved, inner = best_shifted(np.roll(clean, slack + 1, 1), clean, slack)
    assert psnr(moved, inner) < 15
    assert moved.shape == inner.shape == (20 - 2 * slack, 24 - 2 * slack, 3)


def test_best_shifted_of_a_ramp():
    """Each pixel is a step brighter: what is 1.4 too bright is moved by one of them, and not by two."""
    ramp = np.tile(np.arange(12, dtype=np.float32)[:, None, None], (1, 12, 1))
    moved, inner = best_shifted(ramp + 1.4, ramp, 2)
    np.testing.assert_allclose(moved - inner, 0.4, atol=1e-6)


@pytest.mark.parametrize("size", [(4, 20), (20, 3)])
def test_best_shifted_of_too_small_a_picture(size):
    picture = np.zeros((*size, 3), np.float32)
    with pytest.raises(UsageError, match=f"{size[1]}×{size[0]} is too small"):
        best_shifted(picture, picture, 2)


class HalveOptions(Options):
    note: float = 0.0


def noted(photos, options, runner):
    return Prepared(lambda window: (runner.picture(photos[0], runner.network)(window),), {"note": options.note})


@pytest.fixture
def engine(cpu):
    network = Network("for tests", lambda config: Halve(), lambda net: Tiling())
    judge = {"judge": lambda notes, degraded, clean: {"note": notes["note"]}}
    task = Task("halving", "for tests", {"net": network}, options=HalveOptions, prepare=noted, **judge)
    engine = Engine(task, cpu, {})
    engine.add("net", Halve())
    return engine


def doubled(clean, number):
    return clean * 2 + np.float32(number / 10)


def test_evaluate(engine, tmp_path, random_photo):
    """Rows by trial, picture and method; degraded by its number; the clean picture is what counts."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        photo = random_photo(12, 14)
        write(photo.with_pixels(photo.pixels // 2 + 60), path)
    trials = [Trial("twice", doubled, {"note": 3.0}), Trial("nothing", lambda clean, number: clean)]
    baselines = {"oracle": lambda degraded, clean: clean, "shift": lambda degraded, clean: clean - np.float32(0.1)}
    rows = list(
        evaluate(
            engine,
            spoiled(paths, trials, engine.task.networks[engine.task.default_network]),
            lambda options: HalveOptions(**options),
            baselines,
        )
    )
    assert [(row.trial, row.picture, row.method) for row in rows] == [
        (trial, picture, method)
        for trial in ("twice", "nothing")
        for picture in ("a.png", "b.png")
        for method in ("input", "net", "oracle", "shift")
    ]
    by_name = {(row.trial, row.picture, row.method): row for row in rows}
    # 2x + 0.1·number, halved: off by 0.05 for the second picture: 26.02 dB
    assert by_name["twice", "a.png", "net"].psnr == math.inf
    assert by_name["twice", "b.png", "net"].psnr == pytest.approx(20 * math.log10(20), abs=1e-3)
    assert by_name["twice", "b.png", "oracle"].psnr == math.inf
    assert by_name["twice", "b.png", "shift"].psnr == pytest.approx(20, abs=1e-3)
    assert by_name["nothing", "a.png", "input"].psnr == math.inf
    assert by_name["nothing", "a.png", "input"].ssim == pytest.approx(1)
    assert by_name["twice", "a.png", "net"].figures == {"note": 3.0}
    assert by_name["nothing", "a.png", "net"].figures == {"note": 0.0}
    assert by_name["twice", "a.png", "input"].figures == {}


@pytest.mark.parametrize("rivals", [False, True])
@pytest.mark.parametrize("slack", [0, 2])
def test_evaluate_with_slack_and_rivals(engine, tmp_path, random_photo, slack, rivals):
    """A trial may spoil where the picture is: then the best shift counts, of the input and of every method alike."""
    path = tmp_path / "a.png"
    photo = random_photo(20, 22)
    write(photo.with_pixels(photo.pixels // 2), path)
    ways = {"other": lambda degraded: degraded.with_pixels(np.roll(degraded.pixels, 1, 1) / 2 + np.float32(0.1))}
    trial = Trial("moved", lambda clean, number: np.roll(clean * 2, (2, -2), (0, 1)), rivals=ways, slack=slack)
    baselines = {"moved": lambda degraded, clean: np.roll(clean, (0, 3), (0, 1))}
    cases = spoiled([path], [trial], engine.task.networks[engine.task.default_network])
    rows = list(evaluate(engine, cases, lambda options: HalveOptions(**options), baselines, rivals=rivals))
    assert [row.method for row in rows] == ["input", "net", "moved"] + ["other"] * rivals
    scores = {row.method: row.psnr for row in rows}
    assert (scores["net"] == math.inf) == (slack == 2)
    assert max(scores["input"], scores["moved"]) < 17
    if rivals:
        assert scores["other"] == pytest.approx(20, abs=1e-3) if slack else scores["other"] < 17


def test_evaluate_gray_pictures_with_a_color_network(engine, tmp_path):
    """A gray picture has three equal channels then, and a degradation may change one of them."""
    path = tmp_path / "gray.png"
    write(Photo(np.full((12, 12, 1), 100, np.uint8)), path)
    color = Trial("color", lambda clean, number: clean * np.float32([2, 2, 1]))
    rows = list(
        evaluate(
            engine,
            spoiled([path], [color], engine.task.networks[engine.task.default_network]),
            lambda options: HalveOptions(),
            {},
        )
    )
    lost = (50 / 255) ** 2 / 3
    assert rows[1].psnr == pytest.approx(-10 * math.log10(lost), abs=1e-3)


def test_value_averages():
    rows = [
        Row("sigma 25", "input", "a", 20.0, 0.5, 0.0),
        Row("sigma 25", "unet", "a", 30.0, 0.8, 1.5, {"near": 1.0}),
        Row("sigma 25", "input", "b", 21.0, 0.7, 0.0),
        Row("sigma 25", "unet", "b", 33.0, float("nan"), 0.5, {"near": 0.0}),
        Row("sigma 50", "unet", "a", 27.0, 0.7, 1.0, {"near": 1.0}),
    ]
    table = averages(rows)
    assert [(line["trial"], line["method"], line["pictures"]) for line in table] == [
        ("sigma 25", "input", 2),
        ("sigma 25", "unet", 2),
        ("sigma 50", "unet", 1),
    ]
    assert [line["psnr"] for line in table] == [20.5, 31.5, 27.0]
    assert [line["ssim"] for line in table] == [0.6, 0.8, 0.7]
    assert [line["seconds"] for line in table] == [0.0, 2.0, 1.0]
    assert [line["figures"] for line in table] == [{}, {"near": 0.5}, {"near": 1.0}]
