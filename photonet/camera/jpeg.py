"""JPEG compression as a function on tensors, batched, on any device.

Source: ITU-T T.81 (baseline DCT, Annex K tables), scaled by quality as libjpeg does; ITU-T T.871 (YCbCr of JFIF).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SUBSAMPLING = ("4:4:4", "4:2:2", "4:2:0")  # the index is how `jpeg` names them
FOURIER_TERMS = 9
BLOCK = 8  # side of a block
LUMA_BANDS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 14))  # first and last sum of both frequencies
CHROMA_BANDS = ((1, 2), (3, 6), (7, 14))
NEAR_ZERO = (0.5, 1.5)  # bounds of coefficients on the scale of 0 to 255: what 8 bits leave of zero, and a step more
STATISTICS_COUNT = (len(LUMA_BANDS) + len(CHROMA_BANDS)) * (1 + len(NEAR_ZERO))
LEAST_COEFFICIENT = 0.1  # on that scale: keeps logarithms of empty bands finite
Rounding = Callable[[Tensor], Tensor]
_CHROMA_CELL = ((1, 1), (1, 2), (2, 2))  # luma rows and columns per chroma sample

# ITU-T T.81, tables K.1 and K.2
_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *([99] * 32),
)  # fmt: skip

_RGB_TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """B 3 H W, full range; chroma is centered on 0. Source: ITU-T T.871."""
    return torch.einsum("yc,bchw->byhw", rgb.new_tensor(_RGB_TO_YCBCR), rgb)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The inverse of `rgb_to_ycbcr`."""
    inverse = torch.linalg.inv(torch.tensor(_RGB_TO_YCBCR, dtype=torch.float64)).to(ycbcr)
    return torch.einsum("cy,byhw->bchw", inverse, ycbcr)


def straight_through(x: Tensor) -> Tensor:
    """Rounds, and lets the gradient pass as if it did not."""
    return x + (x.round() - x).detach()


def fourier_round(x: Tensor) -> Tensor:
    """Nearly rounds, by the first terms of the Fourier series of the sawtooth, whose gradient it has.

    Source: Xing, Qian and Chen, "Invertible Image Signal Processing", CVPR 2021, section 3.3.
    """
    n = torch.arange(1, FOURIER_TERMS + 1, device=x.device, dtype=x.dtype).view(-1, *[1] * x.ndim)
    signs = torch.where(n % 2 == 1, 1.0, -1.0) / (math.pi * n)
    return x - (signs * torch.sin(2 * math.pi * n * x)).sum(0)


