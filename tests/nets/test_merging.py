"""Classical merging: values by hand, and the noise that is left."""

import pytest
import torch

from photonet.nets.merging import HDRPLUS_TUNING, AverageMerge, HdrPlusMerge


def test_average(generator):
    frames = torch.rand(2, 12, 6, 7, generator=generator)
    expected = (frames[:, 0:3] + frames[:, 3:6] + frames[:, 6:9] + frames[:, 9:12]) / 4
    torch.testing.assert_close(AverageMerge()(frames, frames[:, :1]), expected)
    gray = AverageMerge(1)(frames, frames[:, :1])
    torch.testing.assert_close(gray, frames.mean(1, keepdim=True))


@pytest.mark.parametrize(("channels", "fold", "tile"), [(3, 1, 16), (1, 2, 16), (1, 1, 8), (2, 2, 4)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_equal_frames_give_the_reference(count, channels, fold, tile, generator):
    """The windows of overlapping tiles sum to one, up to the borders."""
    net = HdrPlusMerge(channels, fold, tile)
    reference = torch.rand(2, channels, 3 * net.stride, 5 * net.stride, generator=generator)
    result = net(reference.repeat(1, count, 1, 1), torch.full_like(reference[:, :1], 0.05))
    torch.testing.assert_close(result, reference, rtol=0, atol=1e-5)


def test_a_constant_stays_constant():
    frames = torch.full((1, 3, 32, 48), 0.3)
    torch.testing.assert_close(HdrPlusMerge(1)(frames, frames[:, :1]), frames[:, :1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("fold", [1, 2])
def test_another_picture_does_not_count(fold, generator):
    frames = torch.rand(1, 2, 32, 64, generator=generator)
    result = HdrPlusMerge(1, fold)(frames, torch.full((1, 1, 32, 64), 1e-4))
    torch.testing.assert_close(result, frames[:, :1], rtol=0, atol=0.01)
    # and of frames that noise alone can explain, the mean is taken
    result = HdrPlusMerge(1, fold)(frames, torch.full((1, 1, 32, 64), 100.0))
    torch.testing.assert_close(result, frames.mean(1, keepdim=True), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("fold", "tile"), [(1, 16), (2, 16), (1, 8)])
def test_value(fold, tile):
    """Two constant frames, different by d: only the coefficient d n² differs, whose noise has the variance 2 n² σ².

    The other frame counts as A (reference) + (1 - A) (other), with A = d² n⁴ / (d² n⁴ + c 2 n² σ²): a half here.
    """
    difference = 0.2
    level = difference * tile / (2 * HDRPLUS_TUNING) ** 0.5
    net = HdrPlusMerge(1, fold, tile)
    reference = torch.full((1, 1, 2 * net.stride, 3 * net.stride), 0.4)
    frames = torch.cat([reference, reference + difference, reference], 1)
    result = net(frames, torch.full_like(reference, level))
    torch.testing.assert_close(result, reference + difference / 2 / 3, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fold", [1, 2])
def test_reduces_noise(fold, generator):
    """Eight frames: their mean has 0.35 of the noise, and a ninth or so of every difference is taken for motion."""
    level, count = 0.04, 8
    frames = 0.5 + level * torch.randn(1, count, 128, 128, generator=generator)
    noise = HdrPlusMerge(1, fold)(frames, torch.full((1, 1, 128, 128), level)) - 0.5
    assert 0.9 / count**0.5 < noise.std().item() / level < 0.45
    assert abs(noise.mean().item()) < 1e-3


def test_noise_map_counts_where_it_is(generator):
    frames = torch.rand(1, 2, 64, 128, generator=generator)
    level = torch.full((1, 1, 64, 128), 1e-4)
    level[..., 64:] = 100
    result = HdrPlusMerge(1)(frames, level)
    torch.testing.assert_close(result[..., :48], frames[:, :1, :, :48], rtol=0, atol=0.01)
    torch.testing.assert_close(result[..., 80:], frames.mean(1, keepdim=True)[..., 80:], rtol=0, atol=1e-3)


def test_fold_keeps_colors_apart():
    """Of a mosaic of one color the others know nothing, whatever another frame has there."""
    colors = torch.tensor([[0.1, 0.4], [0.6, 0.9]]).repeat(16, 24)[None, None]
    net, level = HdrPlusMerge(1, fold=2, tile=8), torch.full((1, 1, 32, 48), 0.2)
    torch.testing.assert_close(net(torch.cat([colors] * 3, 1), level), colors, rtol=0, atol=1e-6)
    other = colors.clone()
    other[..., 1::2, ::2] += 0.1
    result = net(torch.cat([colors, other], 1), level)
    changed = (result - colors)[..., 1::2, ::2]
    # A = d² n² / (d² n² + 2 c σ²) is a half
    torch.testing.assert_close(changed, torch.full_like(changed, 0.1 / 4), rtol=0, atol=1e-6)
    rest = torch.ones_like(colors, dtype=torch.bool)
    rest[..., 1::2, ::2] = False
    torch.testing.assert_close(result[rest], colors[rest], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("fold", "tile"), [(1, 8), (2, 4)])
def test_radius(fold, tile, generator):
    """Every pixel of some tile changes with any of the tile's, and no other."""
    net = HdrPlusMerge(1, fold, tile).double()
    side = 8 * net.stride
    frames = torch.rand(1, 2, side, side, generator=generator, dtype=torch.float64)
    level = torch.full((1, 1, side, side), 0.2, dtype=torch.float64)
    before, reached = net(frames, level), []
    for offset in range(net.stride):
        place = side // 2 + offset
        other = frames.clone()
        other[:, 1, place, place] += 0.5
        rows, columns = (net(other, level) - before).abs()[0, 0].gt(1e-6).nonzero(as_tuple=True)
        reached += [place - rows.min().item(), rows.max().item() - place, columns.max().item() - place]
    assert max(reached) <= net.radius == fold * tile - 1
    assert max(reached) > net.radius - fold


def test_precision():
    frames = torch.full((1, 2, 16, 16), 0.5, dtype=torch.float16)
    result = HdrPlusMerge(1)(frames, frames[:, :1])
    assert result.dtype == torch.float16
    torch.testing.assert_close(result, frames[:, :1])
