"""Noise of a sensor, before anything is done to its values: mosaics or packed planes, 1.0 = white level.

Systems write the same two numbers in different units. Here they are always variances at white level 1:
var(y | x) = shot * x + read. `from_deviations` and `from_levels` convert, `amplified` applies a gain.
"""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from photonet.camera.noise import log_uniform, uniform, white

LEAST_VARIANCE = 1e-14  # of noise that values are stabilized for
SHOT_LEVELS = {"low": 3e-4, "middle": 1.5e-3, "high": 8e-3}  # shot variance, by ISO speed: what RAW is measured at
LOGISTIC = 1e-3  # shape of a Tukey lambda distribution that is taken for 0
TUKEY_EDGE = 1e-4  # of the uniform numbers that are drawn: keeps the tails of a Tukey lambda distribution finite


class ShotRead(NamedTuple):
    """Shot and read noise of a batch of pictures, B each: variances at white level 1, as in a DNG NoiseProfile."""

    shot: Tensor
    read: Tensor


def from_deviations(signal_std: Tensor, read_std: Tensor) -> ShotRead:
    """From KPN's units: standard deviations, of the signal's part at signal 1, and of the read noise."""
    return ShotRead(signal_std.square(), read_std.square())


def from_levels(gain: Tensor, read_std: Tensor, white_level: float) -> ShotRead:
    """From a sensor's own units.

    Args:
        gain: digital numbers per photoelectron.
        read_std: in digital numbers.
        white_level: digital numbers between black and white.
    """
    return ShotRead(gain / white_level, (read_std / white_level).square())


def amplified(noise: ShotRead, gain: Tensor) -> ShotRead:
    """The noise of the same values multiplied by a gain, B."""
    return ShotRead(noise.shot * gain, noise.read * gain.square())


def variance(signal: Tensor, noise: ShotRead) -> Tensor:
    """Variance of every value; what read noise has pushed below black counts as black.

    Args:
        signal: B C H W.
    """
    return signal.clamp_min(0) * noise.shot.view(-1, 1, 1, 1) + noise.read.view(-1, 1, 1, 1)


def add_shot_read(signal: Tensor, noise: ShotRead, generator: Generator) -> Tensor:
    """The signal, B C H W, with Gaussian noise of the variance that it has; not clipped."""
    return signal + white(signal.shape, generator) * variance(signal, noise).sqrt()


def stabilize(signal: Tensor, noise: ShotRead) -> Tensor:
    """Values on a curve, close to a square root, on which the noise has the same deviation everywhere.

    0 and 1 stay where they are; below 0 the curve goes on as a straight line.

    Args:
        signal: B C H W.

    Source: Starck, Murtagh and Bijaoui, "Image Processing and Data Analysis", 1998 (generalized Anscombe transform).
    """
    offset, shot = _stabilizer_offset(noise), noise.shot.view(-1, 1, 1, 1)
    root, at_white = offset.sqrt(), (shot + offset).sqrt()
    return signal * (root + at_white) / (root + (shot * signal.clamp_min(0) + offset).sqrt())


def unstabilize(values: Tensor, noise: ShotRead) -> Tensor:
    """The inverse of `stabilize`."""
    offset, shot = _stabilizer_offset(noise), noise.shot.view(-1, 1, 1, 1)
    root = offset.sqrt()
    raised = values * 2 / (root + (shot + offset).sqrt())
    return raised * root + shot * raised.clamp_min(0).square() / 4


def stabilized_deviation(noise: ShotRead) -> Tensor:
    """Standard deviation of the noise after `stabilize`, B."""
    offset = _stabilizer_offset(noise).flatten()
    return (offset.sqrt() + (noise.shot + offset).sqrt()) / 2


def _stabilizer_offset(noise: ShotRead) -> Tensor:
    return (noise.read + 0.375 * noise.shot.square()).clamp_min(LEAST_VARIANCE).view(-1, 1, 1, 1)


