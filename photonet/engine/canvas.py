"""Between the pixels of a photo and the tensors of a network, window by window."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from photonet.color import ColorState, transfer
from photonet.engine.task import Look, Network, Window
from photonet.engine.tiles import Tile, read_window
from photonet.errors import UsageError
from photonet.photo import Photo, full_scale


def picture_of(
    photo: Photo, network: Network, state: ColorState | None = None, look: Look | None = None
) -> Callable[[Window], Tensor]:
    """Window → the picture as a network expects it: 1 C H W, float32, 1.0 = white.

    Args:
        state, look: as of `Runner.picture`.
    """
    convert = transfer(photo.state, state or network.expects)
    if network.channels < photo.pixels.shape[2]:
        raise UsageError("this network is for gray pictures, and the picture has color", photo.meta.source or "")

    def read(window: Window) -> Tensor:
        pixels = np.ascontiguousarray(look(window) if look else read_window(photo.pixels, window))
        tensor = torch.from_numpy(pixels).float().permute(2, 0, 1)[None]
        if photo.full_scale != 1:
            tensor /= photo.full_scale
        return _with_channels(convert(tensor), network.channels)

    return read


def _with_channels(tensor: Tensor, channels: int) -> Tensor:
    """Gray is repeated for a color network; a color network's result for a gray picture is averaged."""
    if tensor.shape[1] == channels:
        return tensor
    return tensor.expand(-1, channels, -1, -1) if tensor.shape[1] == 1 else tensor.mean(1, keepdim=True)


class Canvas:
    """The pixels of a result, filled tile by tile in the depth that they are kept in.

    Args:
        photo: the picture that the result replaces; its color state is kept.
        returns: color state of the tiles.
        scale: of the result.
        dtype: depth of the result, None for that of the photo.
        strength: share of the result, the rest is the photo, for networks that keep its size.
    """

    def __init__(
        self, photo: Photo, returns: ColorState, scale: Fraction, dtype: DTypeLike | None, strength: float
    ) -> None:
        self._photo = photo
        self._restore = transfer(returns, photo.state)
        self._strength, self._scale = strength, scale
        height, width = int(photo.height * scale), int(photo.width * scale)
        self.pixels = np.empty((height, width, photo.pixels.shape[2]), dtype or photo.pixels.dtype)

    def place(self, tile: Tile, output: Tensor) -> None:
        """Put the core of a tile's output in its place. Only integer pixels are clipped."""
        result = self._restore(tile.crop(output, self._scale))
        pixels = _with_channels(result, self.pixels.shape[2])[0].permute(1, 2, 0)
        if self._strength < 1:
            core = np.ascontiguousarray(read_window(self._photo.pixels, tile.core))
            original = torch.from_numpy(core).to(pixels) / self._photo.full_scale
            pixels = torch.lerp(original, pixels, self._strength)
        top, left = int(tile.core.top * self._scale), int(tile.core.left * self._scale)
        target = self.pixels[top : top + pixels.shape[0], left : left + pixels.shape[1]]
        if self.pixels.dtype.kind == "u":
            white = full_scale(self.pixels.dtype)
            pixels = (pixels * white).round_().clamp_(0, white).to(getattr(torch, self.pixels.dtype.name))
        target[...] = pixels.cpu().numpy()
