"""Blur: paths of a hand, what a camera sees on them, kernels, and things that move by themselves."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from photonet.camera.blur import (
    CLIPPED,
    Path,
    centered,
    convolved,
    disk_kernels,
    draw_path,
    film_exposed,
    homographies,
    moving_object,
    object_masks,
    path_kernels,
    relit,
    shaken,
    still_object,
)

FOCAL = torch.tensor([500.0])
CENTER = torch.tensor([[30.0, 20.0]])


def path_of(shift=(0.0, 0.0), roll=0.0, approach=0.0, turned=0.0):
    """A camera that stays at one pose."""
    return Path(torch.tensor([[shift]]), torch.tensor([[roll]]), torch.tensor([[approach]]), torch.tensor([turned]))


def seen_at(x, y, path):
    """Where the pixel (x, y) is found."""
    found = homographies(path, FOCAL, CENTER)[0, 0] @ torch.tensor([x, y, 1.0])
    return (found[:2] / found[2]).tolist()


def light_of(generator, size=(40, 50), count=1):
    return torch.rand(count, 3, *size, generator=generator)


def test_path(generator):
    """Centered, as large as it was asked for, and within what was asked for beside the shift."""
    extent, focal = torch.tensor([0.5, 4.0, 30.0, 46.0]), torch.tensor([400.0, 800.0, 3000.0, 400.0])
    path = draw_path(extent, focal, 24, generator)
    assert path.shift.shape == (4, 24, 2)
    for values in (path.shift, path.roll, path.approach):
        assert values.mean(1).abs().max() < 1e-4
    box = path.shift.amax(1) - path.shift.amin(1)
    torch.testing.assert_close(box.norm(dim=1), extent, rtol=1e-5, atol=0)
    angles, ways = (values.amax(1) - values.amin(1) for values in (path.roll, path.approach))
    assert (angles <= 0.7 * extent / focal * (1 + 1e-5)).all()
    assert (ways <= 0.3 * extent / focal * (1 + 1e-5)).all()
    assert min(angles.min(), ways.min()) > 0
    assert ((path.turned >= 0) & (path.turned <= 1)).all()


def test_path_is_drawn_by_its_generator():
    def drawn(seed):
        return draw_path(torch.full((3,), 9.0), torch.full((3,), 500.0), 16, torch.Generator().manual_seed(seed))

    assert all(torch.equal(*pair) for pair in zip(drawn(1), drawn(1), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(drawn(1), drawn(2), strict=True))


def test_path_is_smooth(generator):
    """The speed remembers itself: of white noise it would change by twice its own square, and here by a part of it."""
    shift = draw_path(torch.full((400,), 10.0), torch.full((400,), 500.0), 64, generator).shift
    speed = shift.diff(dim=1)
    change = speed.diff(dim=1).square().sum() / speed.square().sum()
    assert 0.01 < change < 0.5
    assert speed.norm(dim=2).max() < 10 / 3


def test_homographies_at_rest():
    rest = homographies(path_of(), FOCAL, CENTER)
    torch.testing.assert_close(rest, torch.eye(3)[None, None], rtol=0, atol=1e-5)


@pytest.mark.parametrize("turned", [0.0, 1.0, 0.4])
def test_homographies_of_a_shift(turned):
    """On the optical axis the place does not depend on how the camera moved; beside it a turn distorts slightly."""
    path = path_of((6.0, -4.0), turned=turned)
    assert seen_at(30.0, 20.0, path) == pytest.approx([36.0, 16.0], abs=2e-3)
    beside = seen_at(130.0, 70.0, path)
    assert beside == pytest.approx([136.0, 66.0], abs=2e-3 if turned == 0 else 0.5)
    assert (beside == pytest.approx([136.0, 66.0], abs=2e-3)) == (turned == 0)


def test_homographies_of_a_turn():
    """f tan(a + b): a turn by a about the upright axis, of what was seen at the angle b."""
    path = path_of((50.0, 0.0), turned=1.0)
    before = np.arctan(100 / 500)
    assert seen_at(130.0, 20.0, path) == pytest.approx([30 + 500 * np.tan(before + 50 / 500), 20], abs=1e-2)


def test_homographies_of_a_roll():
    """A quarter turn about the axis, wherever that is."""
    assert seen_at(30.0, 20.0, path_of(roll=1.0)) == pytest.approx([30.0, 20.0], abs=1e-3)
    assert seen_at(40.0, 23.0, path_of(roll=np.pi / 2)) == pytest.approx([30.0 - 3, 20.0 + 10], abs=1e-3)


def test_homographies_of_an_approach():
    """Farther by a quarter of the distance: all of it smaller by 1.25, about the axis."""
    assert seen_at(40.0, 25.0, path_of(approach=0.25)) == pytest.approx([38.0, 24.0], abs=1e-3)


def test_shaken_by_brute_force(generator):
    """Each pose by SciPy, in the middle, where nothing comes in over the borders."""
    light = light_of(generator, (60, 80))
    path = draw_path(torch.tensor([8.0]), torch.tensor([200.0]), 7, generator)
    seen = homographies(path, torch.tensor([200.0]), torch.tensor([[70.0, 10.0]]))
    result = shaken(light, seen)[0].permute(1, 2, 0).numpy()
    picture = light[0].permute(1, 2, 0).numpy()
    y, x = np.mgrid[:60, :80].astype(np.float64)
    total = np.zeros_like(picture)
    for pose in seen[0].double().numpy():
        a, b, c = (row[0] * x + row[1] * y + row[2] for row in pose)
        for channel in range(3):
            total[..., channel] += ndimage.map_coordinates(picture[..., channel], [b / c, a / c], order=1)
    inner = slice(12, -12)
    np.testing.assert_allclose(result[inner, inner], (total / 7)[inner, inner], atol=2e-4)
    assert np.abs(result - picture)[inner, inner].mean() > 0.05


def test_shaken_by_whole_pixels(generator):
    """The pixel (x, y) shows what was at (x, y) + shift; each picture its own."""
    light = light_of(generator, count=2)
    path = Path(torch.tensor([[[3.0, -2.0]], [[0.0, 5.0]]]), torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2))
    result = shaken(light, homographies(path, FOCAL.expand(2), CENTER.expand(2, 2)))
    torch.testing.assert_close(result[0, :, 2:, :-3], light[0, :, :-2, 3:], rtol=0, atol=1e-4)
    torch.testing.assert_close(result[1, :, :-5], light[1, :, 5:], rtol=0, atol=1e-4)


def test_shaken_equals_convolved(generator):
    """A camera that only shifts blurs all alike; the light goes the other way than the camera."""
    light = light_of(generator, (48, 56), 2)
    shift = draw_path(torch.tensor([6.0, 11.0]), torch.ones(2), 9, generator).shift
    nothing = torch.zeros(2, 9)
    path = Path(shift, nothing, nothing, torch.zeros(2))
    shook = shaken(light, homographies(path, torch.full((2,), 300.0), torch.zeros(2, 2)))
    inner = (..., slice(10, -10), slice(10, -10))
    torch.testing.assert_close(shook[inner], convolved(light, path_kernels(shift, 21))[inner], rtol=0, atol=1e-4)
    assert (shook - convolved(light, path_kernels(-shift, 21)))[inner].abs().max() > 0.05


def test_path_kernels_value():
    """A pose a quarter of a pixel to the right moves the light to the left; one up and to the left, down and right."""
    kernels = path_kernels(torch.tensor([[[0.25, 0.0], [-1.0, -2.0]]]), 5)
    expected = torch.zeros(5, 5)
    expected[2, 2], expected[2, 1], expected[4, 3] = 0.375, 0.125, 0.5
    torch.testing.assert_close(kernels[0], expected)


@pytest.mark.parametrize("radius", [3.0, 5.0, 8.5])
def test_disk_kernels_second_moment(radius):
    """A disk has R² / 4 along each axis, and what is collected by square pixels 1 / 12 more."""
    kernel = disk_kernels(torch.tensor([radius]), 19)[0].double()
    places = torch.arange(19.0, dtype=torch.float64) - 9
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    for side in (0, 1):
        assert (kernel.sum(side) * places).sum().item() == pytest.approx(0, abs=1e-6)
        assert (kernel.sum(side) * places.square()).sum().item() == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.02)
    assert (kernel[(places.square() + places[:, None].square()).sqrt() > radius + 0.75] == 0).all()
    assert kernel.max() < 1.1 / (np.pi * radius**2)


def test_disk_kernels_of_no_radius():
    """In focus: nothing is left of the blur."""
    torch.testing.assert_close(disk_kernels(torch.zeros(1), 5)[0], path_kernels(torch.zeros(1, 1, 2), 5)[0])


def centroid(kernel):
    rows, columns = (torch.arange(side, dtype=kernel.dtype) for side in kernel.shape)
    return [(kernel.sum(1) * rows).sum().item(), (kernel.sum(0) * columns).sum().item()]


@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (12, 5), (1, 1)])
def test_centered(shape, generator):
    kernel = torch.rand(shape, generator=generator).square()
    result = centered(kernel)
    assert result.shape[0] == result.shape[1]
    assert result.shape[0] % 2 == 1
    assert result.sum().item() == pytest.approx(1, abs=1e-5)
    assert centroid(result) == pytest.approx([len(result) // 2] * 2, abs=0.5 + 1e-4)
    kept, taps = (values[values > 0].flatten().sort().values for values in (result, kernel / kernel.sum()))
    torch.testing.assert_close(kept, taps)  # moved, not smoothed
    torch.testing.assert_close(centered(result), result)  # done twice changes nothing


def test_centered_value():
    """A point in a corner comes to the middle, of three points the one in the middle."""
    corner = torch.zeros(4, 6)
    corner[3, 0] = 2.0
    assert centered(corner).nonzero().tolist() == [[len(centered(corner)) // 2] * 2]
    three = torch.zeros(3, 5)
    three[0, 1:4] = torch.tensor([1.0, 2, 1])
    result = centered(three)
    middle = len(result) // 2
    assert result[middle, middle - 1 : middle + 2].tolist() == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.parametrize("shape", [(3, 3), (5, 9), (15, 1)])
def test_convolved_as_scipy_does(shape, generator):
    """Each with its own, around its middle, wrapped at the borders; kernels without any symmetry."""
    light, kernels = light_of(generator, (15, 22), 2), torch.rand(2, *shape, generator=generator)
    result = convolved(light, kernels)
    for picture, kernel, blurred in zip(light, kernels, result, strict=True):
        for plane, made in zip(picture, blurred, strict=True):
            expected = signal.convolve2d(plane.numpy(), kernel.numpy(), mode="same", boundary="wrap")
            np.testing.assert_allclose(made.numpy(), expected, atol=2e-5)


@pytest.fixture
def scene(generator):
    """A picture, another one, and a kernel without symmetry."""
    kernels = torch.rand(1, 3, 5, generator=generator)
    return light_of(generator), light_of(generator), kernels / kernels.sum()


@pytest.mark.parametrize(("make", "empty"), [(moving_object, "sharp"), (still_object, "blurred")])
def test_objects_that_fill_nothing_or_all(make, empty, scene):
    """Without the object the scene stands still, or moves; with nothing else the object does the other."""
    behind, thing, kernels = scene
    none, whole = torch.zeros(1, 1, 40, 50), torch.ones(1, 1, 40, 50)
    expected = [(behind, behind), (convolved(thing, kernels), thing)]
    if empty == "blurred":
        expected = [(convolved(behind, kernels), behind), (thing, thing)]
    for mask, pictures in zip((none, whole), expected, strict=True):
        for made, wanted in zip(make(behind, thing, mask, kernels), pictures, strict=True):
            torch.testing.assert_close(made, wanted, rtol=0, atol=2e-6)


def test_objects_between(scene, generator):
    """A half-covered place shows half of each; what is of one color stays so, however a part of it moves."""
    behind, thing, kernels = scene
    mask = torch.rand(1, 1, 40, 50, generator=generator)
    gray = torch.full_like(behind, 0.3)
    for make in (moving_object, still_object):
        for made in make(gray, gray, mask, kernels):
            torch.testing.assert_close(made, gray, rtol=0, atol=2e-6)
        torch.testing.assert_close(make(behind, thing, mask, kernels)[1], behind * (1 - mask) + thing * mask)
    moved, _ = moving_object(behind, torch.ones_like(thing), mask, kernels)
    cover = convolved(mask, kernels)
    torch.testing.assert_close(moved, behind * (1 - cover) + cover, rtol=0, atol=2e-6)


def test_object_masks(generator):
    masks = object_masks(torch.zeros(16, 3, 128, 160), generator)
    assert masks.shape == (16, 1, 128, 160)
    assert 0 <= masks.min() < 0.02
    assert 0.98 < masks.max() <= 1
    assert 0.1 < masks.mean() < 0.5  # most of the picture is not the object
    assert masks.diff(dim=-1).abs().max() < 0.3  # without hard edges


def test_relit():
    """Nothing below the threshold; at white the factor; each picture its own, and hues as they were."""
    display = torch.tensor([0.0, 0.5, CLIPPED, (1 + CLIPPED) / 2, 1.0]).expand(2, 3, 1, 5)
    light = torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1).expand(2, 3, 1, 5)
    factors = relit(light, display, torch.tensor([9.0, 1.0])) / light
    torch.testing.assert_close(factors[0], torch.tensor([1.0, 1, 1, 1 + 8 / 4, 9]).expand(3, 1, 5), rtol=1e-5, atol=0)
    assert torch.equal(factors[1], torch.ones(3, 1, 5))


def test_lamps_streak():
    """A lamp ten times as bright as white stays white along all of its way; one as bright as white does not."""
    picture = torch.zeros(1, 3, 11, 21)
    picture[..., 5, 10] = 1
    kernel = torch.zeros(1, 1, 5)
    kernel[..., :] = 0.2
    for brighter, shown in ((10.0, 1.0), (1.0, 0.2)):
        streak = convolved(relit(picture, picture, torch.tensor([brighter])), kernel).clamp(0, 1)
        torch.testing.assert_close(streak[0, :, 5, 8:13], torch.full((3, 5), shown), rtol=0, atol=1e-5)


def test_film_of_a_still_scene(generator):
    frame = light_of(generator)
    exposed = film_exposed(frame.expand(4, -1, -1, -1), torch.zeros(3, 2, 40, 50), between=3)
    torch.testing.assert_close(exposed, frame, rtol=0, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, -2])
def test_film_of_a_constant_motion(axis, generator):
    """Three frames, each moved by three pixels: the mean of seven places, a pixel apart."""
    first = light_of(generator)
    frames = torch.cat([first.roll(3 * number, axis) for number in range(3)])
    flows = torch.zeros(2, 2, 40, 50)
    flows[:, 0 if axis == -1 else 1] = 3.0
    exposed = film_exposed(frames, flows, between=3)
    expected = sum(first.roll(moved, axis) for moved in range(7)) / 7
    inner = (..., slice(10, -10), slice(10, -10))
    torch.testing.assert_close(exposed[inner], expected[inner], rtol=0, atol=1e-5)