def read_at(shot: Tensor) -> Tensor:
    """The read variance that cameras have where they have this shot variance.

    Source: Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019, section 3.1 (fitted to the
    Darmstadt Noise Dataset).
    """
    return (2.18 * shot.log() + 1.20).exp()


def noise_at(shot: float) -> ShotRead:
    """Noise of one picture with this shot variance, and the read variance that cameras have there."""
    level = torch.tensor([shot])
    return ShotRead(level, read_at(level))


def draw_shot_read(batch: int, generator: Generator, shot: tuple[float, float] = (1e-4, 0.012)) -> ShotRead:
    """Noise of cameras at any ISO speed.

    Args:
        shot: (lowest, highest) shot variance, drawn log-uniformly; the read variance follows it.

    Source: as `read_at`.
    """
    drawn = log_uniform(batch, *shot, generator)
    spread = 0.26 * torch.randn(batch, generator=generator, device=generator.device)
    return ShotRead(drawn, read_at(drawn) * spread.exp())


def draw_told(noise: ShotRead, error: float, generator: Generator) -> ShotRead:
    """The noise as a network is told it, which is not quite right.

    Args:
        noise: B, as it is.
        error: standard deviation of the logarithm of the told shot variance and of the told deviation of read noise,
            against the true ones.
    """
    errors = (error * white((2, len(noise.shot)), generator)).exp()
    return ShotRead(noise.shot * errors[0], noise.read * errors[1].square())


class LogLine(NamedTuple):
    """log(scale) = slope * log(gain) + bias, give or take a deviation."""

    slope: float
    bias: float
    deviation: float

    def draw(self, gain: Tensor, generator: Generator) -> Tensor:
        """A scale for each gain."""
        error = torch.randn(len(gain), generator=generator, device=generator.device)
        return (self.slope * gain.log() + self.bias + self.deviation * error).exp()


class HighIsoCamera(NamedTuple):
    """A sensor as it was calibrated, in digital numbers.

    Args:
        gain: (lowest, highest) digital numbers per photoelectron.
        row: standard deviation of the offset that all sites of a row share.
        read: scale of the read noise, which has a Tukey lambda distribution.
        shapes: of that distribution, at several ISO speeds; 0.14 is nearly Gaussian, less has heavier tails.
    """

    gain: tuple[float, float]
    row: LogLine
    read: LogLine
    shapes: tuple[float, ...]


# Source: Wei et al., "Physics-based Noise Modeling for Extreme Low-light Photography", TPAMI 2021 (ELD): calibrated
# parameters, MIT licence
# fmt: off
HIGH_ISO_CAMERAS = {
    "CanonEOS5D4": HighIsoCamera(
        gain=(0.2182, 13.9641),
        row=LogLine(0.4713, -0.8079, 0.2436),
        read=LogLine(0.6559, 1.0927, 0.2860),
        shapes=(
            0.157, 0.143, 0.086, 0.086, 0.200, 0.200, 0.100, 0.086, 0.057, 0.071, 0.029, 0.029, 0.014, 0.029, 0.086,
            0.071, 0.114, 0.114,
        ),
    ),
    "CanonEOS700D": HighIsoCamera(
        gain=(0.4476, 28.6482),
        row=LogLine(0.6221, -0.7756, 0.2485),
        read=LogLine(0.5982, 1.5370, 0.3888),
        shapes=(
            0.129, 0.129, 0.100, 0.100, 0.014, 0.014, -0.086, -0.100, -0.143, -0.157, -0.129, -0.129, -0.029, -0.029,
            0.014, 0.014,
        ),
    ),
    "CanonEOS70D": HighIsoCamera(
        gain=(0.4075, 26.0798),
        row=LogLine(0.7292, -0.9371, 0.2502),
        read=LogLine(0.4868, 1.4643, 0.3820),
        shapes=(
            0.143, 0.143, 0.114, 0.114, 0.029, 0.029, -0.100, -0.086, -0.171, -0.171, -0.157, -0.157, -0.086, -0.086,
            -0.029, -0.029,
        ),
    ),
    "NikonD850": HighIsoCamera(
        gain=(0.4150, 26.5625),
        row=LogLine(0.4483, -1.7977, 0.2322),
        read=LogLine(0.4774, -0.0904, 0.2392),
        shapes=(
            -0.114, -0.114, -0.200, -0.200, -0.214, -0.214, -0.229, -0.229, -0.243, -0.243, -0.171, -0.171, -0.143,
            -0.143, -0.100, -0.100,
        ),
    ),
    "SonyA7S2": HighIsoCamera(
        gain=(0.0939, 6.0106),
        row=LogLine(0.5275, -0.5917, 0.2943),
        read=LogLine(0.4621, 0.5657, 0.2634),
        shapes=(
            0.114, 0.129, 0.057, 0.043, 0.000, 0.000, -0.043, -0.057, -0.086, -0.086, -0.086, -0.086, -0.114, -0.114,
            -0.143, -0.129, -0.143, -0.143,
        ),
    ),
}
# fmt: on


