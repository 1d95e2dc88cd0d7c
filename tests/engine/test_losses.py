"""Errors of pictures, by hand."""

import pytest
import torch

from photonet.engine.losses import INVISIBLE, decibels, rms_error


def test_value():
    """0.1 off everywhere is 20 dB, and 25.5 of 255; each picture counts for itself."""
    target = torch.full((2, 3, 4, 5), 0.5)
    output = target + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    assert decibels(output, target).tolist() == pytest.approx([20, 40], abs=0.1)
    assert rms_error(output, target).tolist() == pytest.approx([25.5, 2.55], rel=0.01)


def test_equal_pictures():
    """Finite, and with a finite gradient."""
    target = torch.full((1, 1, 4, 4), 0.5)
    output = target.clone().requires_grad_()
    error = rms_error(output, target)
    error.sum().backward()
    assert error.item() == pytest.approx(255 * INVISIBLE**0.5)
    assert output.grad is not None
    assert output.grad.abs().max() == 0
    assert decibels(target, target).item() == pytest.approx(57, abs=0.1)