def jpeg(rgb: Tensor, quality: Tensor, subsampling: Tensor, rounding: Rounding = torch.round) -> Tensor:
    """What is left of pictures after a JPEG file, rounded to 8 bits.

    Args:
        rgb: B 3 H W, sRGB code values, 1.0 = white; clipped and rounded to 8 bits first.
        quality: B, 1 to 100, as libjpeg scales its tables.
        subsampling: B, index into `SUBSAMPLING`.
        rounding: of the coefficients: torch.round has no gradient, `straight_through` and `fourier_round` have one. All
            other numbers are rounded straight through.

    Returns:
        B 3 H W in 0 to 1; multiples of 1/255 with `torch.round` and `straight_through`.
    """
    height, width = rgb.shape[-2:]
    codes = straight_through(rgb.clamp(0, 1) * 255)
    codes = F.pad(codes, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycbcr = straight_through(rgb_to_ycbcr(codes))  # encoders store YCbCr in 8 bits
    result = torch.empty_like(ycbcr)
    for index, cell in enumerate(_CHROMA_CELL):
        chosen = (subsampling == index).nonzero().squeeze(1)
        if len(chosen):
            result[chosen] = _compress(ycbcr[chosen], quality[chosen], cell, rounding)
    return straight_through(ycbcr_to_rgb(result)[..., :height, :width]).clamp(0, 255) / 255


def _compress(ycbcr: Tensor, quality: Tensor, cell: tuple[int, int], rounding: Rounding) -> Tensor:
    luma = _through_blocks(ycbcr[:, :1] - 128, _scaled(_LUMA_TABLE, quality), rounding) + 128
    chroma = straight_through(F.avg_pool2d(ycbcr[:, 1:], cell))
    chroma = _through_blocks(chroma, _scaled(_CHROMA_TABLE, quality), rounding)
    if cell != (1, 1):  # libjpeg's "fancy" upsampling is a triangle filter, that is, bilinear
        chroma = F.interpolate(chroma, scale_factor=cell, mode="bilinear", align_corners=False)
    return torch.cat([luma, chroma], 1)


def _scaled(table: tuple[int, ...], quality: Tensor) -> Tensor:
    """Quantization tables for a batch of qualities, B 1 1 1 8 8."""
    scale = torch.where(quality < 50, 5000 / quality.clamp_min(1), 200 - 2 * quality).floor()
    steps = (quality.new_tensor(table)[None] * scale[:, None] + 50).div(100).floor().clamp(1, 255)
    return steps.view(-1, 1, 1, 1, 8, 8)


def _through_blocks(plane: Tensor, steps: Tensor, rounding: Rounding) -> Tensor:
    """DCT, quantization and inverse DCT of the 8×8 blocks of B C H W."""
    batch, channels, height, width = plane.shape
    rows, columns = math.ceil(height / BLOCK), math.ceil(width / BLOCK)
    plane = F.pad(plane, (0, columns * BLOCK - width, 0, rows * BLOCK - height), mode="replicate")
    blocks = plane.reshape(batch, channels, rows, BLOCK, columns, BLOCK).transpose(3, 4)
    dct = _dct_matrix().to(plane)
    coefficients = rounding((dct @ blocks @ dct.T) / steps) * steps
    blocks = straight_through(dct.T @ coefficients @ dct)
    return blocks.transpose(3, 4).reshape(batch, channels, rows * BLOCK, columns * BLOCK)[..., :height, :width]


@torch.no_grad()
def block_statistics(rgb: Tensor) -> Tensor:
    """What the blocks of a picture tell of the JPEG file that it may come from: how much its quantization took away.

    For bands of frequencies of luma and of chroma: the logarithm of the mean absolute DCT coefficient, and the shares
    of them below each of `NEAR_ZERO`. Of a file that was cropped since, so that its blocks begin elsewhere, they tell
    no more than of a picture that never was a JPEG.

    Args:
        rgb: B 3 H W, sRGB code values, 1.0 = white, H and W multiples of 8.

    Returns:
        B STATISTICS_COUNT H/8 W/8, float32.
    """
    exact = torch.backends.cudnn.flags(True, allow_tf32=False)
    with torch.autocast(rgb.device.type, enabled=False), exact:
        planes = rgb_to_ycbcr(rgb.float() * 255).transpose(0, 1)
        line = _dct_matrix().to(planes)
        dct = torch.einsum("ky,lx->klyx", line, line).flatten(0, 1)[:, None]
        sizes = F.conv2d(planes.flatten(0, 1)[:, None], dct, stride=BLOCK).abs_().unflatten(0, planes.shape[:2])
        levels = _in_bands(sizes).add_(LEAST_COEFFICIENT).log_()
        return torch.cat([levels, *(_in_bands((sizes < bound).float()) for bound in NEAR_ZERO)], 1)


def _in_bands(values: Tensor) -> Tensor:
    """Means over each band of 3 B 64 h w: B bands h w."""
    luma, chroma = (_band_weights(bands).to(values) for bands in (LUMA_BANDS, CHROMA_BANDS))
    return torch.cat([F.conv2d(values[0], luma), F.conv2d((values[1] + values[2]) / 2, chroma)], 1)


def _band_weights(bands: tuple[tuple[int, int], ...]) -> Tensor:
    """What takes the means over bands of the 64 frequencies, as a 1×1 convolution."""
    order = (torch.arange(BLOCK)[:, None] + torch.arange(BLOCK)).flatten()
    within = torch.stack([(low <= order) & (order <= high) for low, high in bands]).float()
    return (within / within.sum(1, keepdim=True))[..., None, None]


def _dct_matrix() -> Tensor:
    """The orthonormal type-II DCT of length 8."""
    k, n = torch.meshgrid(torch.arange(float(BLOCK)), torch.arange(float(BLOCK)), indexing="ij")
    matrix = torch.cos(math.pi * (2 * n + 1) * k / (2 * BLOCK)) / 2
    matrix[0] /= math.sqrt(2)
    return matrix
