"""What a picture was before its blur, and what the blur was: deconvolution, and what it takes to guess a kernel.

Pictures are B C H W, linear; kernels are B h w of odd sides and sum 1, one for each picture. Borders wrap around.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from photonet.camera.blur import transfer_function

LEAST_DETAIL = 0.2  # of the gradients' power, that the lowest frequencies are taken to have
BRIGHTNESS_CELL = 16  # pixels over which the local brightness is averaged
LEAST_BRIGHTNESS = 0.03
LEAST_STEP = 1e-4
CUBED_STEP, SQUARED_STEP, LARGEST_STEP = 3.0, 4.0, 8.0  # gradients beyond so many RMS count as these
TAPER = 24  # pixels over which a picture fades to its mean before it is deconvolved
QUOTIENT_NOISE = (0.01, 0.1)  # power of the noise over that of the picture
EDGES = (1.5, 4.0)  # RMS of the gradients that count as edges
QUOTIENT_FLOOR = 0.02  # of the mean power of edges
LEAST_POWER = 1e-6  # of a spectrum: an even picture has none
LEAST_RMS = 1e-6  # of what is brought to mean square 1
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
CORRELATIONS_COUNT = 4 * len(DIRECTIONS)
QUOTIENTS_COUNT = len(QUOTIENT_NOISE) * len(EDGES)


def wiener(light: Tensor, kernels: Tensor, noise: Tensor) -> Tensor:
    """Wiener's deconvolution at several levels of noise, for pictures whose power falls with the square of frequency.

    Plain areas keep 1 / (1 + LEAST_DETAIL · noise) of their light.

    Args:
        light: B C H W.
        noise: N, the noise's power over that of the picture's gradients.

    Returns:
        B N C H W.

    Source: Gonzalez and Woods, "Digital Image Processing", section 5.8.
    """
    size = (light.shape[-2], light.shape[-1])
    loss = noise.view(-1, 1, 1) * (_gradient_power(size, light.device) + LEAST_DETAIL)
    back = gains(transfer_function(kernels, size)[:, None], loss)
    return torch.fft.irfft2(torch.fft.rfft2(light)[:, None] * back[:, :, None], s=size)


def mirrored(pictures: Tensor, border: int) -> Tensor:
    """Pictures B C H W continued in the mirror on all sides, as often as it takes."""
    height, width = pictures.shape[-2:]
    rows, columns = (_mirror(side, border, pictures.device) for side in (height, width))
    return pictures[..., rows[:, None], columns]


def _mirror(side: int, border: int, device: torch.device) -> Tensor:
    if side == 1:
        return torch.zeros(1 + 2 * border, dtype=torch.long, device=device)
    place = torch.arange(-border, side + border, device=device) % (2 * (side - 1))
    return torch.minimum(place, 2 * (side - 1) - place)


def gains(through: Tensor, loss: Tensor | float) -> Tensor:
    """What Wiener's deconvolution multiplies each frequency by.

    Args:
        through: what the blur left of it, complex, as from `transfer_function`.
        loss: the noise's power over that of the picture; broadcasts with it.

    Returns:
        Complex, of the shape of both.
    """
    return through.conj() / (_power(through) + loss)


def _power(spectra: Tensor) -> Tensor:
    """Squared magnitudes of complex values; without the root that `abs` takes."""
    return spectra.real.square().addcmul_(spectra.imag, spectra.imag)


def _gradient_power(size: tuple[int, int], device: torch.device) -> Tensor:
    """How much of each frequency forward differences leave, H W/2+1: natural pictures have as much the less."""
    rows, columns = torch.fft.fftfreq(size[0], device=device), torch.fft.rfftfreq(size[1], device=device)
    return 4 - 2 * (2 * torch.pi * rows[:, None]).cos() - 2 * (2 * torch.pi * columns).cos()


def evened(light: Tensor) -> Tensor:
    """The mean of linear channels, B C H W of at least BRIGHTNESS_CELL pixels, over its local mean: B 1 H W.

    Edges in the shade count as those in the light do.
    """
    gray = light.mean(1, keepdim=True)
    around = F.interpolate(F.avg_pool2d(gray, BRIGHTNESS_CELL), size=gray.shape[-2:], mode="bilinear")
    return gray / (around + LEAST_BRIGHTNESS)


def self_correlations(even: Tensor, lags: int) -> Tensor:
    """What a blurred picture tells of its blur by how its gradients go together at each lag.

    The autocorrelation of sharp gradients is nearly a point, so that of blurred ones is nearly the kernel's;
    correlations of their powers tell the kernel from its mirror image.

    Args:
        even: B 1 N N, from `evened`.
        lags: even number of them along each side.

    Returns:
        B CORRELATIONS_COUNT lags lags, of mean square 1, less where there is next to nothing; lag 0 is at lags / 2.

    Source: Goldstein and Fattal, "Blur-Kernel Estimation from Spectral Irregularities", ECCV 2012, for the first order.
    """
    size, shape = (even.shape[-2], even.shape[-1]), _hann(even)
    steps = _differences(even)
    steps = steps / ((steps.square() * shape).mean((2, 3), keepdim=True).sqrt() + LEAST_STEP)
    cubes = steps.clamp(-CUBED_STEP, CUBED_STEP) ** 3
    squares = steps.clamp(-SQUARED_STEP, SQUARED_STEP).square()
    squares = squares - (squares * shape).mean((2, 3), keepdim=True) / shape.mean()
    plain, cubed, squared, signed = (
        torch.fft.rfft2(values * shape) for values in (steps, cubes, squares, steps / (steps.abs() + 1))
    )
    pairs = ((plain, plain), (cubed, plain), (squared, squared), (cubed, signed))
    return torch.cat([_by_lag(first.conj() * second, size, lags) for first, second in pairs], 1)


def quotients(even: Tensor, kernels: Tensor, lags: int) -> Tensor:
    """Kernels that blur the edges of what a first guess leaves into what was recorded, by least squares.

    Args:
        even: B 1 N N, from `evened`.
        kernels: B h w, the first guess.
        lags: even number of them along each side.

    Returns:
        B QUOTIENTS_COUNT lags lags, of mean square 1, less where there is next to nothing; lag 0 is at lags / 2.

    Source: Cho and Lee, "Fast Motion Deblurring", SIGGRAPH Asia 2009, equation 7, with edges that are chosen softly.
    """
    size, shape = (even.shape[-2], even.shape[-1]), _hann(even)
    recorded = torch.fft.rfft2(_differences(even) * shape)
    faded = torch.fft.rfft2((even - even.mean((2, 3), keepdim=True)) * _taper(even))
    through = transfer_function(kernels, size)[:, None]
    found = []
    for noise in QUOTIENT_NOISE:
        steps = _differences(torch.fft.irfft2(faded * gains(through, noise), s=size))
        steps = steps / ((steps.square() * shape).mean((1, 2, 3), keepdim=True) + LEAST_STEP**2).sqrt()
        fourth_power = steps.square().sum(1, keepdim=True).square()
        steps = steps.clamp(-LARGEST_STEP, LARGEST_STEP)
        for edge in EDGES:
            spectrum = torch.fft.rfft2(steps * (shape * fourth_power / (fourth_power + edge**4)))
            total = _power(spectrum).sum(1)
            floor = QUOTIENT_FLOOR * total.mean((1, 2), keepdim=True)
            found.append((spectrum.conj() * recorded).sum(1) / (total + floor + LEAST_POWER))
    return _by_lag(torch.stack(found, 1), size, lags)


def _differences(values: Tensor) -> Tensor:
    """Forward differences B 4 H W of a plane B 1 H W, along rows, columns and both diagonals."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    height, width = values.shape[-2:]
    shifted = [padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in DIRECTIONS]
    return torch.cat(shifted, 1) - values


