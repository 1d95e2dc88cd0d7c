"""Transfer curves: published values, inverse, symmetry, arrays and tensors alike."""

import numpy as np
import pytest
import torch

from photonet.color import ColorState, srgb_decode, srgb_encode, transfer
from photonet.errors import ExitCode, UsageError

# IEC 61966-2-1 by hand: 12.92 x up to 0.0031308, 1.055 x^(1/2.4) - 0.055 above
KNOWN = [(0.0, 0.0), (0.001, 0.01292), (0.0031308, 0.040449936), (0.18, 0.46135613), (0.5, 0.73535698), (1.0, 1.0)]


@pytest.mark.parametrize(("linear", "encoded"), KNOWN)
def test_value(linear, encoded):
    assert srgb_encode(np.array([linear]))[0] == pytest.approx(encoded, abs=1e-7)
    assert srgb_decode(np.array([encoded]))[0] == pytest.approx(linear, abs=1e-7)


def test_value_beyond_white():
    assert srgb_encode(np.array([4.0]))[0] == pytest.approx(1.055 * 4 ** (1 / 2.4) - 0.055)


def test_inverse():
    values = np.linspace(-2, 5, 10_001)
    np.testing.assert_allclose(srgb_decode(srgb_encode(values)), values, atol=1e-12)
    np.testing.assert_allclose(srgb_encode(srgb_decode(values)), values, atol=1e-12)


@pytest.mark.parametrize("curve", [srgb_encode, srgb_decode])
def test_odd_symmetry(curve):
    values = np.linspace(0, 3, 1001)
    np.testing.assert_array_equal(curve(-values), -curve(values))


@pytest.mark.parametrize("curve", [srgb_encode, srgb_decode])
def test_monotonic_and_continuous(curve):
    values = np.linspace(-0.1, 0.1, 20_001)
    steps = np.diff(curve(values))
    assert (steps > 0).all()
    assert steps.max() < 13 * (values[1] - values[0])  # no jump where toe and curve meet


@pytest.mark.parametrize("curve", [srgb_encode, srgb_decode])
def test_arrays_and_tensors_agree(curve):
    values = np.linspace(-1, 2, 997, dtype=np.float32)
    array, tensor = curve(values), curve(torch.from_numpy(values))
    assert array.dtype == np.float32
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), array, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("curve", [srgb_encode, srgb_decode])
def test_gradient(curve):
    values = torch.tensor([-1.5, -0.2, -0.001, 0.001, 0.02, 0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve, values)


@pytest.mark.parametrize(("curve", "slope"), [(srgb_encode, 12.92), (srgb_decode, 1 / 12.92)])
def test_gradient_at_black(curve, slope):
    black = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(curve(black).sum(), black)
    assert gradient.item() == pytest.approx(slope)


def test_transfer():
    values = np.array([0.5])
    assert transfer(ColorState.SRGB, ColorState.SRGB)(values) is values
    assert transfer(ColorState.LINEAR, ColorState.SRGB) is srgb_encode
    assert transfer(ColorState.SRGB, ColorState.LINEAR) is srgb_decode


def test_error():
    with pytest.raises(UsageError, match="a picture in mosaic values cannot be turned into srgb") as caught:
        transfer(ColorState.MOSAIC, ColorState.SRGB)
    assert caught.value.code == ExitCode.USAGE
