"""What motion and focus do to light while the shutter is open; all of it linear, so that lamps streak as they do.

Pictures are B C H W, linear and unclipped. What comes in over the borders is made up: render more than is needed, and
cut a border of `reach` pixels away.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from photonet.camera.noise import correlated, log_uniform, uniform, white

ROTATION = 0.7  # largest angle about the optical axis, as a share of the shift in pixels over the focal length
APPROACH = 0.3  # largest motion along that axis, likewise
MEMORY = (0.1, 1.0)  # share of the exposure in which a hand forgets where it went
CLIPPED = 0.9  # mean display value from which on the light may have been brighter than it is shown
MASK_RADIUS, MASK_LEVEL, MASK_EDGE = 24.0, 0.7, 8.0  # blur in pixels, threshold and steepness of moving objects
SUPERSAMPLED = 4  # subpixels per side of a disk's kernel


class Path(NamedTuple):
    """Where a camera is while the shutter is open, B samples each; all means over the samples are 0.

    Args:
        shift: B S 2, as (x, y) in pixels in the middle of the picture.
        roll: B S, radians about the optical axis.
        approach: B S, motion along the axis, as a share of the distance of the scene.
        turned: B, share of the shift that comes from turning the camera; the rest comes from moving it.
    """

    shift: Tensor
    roll: Tensor
    approach: Tensor
    turned: Tensor


def draw_path(extent: Tensor, focal: Tensor, samples: int, generator: Generator) -> Path:
    """A smooth random path in six degrees of freedom, as a hand's.

    Args:
        extent: B, diagonal of the box in pixels that a point in the middle of the picture draws.
        focal: B, focal length in pixels.
        samples: S, poses at equal distances in time.
    """
    batch = len(extent)
    memory = log_uniform(batch, *MEMORY, generator).view(-1, 1, 1)
    time = torch.arange(samples, device=extent.device) / samples
    since = time[:, None] - time
    kept = torch.where(since >= 0, (-since.clamp_min(0) / memory).exp(), 0)
    wander = kept @ white((batch, samples, 4), generator) / (memory / 2 * samples).sqrt()  # of unit variance
    drift = uniform(batch, 0, 1, generator).view(-1, 1, 1) * white((batch, 1, 4), generator)
    speed = wander + drift
    place = speed.cumsum(1)
    place = place - place.mean(1, keepdim=True)
    box = place.amax(1) - place.amin(1)
    shift = place[..., :2] * (extent / box[:, :2].square().sum(1).sqrt().clamp_min(1e-6)).view(-1, 1, 1)
    largest = (extent / focal)[:, None] * uniform(2 * batch, 0, 1, generator).view(batch, 2)
    largest = largest * torch.tensor((ROTATION, APPROACH), device=extent.device)
    roll, approach = (place[..., 2:] * (largest / box[:, 2:].clamp_min(1e-6))[:, None]).unbind(2)
    return Path(shift, roll, approach, uniform(batch, 0, 1, generator))


def homographies(path: Path, focal: Tensor, center: Tensor) -> Tensor:
    """Pixels (x, y, 1) of the picture → pixels seen at each pose, B S 3 3, of a flat scene in front of the camera.

    Args:
        focal: B, focal length in pixels.
        center: B 2, where the optical axis meets the picture, as (x, y).
    """
    batch, samples = path.roll.shape
    turn = path.shift * (path.turned[:, None] / focal[:, None])[..., None]
    move = path.shift * ((1 - path.turned)[:, None] / focal[:, None])[..., None]
    zero, one = torch.zeros_like(path.roll), torch.ones_like(path.roll)
    (yaw, pitch), (x, y) = turn.unbind(2), move.unbind(2)
    angles = torch.stack([zero, -path.roll, yaw, path.roll, zero, pitch, -yaw, -pitch, zero], 2)
    rotation = torch.linalg.matrix_exp(angles.view(batch, samples, 3, 3))
    moved = torch.stack([zero, zero, x, zero, zero, y, zero, zero, one * path.approach], 2)
    camera = torch.eye(3, device=focal.device).repeat(batch, 1, 1)
    camera[:, 0, 0] = camera[:, 1, 1] = focal
    camera[:, :2, 2] = center
    pose = rotation + moved.view(batch, samples, 3, 3)
    return camera[:, None] @ pose @ torch.linalg.inv(camera)[:, None]


def shaken(light: Tensor, seen: Tensor) -> Tensor:
    """The mean of a picture as it is seen at all poses: the blur varies from place to place.

    Args:
        seen: B S 3 3, as `homographies` gives them.
    """
    height, width = light.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(float(height), device=light.device), torch.arange(float(width), device=light.device), indexing="ij"
    )
    places = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    scale = torch.tensor((2 / width, 2 / height), device=light.device).view(1, 2, 1)
    total = torch.zeros_like(light)
    for pose in seen.unbind(1):
        found = pose @ places
        grid = ((found[:, :2] / found[:, 2:] + 0.5) * scale - 1).view(-1, 2, height, width).permute(0, 2, 3, 1)
        total += F.grid_sample(light, grid, "bilinear", "reflection", align_corners=False)
    return total / seen.shape[1]


def shifts_at(seen: Tensor, place: Tensor) -> Tensor:
    """How a point of the picture moves over the poses, B S 2 as (x, y) in pixels: what `path_kernels` takes.

    Args:
        seen: B S 3 3, as `homographies` gives them.
        place: 2, the point as (x, y).
    """
    point = torch.cat([place, place.new_ones(1)])
    found = (seen * point).sum(3)
    return found[..., :2] / found[..., 2:] - place


def path_kernels(shift: Tensor, size: int) -> Tensor:
    """Kernels B size size of a camera that only shifts, each of sum 1; light goes the other way.

    Args:
        shift: B S 2, as (x, y) in pixels, less than half the size.
        size: odd.
    """
    middle = size // 2
    tent = [
        (1 - (torch.arange(size, device=shift.device) - middle + place[..., None]).abs()).clamp_min(0)
        for place in shift.unbind(2)
    ]
    kernels = tent[1].transpose(1, 2) @ tent[0]
    return kernels / kernels.sum((1, 2), keepdim=True)


def disk_kernels(radius: Tensor, size: int) -> Tensor:
    """Kernels B size size of a picture out of focus, each of sum 1.

    Args:
        radius: B, of the circle of confusion in pixels, less than half the size; below 0.5 it counts as 0.5.
        size: odd.
    """
    fine = (torch.arange(size * SUPERSAMPLED, device=radius.device) + 0.5) / SUPERSAMPLED - size / 2
    inside = (fine.square() + fine[:, None].square()).sqrt() <= radius.clamp_min(0.5).view(-1, 1, 1)
    kernels = F.avg_pool2d(inside.float()[:, None], SUPERSAMPLED)[:, 0]
    return kernels / kernels.sum((1, 2), keepdim=True)


def centered(kernel: Tensor) -> Tensor:
    """A kernel h w, made of sum 1, with the pixel nearest to its centroid in the middle of an odd square.

    A kernel says where light goes only up to a shift of the picture; its own centroid is the shift nearest to all.
    """
    kernel = kernel / kernel.sum()
    middle = []
    for side, length in enumerate(kernel.shape):
        places = torch.arange(length, dtype=kernel.dtype, device=kernel.device)
        middle.append(round((kernel.sum(1 - side) * places).sum().item()))
    reach = max(max(place, length - 1 - place) for place, length in zip(middle, kernel.shape, strict=True))
    top, left = (reach - place for place in middle)
    bottom, right = (2 * reach + 1 - before - n for before, n in zip((top, left), kernel.shape, strict=True))
    return F.pad(kernel, (left, right, top, bottom))


def convolved(light: Tensor, kernels: Tensor) -> Tensor:
    """Pictures blurred by a kernel each, around their middle; borders wrap around.

    Args:
        kernels: B h w, odd sides no longer than the picture's.

    Raises:
        ValueError: a kernel is larger than the picture.
    """
    size = (light.shape[-2], light.shape[-1])
    return torch.fft.irfft2(torch.fft.rfft2(light) * transfer_function(kernels, size)[:, None], s=size)


def transfer_function(kernels: Tensor, size: tuple[int, int]) -> Tensor:
    """The Fourier transform of kernels around their middle, B H W/2+1, for pictures of a size H W.

    Args:
        kernels: B h w, odd sides no longer than the picture's.

    Raises:
        ValueError: a kernel is larger than the picture.
    """
    height, width = kernels.shape[-2:]
    if height > size[0] or width > size[1]:
        raise ValueError(f"a kernel of {(height, width)} is larger than the picture, {size}")
    padded = F.pad(kernels, (0, size[1] - width, 0, size[0] - height))
    return torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), (-2, -1)))


def object_masks(light: Tensor, generator: Generator) -> Tensor:
    """Soft-edged blobs B 1 H W of objects that move by themselves, or stand still while all the rest moves."""
    batch, _, height, width = light.shape
    radius = torch.full((batch,), MASK_RADIUS, device=light.device)
    blobs = correlated((batch, 1, height, width), radius, generator)
    return torch.sigmoid((blobs - MASK_LEVEL) * MASK_EDGE)


def moving_object(scene: Tensor, thing: Tensor, mask: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Something that moves in front of a scene that stands still: the picture, and how it is without motion.

    Args:
        scene, thing: B C H W.
        mask: B 1 H W, where the thing is, 0 to 1.
        kernels: B h w, of its motion.
    """
    moved = convolved(torch.cat([thing * mask, mask], 1), kernels)
    return scene * (1 - moved[:, -1:]) + moved[:, :-1], torch.lerp(scene, thing, mask)


