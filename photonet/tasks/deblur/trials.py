"""Synthetic blur with a fixed seed; kernels that were measured; and the classical methods that are told the kernel."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from photonet.camera import blur
from photonet.camera.jpeg import jpeg
from photonet.camera.sensor import add_shot_read, noise_at
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.task import Network
from photonet.engine.trial import Baseline, Trial
from photonet.errors import UsageError
from photonet.io import read_kernels
from photonet.photo import Photo
from photonet.tasks.deblur.options import EXTENTS, DeblurTrials
from photonet.tasks.deblur.training import BORDER, LARGEST_EXTENT

FOCAL = 1.2  # focal length, as a share of the longer side
SAMPLES = 65  # poses of a path
BRIGHTER = 3.0  # highlights at white, beside what the display shows
SHOT = 1e-4  # shot variance of a camera at its base ISO speed
NO_JPEG = 100
HALVED_CHROMA = 2  # both ways, as cameras do
SLACK = 4  # pixels that a result may be shifted by, where a kernel does not say where the picture is
UNSHARP_RADIUS, UNSHARP_AMOUNT = 6.0, 0.3  # the best of 16 on four validation pictures, shaken by 12 px
WIENER_BALANCE, LUCY_ROUNDS = 0.03, 20  # the best of 6 and of 3 on the same, with two of the measured kernels
EDGE = 32  # pixels that a picture is continued by at least, before it is deconvolved


def sharp_trial(quality: int = NO_JPEG) -> Trial:
    """A sharp picture, which should stay as it is.

    Args:
        quality: of JPEG.
    """

    def same(clean: np.ndarray, number: int) -> np.ndarray:
        if quality == NO_JPEG:
            return clean
        saved = _compressed(torch.from_numpy(clean).permute(2, 0, 1)[None], quality)
        return saved[0].permute(1, 2, 0).contiguous().numpy()

    return Trial(_name("sharp, against itself", quality), same)


def shake_trial(extent: float, quality: int = NO_JPEG) -> Trial:
    """A path in six degrees of freedom; torch seed = number of the picture.

    Args:
        extent: diagonal in pixels of what a point in the middle draws.
        quality: of JPEG.
    """

    def shake(light: Tensor, generator: torch.Generator) -> Tensor:
        focal = torch.tensor([FOCAL * max(light.shape[-2:])])
        path = blur.draw_path(torch.tensor([extent]), focal, SAMPLES, generator)
        center = torch.tensor([[(side - 1) / 2 for side in light.shape[:-3:-1]]])
        return blur.shaken(light, blur.homographies(path, focal, center))

    return Trial(_name(f"shake {extent:g} px", quality), partial(_degraded, shake, BORDER, quality))


def kernel_trial(number: int, kernel: np.ndarray, quality: int = NO_JPEG) -> Trial:
    """A kernel, centered; the result may be shifted by a few pixels.

    Args:
        number: of the kernel, for its name.
        kernel: h w.
        quality: of JPEG.
    """
    known = blur.centered(torch.from_numpy(kernel.astype(np.float32)))
    reach = len(known) // 2

    def convolve(light: Tensor, generator: torch.Generator) -> Tensor:
        return blur.convolved(light, known[None])

    rivals = {name: partial(_deconvolved, method, known) for name, method in DECONVOLUTIONS.items()}
    name = _name(f"kernel {number}", quality)
    return Trial(name, partial(_degraded, convolve, reach, quality), slack=SLACK, rivals=rivals)


def _name(name: str, quality: int) -> str:
    return name if quality == NO_JPEG else f"{name}, quality {quality}"


def _compressed(display: Tensor, quality: int) -> Tensor:
    return jpeg(display, torch.tensor([float(quality)]), torch.tensor([HALVED_CHROMA]))


def _degraded(
    spoil: Callable[[Tensor, torch.Generator], Tensor], border: int, quality: int, clean: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """The blurred picture and the sharp one, without a border."""
    if min(clean.shape[:2]) <= 2 * border:
        raise UsageError(f"{clean.shape[1]}×{clean.shape[0]} is too small for this blur", "--data")
    generator = torch.Generator().manual_seed(number)
    display = torch.from_numpy(clean).permute(2, 0, 1)[None]
    light = blur.relit(srgb_decode(display), display, torch.tensor([BRIGHTER]))
    inner = slice(border, -border or None)
    blurred, light = (values[..., inner, inner] for values in (spoil(light, generator), light))
    shown = srgb_encode(add_shot_read(blurred, noise_at(SHOT), generator).clamp(0, 1))
    if quality == NO_JPEG:
        shown = (shown * 255).round() / 255
    else:
        shown = _compressed(shown, quality)
    recorded, sharp = (v[0].permute(1, 2, 0).contiguous().numpy() for v in (shown, srgb_encode(light.clamp(0, 1))))
    return recorded, sharp


def unsharp(blurred: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """What most programs call sharpening."""
    from skimage.filters import unsharp_mask  # half a second that only a comparison has to wait for

    # the axis as -1 sharpens three rows and leaves the rest unset (scikit-image 0.26)
    result: np.ndarray = unsharp_mask(blurred, UNSHARP_RADIUS, UNSHARP_AMOUNT, channel_axis=2)
    return result.astype(np.float32)


BASELINES: Mapping[str, Baseline] = {"unsharp mask": unsharp}


def _wiener(light: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    from skimage.restoration import wiener

    return np.asarray(wiener(light, kernel, WIENER_BALANCE, clip=False))


def _richardson_lucy(light: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    from skimage.restoration import richardson_lucy

    return np.asarray(richardson_lucy(np.maximum(light, 1e-4), kernel, LUCY_ROUNDS, clip=False))


DECONVOLUTIONS = {"Wiener, true kernel": _wiener, "Richardson-Lucy, true kernel": _richardson_lucy}


def _deconvolved(method: Callable[[np.ndarray, np.ndarray], np.ndarray], kernel: Tensor, photo: Photo) -> Photo:
    """A classical deconvolution of each channel in linear light."""
    edge = max(EDGE, len(kernel))
    padded = np.pad(photo.pixels, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    light = _tapered(srgb_decode(padded), kernel, edge)
    planes = [method(plane, kernel.numpy()) for plane in np.moveaxis(light, 2, 0)]
    linear = np.stack(planes, 2)[edge:-edge, edge:-edge].astype(np.float32)
    return photo.with_pixels(srgb_encode(linear.clip(0, 1)))


def _tapered(light: np.ndarray, kernel: Tensor, edge: int) -> np.ndarray:
    """A picture H W C that goes over into its own blur at its borders, so that it wraps around without a step."""
    planes = torch.from_numpy(light).permute(2, 0, 1)[None]
    height, width = light.shape[:2]
    y, x = (np.minimum(np.arange(side), np.arange(side)[::-1]).clip(max=edge) / edge for side in (height, width))
    share = torch.from_numpy((y[:, None] * x).astype(np.float32))
    result: np.ndarray = torch.lerp(blur.convolved(planes, kernel[None]), planes, share)[0].permute(1, 2, 0).numpy()
    return result


def trials(options: DeblurTrials, network: Network) -> list[Trial]:
    """The conditions that `photonet eval deblur` measures."""
    if options.kernels is not None:
        if options.extent is not None:
            raise UsageError("measured kernels have extents of their own", "--extent", "leave it or --kernels out")
        kernels = enumerate(read_kernels(options.kernels), 1)
        return [kernel_trial(number, kernel, options.quality) for number, kernel in kernels]
    try:
        extents = [float(text) for text in (EXTENTS if options.extent is None else options.extent).split(",")]
    except ValueError:
        raise UsageError(f"{options.extent!r} is no list of numbers", "--extent", "write 5,12,25") from None
    if not all(0 <= extent <= LARGEST_EXTENT for extent in extents):
        raise UsageError(f"{options.extent} is out of range", "--extent", f"0 to {LARGEST_EXTENT:g} pixels")
    makers = (partial(shake_trial, extent) if extent else sharp_trial for extent in extents)
    return [make(quality=options.quality) for make in makers]
