"""Errors of pictures, as most networks learn from them and are scored by."""

import torch
from torch import Tensor

INVISIBLE = 2e-6  # mean squared error below which nobody sees a difference


def decibels(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture of a batch, B C H W, peak 1.0, not clipped."""
    return -10 * torch.log10((output.float() - target).square().mean((1, 2, 3)) + INVISIBLE)


def rms_error(output: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared error of each picture of a batch, B C H W, on the scale of 0 to 255."""
    return 255 * ((output.float() - target).square().mean((1, 2, 3)) + INVISIBLE).sqrt()
