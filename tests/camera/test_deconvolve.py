"""Deconvolution, and what pictures tell of their blur."""

import numpy as np
import pytest
import torch
from skimage.restoration import wiener as reference_wiener

from photonet.camera import deconvolve
from photonet.camera.blur import convolved, transfer_function
from photonet.camera.noise import white

MIDDLE = 32  # lag 0 of 64


@pytest.fixture
def kernel() -> torch.Tensor:
    """A bent stroke, 1 9 9: no mirror image of itself."""
    values = torch.zeros(9, 9)
    values[4, 1:7] = 1.0
    values[5:8, 6] = 0.6
    return (values / values.sum())[None]


@pytest.fixture
def specks(generator: torch.Generator) -> torch.Tensor:
    """Linear light with few sharp things in it, 1 1 128 128."""
    bright = torch.rand(1, 1, 128, 128, generator=generator) > 0.995
    return 0.2 + bright * torch.rand(1, 1, 128, 128, generator=generator)


def test_wiener_undoes_a_blur(specks: torch.Tensor, kernel: torch.Tensor):
    """Without noise nearly all comes back; more noise told, less of it."""
    blurred = convolved(specks, kernel)
    results = deconvolve.wiener(blurred, kernel, torch.tensor([1e-6, 1e-3, 1e-1]))
    assert results.shape == (1, 3, 1, 128, 128)
    errors = (results - specks[:, None]).square().mean((0, 2, 3, 4)).sqrt()
    assert errors[0] < 0.1 * (blurred - specks).square().mean().sqrt()
    assert errors[0] < errors[1] < errors[2]


def test_wiener_value(kernel: torch.Tensor, generator: torch.Generator):
    """With a loss that is the same at all frequencies it is scikit-image's, regularized by a point."""
    light = torch.rand(1, 1, 32, 32, generator=generator, dtype=torch.float64)
    through = transfer_function(kernel.double(), (32, 32))
    ours = torch.fft.irfft2(torch.fft.rfft2(light) * deconvolve.gains(through, 0.05)[:, None], s=(32, 32))
    point = np.zeros((3, 3))
    point[1, 1] = 1
    theirs = reference_wiener(light[0, 0].numpy(), kernel[0].double().numpy(), 0.05, reg=point, clip=False)
    np.testing.assert_allclose(ours[0, 0], theirs, atol=1e-6)


def test_wiener_prior():
    """A wave of a quarter of the sampling rate: differences leave 2 of its power, and a point blurs nothing."""
    wave = torch.tensor([1.0, 0.0, -1.0, 0.0]).repeat(4).expand(1, 1, 16, 16)
    point = torch.zeros(1, 3, 3)
    point[:, 1, 1] = 1
    result = deconvolve.wiener(wave, point, torch.tensor([0.1]))[:, 0]
    torch.testing.assert_close(result, wave / (1 + 0.1 * (2 + deconvolve.LEAST_DETAIL)))


