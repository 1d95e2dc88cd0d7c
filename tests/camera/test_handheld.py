"""A hand's motion: shifts beside slicing and OpenCV, and their distribution."""

import cv2
import numpy as np
import pytest
import torch

from photonet.camera.handheld import draw_shifts, resampled, translated, with_passers_by
from photonet.camera.noise import correlated


@pytest.mark.parametrize("size", [(32, 40), (33, 41)])
def test_translated_by_whole_pixels(size, generator):
    """Each by its own shift: (x, y) shows what was at (x, y) + shift."""
    pictures = torch.rand(3, 2, *size, generator=generator)
    result = translated(pictures, torch.tensor([[3.0, -5.0], [0.0, 0.0], [-4.0, 2.0]]))
    assert result.shape == pictures.shape
    torch.testing.assert_close(result[0, :, 5:, :-3], pictures[0, :, :-5, 3:], rtol=0, atol=1e-5)
    torch.testing.assert_close(result[1], pictures[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(result[2, :, :-2, 4:], pictures[2, :, 2:, :-4], rtol=0, atol=1e-5)
    # beyond the border, what lies before it, reflected: the columns -1 and -2 are 0 and 1
    torch.testing.assert_close(result[2, :, :-2, 2:4], pictures[2, :, 2:, 0:2].flip(-1), rtol=0, atol=1e-5)


def test_translated_there_and_back(generator):
    """Of pictures that fade to their borders, without the finest detail, which no shift by half a pixel preserves."""
    fading = (torch.hann_window(64)[:, None] * torch.hann_window(70)).square()
    smooth = correlated((2, 3, 64, 70), torch.full((2,), 1.5), generator) * fading
    shifts = torch.tensor([[0.3, -1.6], [2.5, 0.75]])
    moved = translated(smooth, shifts)
    assert (moved - smooth).std() > 0.1
    back = translated(moved, -shifts)
    inner = (..., slice(6, -6), slice(6, -6))  # what was moved out of the picture is lost
    torch.testing.assert_close(back[inner], smooth[inner], rtol=0, atol=0.01)


def test_translated_leaves_noise_as_strong(generator):
    """A shift by half a pixel, which takes half of the noise's power in any small interpolation."""
    noise = torch.randn(1, 1, 128, 128, generator=generator)
    assert translated(noise, torch.tensor([[0.5, 0.5]])).std().item() == pytest.approx(1, abs=0.03)
    assert resampled(noise, torch.tensor([[0.5, 0.5]])).var().item() == pytest.approx((370 / 512) ** 2, abs=0.03)


def test_translated_value():
    """A wave, moved by a part of its length."""
    x = torch.arange(64.0)
    wave = torch.sin(2 * torch.pi * x / 16).expand(1, 1, 32, 64)
    result = translated(wave, torch.tensor([[1.7, 0.4]]))
    expected = torch.sin(2 * torch.pi * (x + 1.7) / 16)
    torch.testing.assert_close(result[0, 0, 16, 12:-12], expected[12:-12], rtol=0, atol=0.02)


def test_translated_as_far_as_the_picture_is(generator):
    pictures = torch.rand(1, 1, 12, 20, generator=generator)
    result = translated(pictures, torch.tensor([[19.0, 0.0]]))
    assert result.isfinite().all()
    assert result.shape == pictures.shape


@pytest.mark.parametrize("shift", [(0.5, 0.5), (0.25, -0.75), (-1, 1), (0, 0), (0.96875, 0.03125)])
def test_resampled_as_opencv_does(shift, generator):
    picture = torch.rand(1, 1, 20, 24, generator=generator)
    x, y = np.meshgrid(np.arange(24, dtype=np.float32), np.arange(20, dtype=np.float32))
    expected = cv2.remap(
        picture[0, 0].numpy(), x + shift[0], y + shift[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    result = resampled(picture, torch.tensor([shift]))[0, 0].numpy()
    np.testing.assert_allclose(result[3:-3, 3:-3], expected[3:-3, 3:-3], atol=2e-6)


def test_resampled_each_by_its_own(generator):
    pictures = torch.rand(2, 3, 12, 14, generator=generator)
    shifts = torch.tensor([[0.3, -0.2], [-0.7, 0.9]])
    together = resampled(pictures, shifts)
    for index in range(2):
        alone = resampled(pictures[index : index + 1], shifts[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone)
    assert together.shape == pictures.shape


def test_resampled_border():
    """A constant stays one: the border is replicated, and the weights sum to one."""
    constant = torch.full((1, 2, 8, 9), 0.7)
    torch.testing.assert_close(resampled(constant, torch.tensor([[0.4, -0.9]])), constant)


def test_draw_shifts(generator):
    frames, batch, near, far, mean_far = 8, 4000, 2.0, 16.0, 1.5
    shifts = draw_shifts(frames, batch, generator, near, far, mean_far)
    assert shifts.shape == (frames, batch, 2)
    assert not shifts[0].any()
    largest = shifts.abs().amax(2)
    is_far = largest > near
    assert 0.99 * far < largest.max() <= far
    others = shifts[1:][~is_far[1:]]
    assert others.abs().max() > 0.99 * near
    assert others.mean(0).abs().max() < 0.05
    # the reference is never far, and one of 64 of the far frames is near by chance
    expected = mean_far * (frames - 1) / frames * (1 - (near / far) ** 2)
    count = is_far.sum(0).float()
    assert count.mean().item() == pytest.approx(expected, abs=0.1)
    # all frames of a burst have the same chance: the number is more scattered than if each had its own
    binomial = expected * (1 - expected / (frames - 1))
    assert count.var().item() > 1.5 * binomial


def test_draw_shifts_without_far_ones(generator):
    shifts = draw_shifts(5, 300, generator, near=3.0, mean_far=0.0)
    assert 2.9 < shifts.abs().max() <= 3


def test_passers_by(generator):
    scene = torch.rand(8, 3, 64, 64, generator=generator)
    assert torch.equal(with_passers_by(scene, 0, generator), scene)
    changed = (with_passers_by(scene, 1, generator) - scene).abs().amax(1) > 0.1
    assert 0.02 < changed.float().mean() < 0.6
    assert changed.any((1, 2)).sum() >= 6  # where a patch comes is chance, but most pictures have one


def test_passers_by_in_a_share_of_the_batch(generator):
    scene = torch.rand(300, 1, 24, 24, generator=generator)
    changed = (with_passers_by(scene, 0.4, generator) - scene).abs().amax((1, 2, 3)) > 1e-3
    always = (with_passers_by(scene, 1, generator) - scene).abs().amax((1, 2, 3)) > 1e-3
    assert changed.float().mean().item() == pytest.approx(0.4 * always.float().mean().item(), abs=0.1)


def test_passers_by_show_another_place(generator):
    """A mixture with the scene moved by up to 16 pixels, the same way everywhere."""
    scene = torch.rand(2, 1, 64, 64, generator=generator)
    change = with_passers_by(scene, 1, generator) - scene
    assert change.abs().max() > 0.3

    def explains(y, x):
        other = scene.roll((y, x), (-2, -1)) - scene
        clear = other.abs() > 0.05
        share = change[clear] / other[clear]
        return bool(((share > -1e-3) & (share < 1 + 1e-3)).all())

    moves = [(y, x) for y in range(-16, 17) for x in range(-16, 17) if (y, x) != (0, 0)]
    assert sum(explains(*move) for move in moves) == 1


def test_determinism():
    def burst(seed):
        generator = torch.Generator().manual_seed(seed)
        shifts = draw_shifts(4, 3, generator)
        return shifts, with_passers_by(torch.linspace(0, 1, 3 * 32 * 32).view(3, 1, 32, 32), 0.7, generator)

    assert all(torch.equal(a, b) for a, b in zip(burst(1), burst(1), strict=True))
    assert not torch.equal(burst(1)[0], burst(2)[0])
    assert not torch.equal(burst(1)[1], burst(2)[1])
