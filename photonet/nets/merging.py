"""Classical ways to merge aligned frames, as modules without weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HDRPLUS_TUNING = 8.0  # c of the paper's equation 7: how much difference counts as noise


class AverageMerge(nn.Module):
    """The mean of the frames.

    Args:
        channels: of a frame.
    """

    stride = 2  # height and width must be multiples of it: the filter arrays of mosaics stay whole
    radius = 0  # how many pixels away an input pixel can change an output pixel, at most

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, frames: Tensor, noise_map: Tensor) -> Tensor:
        """B N·channels H W to B channels H W; the noise makes no difference."""
        batch, _, height, width = frames.shape
        return frames.view(batch, -1, self.channels, height, width).mean(1)


class HdrPlusMerge(nn.Module):
    """Tile by tile in the frequency domain, each frame gives what agrees with the reference, within the noise.

    Args:
        channels: of a frame.
        fold: pixels per side of a filter array: its colors are merged apart.
        tile: pixels per side; tiles overlap by half.

    Source: Hasinoff et al., "Burst photography for high dynamic range and low-light imaging on mobile cameras",
    SIGGRAPH Asia 2016, section 5 (pairwise temporal merging; without its spatial denoising).
    """

    def __init__(self, channels: int = 3, fold: int = 1, tile: int = 16) -> None:
        super().__init__()
        self.channels, self.fold, self.tile = channels, fold, tile

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this; tiles begin there."""
        return self.fold * self.tile // 2

    @property
    def radius(self) -> int:
        """How many pixels away an input pixel can change an output pixel, at most."""
        return self.fold * self.tile - 1

    def forward(self, frames: Tensor, noise_map: Tensor) -> Tensor:
        """The merged reference.

        Args:
            frames: B N·channels H W, linear, aligned, the reference first.
            noise_map: B 1 H W, standard deviation of the noise of the reference.
        """
        reference, *others = frames.split(self.channels, 1)
        level = F.pixel_unshuffle(noise_map.float().square(), self.fold).mean(1, keepdim=True)
        variance = 2 * self.tile**2 * self._tiles(level).mean((-2, -1), keepdim=True)  # of a difference's coefficient
        first = self._spectrum(reference)
        total = first.clone()
        for frame in others:
            other = self._spectrum(frame)
            difference = first - other
            power = difference.abs().square()
            total += other + power / (power + HDRPLUS_TUNING * variance + 1e-12) * difference
        merged = torch.fft.irfft2(total / (1 + len(others)), s=(self.tile, self.tile))
        return self._joined(merged, reference.shape).to(frames.dtype)

    def _spectrum(self, frame: Tensor) -> Tensor:
        return torch.fft.rfft2(self._tiles(F.pixel_unshuffle(frame.float(), self.fold)))

    def _tiles(self, planes: Tensor) -> Tensor:
        """B C rows columns tile tile, of planes that are continued by half a tile at their borders."""
        half = self.tile // 2
        surrounded = F.pad(planes, (half,) * 4, mode="replicate")
        return surrounded.unfold(2, self.tile, half).unfold(3, self.tile, half)

    def _joined(self, tiles: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of `_tiles`, each weighted by a raised cosine."""
        half, (height, width) = self.tile // 2, (side // self.fold for side in shape[-2:])
        ramp = 0.5 - 0.5 * torch.cos(2 * torch.pi * (torch.arange(self.tile, device=tiles.device) + 0.5) / self.tile)
        batch, _, rows, columns = tiles.shape[:4]
        weighted = (tiles * ramp * ramp[:, None]).permute(0, 1, 4, 5, 2, 3).reshape(batch, -1, rows * columns)
        size = (height + 2 * half, width + 2 * half)
        whole = F.fold(weighted, size, self.tile, stride=half)
        return F.pixel_shuffle(whole[..., half : half + height, half : half + width], self.fold)