def _hann(values: Tensor) -> Tensor:
    rows, columns = (torch.hann_window(side, device=values.device) for side in values.shape[-2:])
    return rows[:, None] * columns


def _taper(values: Tensor) -> Tensor:
    """1 in the middle, falling to 0 at the borders, H W."""
    sides = []
    for side in values.shape[-2:]:
        place = torch.arange(side, device=values.device) + 0.5
        inside = (torch.minimum(place, side - place) / TAPER).clamp_max(1)
        sides.append(0.5 - 0.5 * (torch.pi * inside).cos())
    return sides[0][:, None] * sides[1]


def _by_lag(spectra: Tensor, size: tuple[int, int], lags: int) -> Tensor:
    """Spectra as functions of the lag, the nearest ones only, of mean square 1; nearly nothing stays nearly nothing.

    Of so few, products with the rows and columns of the inverse transform are faster than the whole of it.

    Args:
        spectra: B C H W/2+1, each half a spectrum of a real plane.
        size: H W of that plane.
        lags: even number of them along each side.

    Returns:
        B C lags lags; lag 0 is at lags / 2.
    """
    rows, columns = (_waves(side, lags, spectra) for side in size)
    count = spectra.shape[-1]
    multiplicity = spectra.real.new_full((count, 1), 2.0)  # itself and its conjugate, of which half a spectrum has one
    multiplicity[0] = 1
    if size[1] % 2 == 0:
        multiplicity[-1] = 1
    near = (rows @ spectra @ (columns.T[:count] * multiplicity)).real / (size[0] * size[1])
    return near / (near.square().mean((2, 3), keepdim=True).sqrt() + LEAST_RMS)


def _waves(side: int, lags: int, like: Tensor) -> Tensor:
    """The waves of the Fourier transform of a side at the nearest lags, lags × side, on the device of a spectrum."""
    lag = torch.arange(-(lags // 2), lags // 2, device=like.device)
    turns = lag[:, None] * torch.arange(side, device=like.device) % side
    angles = 2 * torch.pi / side * turns.to(like.real.dtype)
    return torch.polar(torch.ones_like(angles), angles)
