"""Shot and read noise of a sensor, estimated from one mosaic."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from photonet.camera.mosaic import pack

CELL = 4  # wavelet coefficients per side of a cell: 8 samples of one color
BINS = 32  # of brightness
FLAT_SHARE = 0.1  # of the cells of one brightness: the flattest show noise, the others also texture
LEAST_CELLS = 20  # in a bin
BRIGHTEST = 0.9  # mean of a cell, of the white level: clipping eats the noise of those beyond
FIT_STEPS = 20  # of reweighting; it settles in five to ten
TEXTURE_STEPS = 3.0  # standard errors above the line from where on a bin counts as texture, and less
SURE_STEPS = 2.0  # standard errors that the read noise must be above nothing


class NoiseFit(NamedTuple):
    """var(y | x) = shot * x + read, variances at white level 1.

    Args:
        shot, read: at least 0.
        read_is_sure: whether the picture is dark enough somewhere to tell read noise from shot noise.
        cells: how many flat cells it was fitted to.
    """

    shot: float
    read: float
    read_is_sure: bool
    cells: int


def estimate_shot_read(sites: Tensor, period: int = 2) -> NoiseFit | None:
    """The line through mean and variance of the picture's flattest cells; None for a picture without enough of them.

    The variance is that of the diagonal Haar coefficients, the flatness that of a cell's other coefficients: of white
    noise they are independent, so that choosing by one does not bias the other.

    Args:
        sites: H W, mosaic, 1.0 = white level, signed.
        period: of the filter array; sites of each color position are measured apart.

    Source: Foi et al., "Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data", TIP 2008
    (the model and its fit to cells of one brightness).
    """
    mean, variance = _flat_cells(sites, period)
    if len(mean) < LEAST_CELLS:
        return None
    means, variances, errors = _binned(mean, variance)
    return _line(means, variances, errors, len(mean))


def _flat_cells(sites: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Mean and noise variance of the flattest cells of each brightness."""
    block = period * 2 * CELL
    height, width = (size // block * block for size in sites.shape)
    if not height or not width:
        return sites.new_empty(0), sites.new_empty(0)
    planes = pack(sites[None, None, :height, :width], period)[0][:, None]
    low, horizontal, vertical, diagonal = _haar(planes.double())
    mean, variance = F.avg_pool2d(low, CELL) / 2, F.avg_pool2d(diagonal.square(), CELL)
    coarse = torch.cat(_haar(low), 1).square()
    texture = F.avg_pool2d(horizontal.square() + vertical.square(), CELL) / 2
    texture = texture + F.avg_pool2d(coarse[:, 1:].mean(1, keepdim=True), CELL // 2)
    texture = texture + F.avg_pool2d(low.square(), CELL) - F.avg_pool2d(low, CELL).square()
    brightest = F.max_pool2d(low, CELL) / 2
    usable = brightest < BRIGHTEST
    mean, variance, texture = mean[usable], variance[usable], texture[usable]
    order = mean.argsort()
    flat = [part[texture[part].argsort()[: round(len(part) * FLAT_SHARE)]] for part in order.tensor_split(BINS)]
    chosen = torch.cat(flat)
    return mean[chosen], variance[chosen]


def _haar(planes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Orthonormal Haar bands of B 1 H W: low, horizontal, vertical, diagonal."""
    a, b, c, d = pack(planes).unbind(1)
    bands = (a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d)
    low, horizontal, vertical, diagonal = (band[:, None] / 2 for band in bands)
    return low, horizontal, vertical, diagonal


def _binned(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean brightness of bins with equally many cells, their median variance, and its relative standard error."""
    order = mean.argsort()
    parts = order.tensor_split(max(min(BINS, len(order) // LEAST_CELLS), 1))
    degrees = CELL * CELL
    median_of_chi2 = (1 - 2 / (9 * degrees)) ** 3  # over its mean; Wilson and Hilferty, 1931
    means = torch.stack([mean[part].mean() for part in parts])
    variances = torch.stack([variance[part].median() for part in parts]) / median_of_chi2
    errors = torch.tensor([(torch.pi / degrees / len(part)) ** 0.5 for part in parts])
    return means, variances, errors.to(mean)


def _line(means: Tensor, variances: Tensor, errors: Tensor, cells: int) -> NoiseFit:
    """Weighted least squares; what lies far above the line is texture, and is trusted less."""
    design = torch.stack([means.clamp_min(0), torch.ones_like(means)], 1)
    line = variances
    trust = torch.ones_like(means)
    for _ in range(FIT_STEPS):
        weight = trust / (errors * line.clamp_min(1e-12)).square()
        normal = design.T @ (design * weight[:, None])
        solution = torch.linalg.lstsq(normal, (design.T @ (weight * variances))[:, None]).solution[:, 0]
        if solution.min() < 0:  # one of them alone explains the cells better
            keep = int(solution.argmax())
            alone = design[:, keep]
            solution = torch.zeros_like(solution)
            solution[keep] = (weight * alone * variances).sum() / (weight * alone.square()).sum()
        line = design @ solution
        excess = (variances - line) / (errors * line.clamp_min(1e-12))
        trust = 1 / (excess / TEXTURE_STEPS).clamp_min(1)
    covariance = torch.linalg.pinv(normal)
    read_is_sure = bool(solution[1] > SURE_STEPS * covariance[1, 1].clamp_min(0).sqrt())
    return NoiseFit(float(solution[0]), float(solution[1]), read_is_sure, cells)


PATCH = 24  # pixels per side of what two frames are compared in
FLAT_PATCHES = 0.3  # of the patches of one brightness
PATCH_BINS = 12  # of brightness
FEWEST_PATCHES = 4
BRIGHTEST_PATCH = 0.99  # value of a patch at most


def noise_between(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor] | None:
    """Brightness and noise variance of the flattest of the patches that two frames show alike.

    What the frames differ by is noise, twice; what is left of misalignment is least where there is no texture.

    Args:
        first, second: T C PATCH PATCH, patches aligned to the nearest pixel.

    Returns:
        Means and variances of one frame, from dark to bright; None where too many patches are clipped.
    """
    lowest, highest = torch.minimum(first, second).amin((1, 2, 3)), torch.maximum(first, second).amax((1, 2, 3))
    usable = (highest < BRIGHTEST_PATCH) & (lowest != 0)  # clipping eats the noise
    if usable.sum() < FEWEST_PATCHES:
        return None
    first, second = first[usable], second[usable]
    difference, mean = second - first, (first + second) / 2
    noise = difference.var((-2, -1)).mean(1) / 2
    # half the noise is in the mean, too: choosing by both would choose the patches that camera processing left less
    # noise in; choosing without it reads white noise 2 % too high
    texture = mean.var((-2, -1)).mean(1) - noise / 2
    brightness = mean.mean((1, 2, 3))
    order = brightness.argsort()
    parts = order.tensor_split(max(min(PATCH_BINS, len(order) // 8), 1))
    flat = [part[texture[part].argsort()[: max(round(len(part) * FLAT_PATCHES), 1)]] for part in parts]
    return (
        torch.stack([brightness[part].mean() for part in flat]),
        torch.stack([noise[part].median() for part in flat]),
    )


def shot_read_of(means: Tensor, variances: Tensor) -> NoiseFit:
    """The line through means and variances, as `noise_between` gives them."""
    errors = torch.full_like(means, (2 / PATCH**2) ** 0.5)
    return _line(means.double(), variances.double(), errors.double(), len(means))