def test_wiener_gradient(kernel: torch.Tensor, generator: torch.Generator):
    light = torch.rand(1, 1, 12, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    kernels = kernel.double().requires_grad_(True)
    noise = torch.tensor([0.1], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, k: deconvolve.wiener(x, k, noise), (light, kernels))


def test_mirrored():
    """As numpy's reflection, as often as it takes."""
    picture = torch.arange(6.0).view(1, 1, 2, 3)
    expected = np.pad(picture[0, 0].numpy(), 5, mode="reflect")
    assert np.array_equal(deconvolve.mirrored(picture, 5)[0, 0], expected)
    assert deconvolve.mirrored(picture[..., :1, :1], 2).shape == (1, 1, 5, 5)


def test_evened_is_blind_to_brightness(specks: torch.Tensor):
    """Twice the light gives nearly the same picture."""
    once, twice = deconvolve.evened(specks), deconvolve.evened(2 * specks)
    torch.testing.assert_close(once, twice, rtol=0.15, atol=0)
    assert once.shape == (1, 1, 128, 128)


def test_correlations_of_a_sharp_picture_are_a_point(specks: torch.Tensor):
    maps = deconvolve.self_correlations(deconvolve.evened(specks), 64)
    assert maps.shape == (1, deconvolve.CORRELATIONS_COUNT, 64, 64)
    assert maps.isfinite().all()
    torch.testing.assert_close(maps.square().mean((2, 3)), torch.ones(1, 16), rtol=1e-3, atol=0)
    assert (maps[0].flatten(1).argmax(1) == MIDDLE * 64 + MIDDLE).all()


@pytest.mark.parametrize("side", [64, 63])
def test_correlation_values(generator: torch.Generator, side: int):
    """Of neighbors' differences under a window, lag by lag; compared to that at no lag."""
    even = torch.rand(1, 1, side, side, generator=generator)
    maps = deconvolve.self_correlations(even, 32)[0]
    window = np.outer(*(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side),) * 2)
    picture = even[0, 0].double().numpy()
    padded = np.pad(picture, 1, mode="edge")
    for number, (y, x) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
        steps = (padded[1 + y : 1 + y + side, 1 + x : 1 + x + side] - picture) * window
        for down, across in ((0, 3), (2, -1), (-4, 0)):
            expected = (steps * np.roll(steps, (-down, -across), (0, 1))).sum() / (steps**2).sum()
            found = maps[number, 16 + down, 16 + across] / maps[number, 16, 16]
            assert found.item() == pytest.approx(expected, abs=1e-4)


def test_correlations_tell_a_kernel_from_its_mirror_image(specks: torch.Tensor, kernel: torch.Tensor):
    """The plain autocorrelation does not, that of the cubes does."""
    near = slice(MIDDLE - 8, MIDDLE + 9)
    first, second = (
        deconvolve.self_correlations(deconvolve.evened(convolved(specks, k)), 64)[0, :, near, near]
        for k in (kernel, kernel.flip(1, 2))
    )
    differences = (first - second).abs().mean((1, 2)).view(4, 4).mean(1)  # of the four kinds
    assert differences[0] < 0.5 * differences[1]


def test_quotient_finds_the_kernel(specks: torch.Tensor, kernel: torch.Tensor):
    """From the true kernel as a guess the maps are much like it; from a point less."""
    even = deconvolve.evened(convolved(specks, kernel))
    truth = torch.zeros(64, 64)
    truth[MIDDLE - 4 : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5] = kernel[0]
    point = torch.zeros_like(kernel)
    point[:, 4, 4] = 1
    likeness = []
    for guess in (kernel, point):
        maps = deconvolve.quotients(even, guess, 64)[0]
        assert maps.shape == (deconvolve.QUOTIENTS_COUNT, 64, 64)
        likeness.append((maps * truth).mean((1, 2)) / truth.square().mean().sqrt())
    assert (likeness[0][:2] > 0.8).all()
    assert (likeness[0] > likeness[1]).all()


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_even_pictures_give_no_nonsense(value: float, kernel: torch.Tensor):
    even = deconvolve.evened(torch.full((1, 3, 64, 64), value))
    assert deconvolve.self_correlations(even, 64).isfinite().all()
    assert deconvolve.quotients(even, kernel, 64).isfinite().all()


def test_maps_of_what_tells_nothing_are_faint(kernel: torch.Tensor):
    """Of a picture that only becomes brighter from side to side, a sky, no map looks as those of edges do."""
    ramp = torch.linspace(0.2, 0.6, 256).expand(1, 3, 256, 256)
    maps = deconvolve.quotients(deconvolve.evened(ramp), kernel, 64)
    assert maps.square().mean((2, 3)).sqrt().max() < 0.5


def test_noise_alone_is_finite(generator: torch.Generator, kernel: torch.Tensor):
    even = deconvolve.evened(0.2 + 0.01 * white((2, 3, 64, 64), generator))
    assert deconvolve.quotients(even, kernel.expand(2, -1, -1), 64).isfinite().all()