def tukey_lambda(shape: Tensor, size: torch.Size | tuple[int, ...], generator: Generator) -> Tensor:
    """Numbers with a Tukey lambda distribution of scale 1, by its quantile function.

    Args:
        shape: B, lambda.
        size: B ….
    """
    p = torch.rand(size, generator=generator, device=generator.device).clamp(TUKEY_EDGE, 1 - TUKEY_EDGE)
    shape = shape.view(-1, *[1] * (len(size) - 1))
    logistic = (p / (1 - p)).log()
    return torch.where(shape.abs() < LOGISTIC, logistic, (p**shape - (1 - p) ** shape) / shape)


def tukey_lambda_variance(shape: Tensor) -> Tensor:
    """Variance of a Tukey lambda distribution of scale 1, of any shape above -1/2."""
    near_logistic = shape.abs() < LOGISTIC
    safe = torch.where(near_logistic, torch.ones_like(shape), shape)
    beta = (2 * (safe + 1).lgamma() - (2 * safe + 2).lgamma()).exp()
    return torch.where(near_logistic, torch.pi**2 / 3, 2 / safe.square() * (1 / (1 + 2 * safe) - beta))


def add_high_iso(signal: Tensor, camera: str, white_level: float, generator: Generator) -> tuple[Tensor, ShotRead]:
    """Mosaics as a real camera records them at high ISO: Poisson shot noise, heavy-tailed read noise, row noise.

    Args:
        signal: B 1 H W, at least 0.
        camera: a name of `HIGH_ISO_CAMERAS`; its ISO speed is drawn for each picture.
        white_level: digital numbers between black and white.

    Returns:
        The noisy mosaics, and the variances that they have; that of the rows is part of the read noise.
    """
    sensor, batch = HIGH_ISO_CAMERAS[camera], len(signal)
    gain = log_uniform(batch, *sensor.gain, generator)
    electrons = signal.clamp_min(0) * white_level / gain.view(-1, 1, 1, 1)
    shot = torch.poisson(electrons, generator=generator) * gain.view(-1, 1, 1, 1)
    pick = (uniform(batch, 0, 1, generator) * len(sensor.shapes)).long().clamp_max(len(sensor.shapes) - 1)
    shape = torch.tensor(sensor.shapes, device=generator.device)[pick]
    read_scale, row_scale = sensor.read.draw(gain, generator), sensor.row.draw(gain, generator)
    read = tukey_lambda(shape, signal.shape, generator) * read_scale.view(-1, 1, 1, 1)
    row = white((*signal.shape[:3], 1), generator) * row_scale.view(-1, 1, 1, 1)
    variance_read = read_scale.square() * tukey_lambda_variance(shape) + row_scale.square()
    noise = ShotRead(gain / white_level, variance_read / white_level**2)
    return (shot + read + row) / white_level, noise
