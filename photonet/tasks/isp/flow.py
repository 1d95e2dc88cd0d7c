"""What the flow sees, both ways: the curve of the development, with the room that highlights need."""

from collections.abc import Callable

import torch
from torch import Tensor

from photonet.camera import process, unprocess
from photonet.photo import Photo

HIGHEST = 2.5  # value of an encoded scene: a linear 7 times white, more than white balance makes of any sensor
SAMPLES, CANDIDATES = 100_000, 17  # pixels and values that what becomes white is chosen from
JPEG_ERROR = 1.5 / 255  # of a rendering's pixels, about, at quality 90


def rendered(net: Callable[..., Tensor], scene: Tensor, white: Tensor) -> Tensor:
    """The flow renders what already is on the curve of the development, with room for what that would clip.

    Args:
        scene: B 3 H W, values of `photonet.engine.develop.encoded`.
        white: B, of `white_of`.
    """
    return net(process.open_curve(scene, white))


def recovered(net: Callable[..., Tensor], picture: Tensor, white: Tensor) -> Tensor:
    """The inverse of `rendered`, up to `white`: no error of a picture becomes more light than there was."""
    return unprocess.open_curve(net(picture, backwards=True).float().clamp_max(1), white)


def white_of(scene: Photo) -> float:
    """The value of an encoded scene that is to become white."""
    stride = max(round((scene.height * scene.width / SAMPLES) ** 0.5), 1)
    values = torch.from_numpy(scene.pixels[::stride, ::stride].copy())
    return round(best_whites(values.flatten()[None]).item(), 4)


def best_whites(values: Tensor) -> Tensor:
    """Of encoded scenes, B N, what each should have as white, at least 1: the value that loses least, B.

    What is brighter is cut off, and the more there is room for, the more the errors of a JPEG grow on the way back.
    """
    brightest = values.amax(1).clamp(1, HIGHEST)
    shares = torch.linspace(0, 1, CANDIDATES, device=values.device)
    whites = 1 + shares[:, None] * (brightest - 1)
    costs = []
    for white in whites:
        shown = torch.minimum(values.clamp_min(process.TOE), white[:, None])
        noise = JPEG_ERROR / process.open_curve_slope(shown[:, None, None], white)[:, 0, 0]
        costs.append((noise.square() + (values - shown).clamp_min(0).square()).mean(1))
    return whites.gather(0, torch.stack(costs).argmin(0, keepdim=True))[0]