def still_object(scene: Tensor, thing: Tensor, mask: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Something that the camera follows while the scene behind it moves; otherwise as `moving_object`."""
    return torch.lerp(convolved(scene, kernels), thing, mask), torch.lerp(scene, thing, mask)


def relit(light: Tensor, display: Tensor, brighter: Tensor) -> Tensor:
    """Highlights as bright as they may have been before the display clipped them.

    Args:
        light: linear pictures.
        display: the same as they are shown, 0 to 1.
        brighter: B, factor at white.
    """
    share = ((display.mean(1, keepdim=True) - CLIPPED) / (1 - CLIPPED)).clamp(0, 1)
    return light * (1 + (brighter.view(-1, 1, 1, 1) - 1) * share.square())


def film_exposed(frames: Tensor, flows: Tensor, between: int) -> Tensor:
    """What one long exposure records of frames that were taken one after another, 1 C H W.

    Args:
        frames: T C H W.
        flows: T-1 2 H W, where the pixels of each frame are in the next, as (x, y) in pixels.
        between: pictures that every frame and the way to the next count as.
    """
    total = torch.zeros_like(frames[:1])
    for first, second, flow in zip(frames, frames[1:], flows, strict=False):
        for step in range(between):
            time = step / between
            parts = _carried(first, -time * flow), _carried(second, (1 - time) * flow)
            total += torch.lerp(*parts, time)
    return (total + frames[-1:]) / (between * len(flows) + 1)


def _carried(frame: Tensor, offset: Tensor) -> Tensor:
    """What is at (x, y) + offset, 1 C H W."""
    height, width = frame.shape[-2:]
    y, x = (torch.arange(side, device=frame.device) for side in (height, width))
    grid = torch.stack([(x + offset[0] + 0.5) * 2 / width - 1, (y[:, None] + offset[1] + 0.5) * 2 / height - 1], -1)
    return F.grid_sample(frame[None], grid[None].to(frame), "bilinear", "border", align_corners=False)
