"""Kernels that are found, fields of them, and deconvolved windows."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from photonet.camera.blur import convolved, path_kernels
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.task import Window
from photonet.errors import UsageError, WeightsError
from photonet.tasks.deblur import TASK
from photonet.tasks.deblur.guided import (
    NOISE,
    WINDOW,
    GuidedTraining,
    KernelField,
    deconvolved,
    find_kernels,
    make_guided,
)
from photonet.tasks.deblur.kernels import KernelTraining, kernel_loss, make_kernels, relative_error
from photonet.tasks.deblur.training import BORDER


@pytest.fixture
def crops(scene: np.ndarray) -> Tensor:
    return torch.stack(
        [torch.from_numpy(scene[y : y + 112, x : x + 112]).permute(2, 0, 1) for y, x in ((0, 0), (60, 90))]
    )


def stroke(length: float, size: int = 49) -> Tensor:
    """A horizontal one, 1 size size."""
    shift = torch.zeros(1, 64, 2)
    shift[0, :, 0] = torch.linspace(-length / 2, length / 2, 64)
    return path_kernels(shift, size)


def reader(picture: Tensor):
    """What `Runner.picture` gives: windows, reflected beyond the borders."""
    padded = np.pad(picture[0].numpy(), [(0, 0), (400, 400), (400, 400)], mode="reflect")

    def read(window: Window) -> Tensor:
        rows = slice(window.top + 400, window.top + 400 + window.height)
        return torch.from_numpy(padded[:, rows, window.left + 400 : window.left + 400 + window.width].copy())[None]

    return read


def test_training_kernels_blur_the_crop(crops: Tensor):
    """The kernel that the network is to find makes the input of the target."""
    options = KernelTraining(extent=(6, 12), shaken=0, sharp=0, defocused=0, lamps=0, compressed=0, shot=(1e-9, 1e-9))
    batch = make_kernels({"target": crops}, Generator().manual_seed(0), options)
    assert batch["input"].shape == crops.shape
    assert batch["target"].shape == (2, 1, 49, 49)
    torch.testing.assert_close(batch["target"].sum((1, 2, 3)), torch.ones(2))
    expected = srgb_encode(convolved(srgb_decode(crops), batch["target"][:, 0]))
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    torch.testing.assert_close(batch["input"][inner], expected[inner], rtol=0, atol=1.5 / 255)


def test_training_kernels_of_a_turning_camera(crops: Tensor):
    """They are those in the middle of the crop: a dot there is drawn as they say."""
    dots = torch.zeros(3, 3, 129, 129)
    dots[..., 64, 64] = 1
    options = KernelTraining(extent=(6, 12), shaken=1, lamps=0, compressed=0, shot=(1e-9, 1e-9))
    batch = make_kernels({"target": dots}, Generator().manual_seed(3), options)
    drawn = srgb_decode(batch["input"])[:, 1, 40:89, 40:89]
    torch.testing.assert_close(drawn, batch["target"][:, 0], rtol=0, atol=0.02)


def test_relative_error():
    """0 of the same, 1 of nothing, and shared by those that do not overlap."""
    first, second = stroke(8)[:, None], stroke(8).transpose(1, 2)[:, None]
    assert relative_error(first, first).item() == 0
    assert relative_error(torch.zeros_like(first), first).item() == pytest.approx(1)
    assert 0.5 < relative_error(second, first).item() < 2


def test_error_crop_of_another_size():
    net = TASK.networks["kernels"].build({"widths": (8, 8), "blocks": (1, 1), "window": 64, "rounds": 1})
    batch = {"input": torch.rand(1, 3, 128, 128), "target": stroke(4)[:, None]}
    with pytest.raises(UsageError, match="as large as the network's window"):
        kernel_loss(net, batch, 0)


def test_field():
    """Between the places kernels are mixed, beyond them they stay."""
    kernels = torch.stack([stroke(2)[0], stroke(20)[0]]).view(1, 2, 49, 49)
    field = KernelField(torch.tensor([100.0]), torch.tensor([100.0, 300.0]), kernels)
    columns = torch.tensor([0.0, 100.0, 150.0, 300.0, 900.0])
    found = field.at(torch.tensor([5.0] * 5), columns)
    expected = torch.stack([torch.lerp(kernels[0, 0], kernels[0, 1], share) for share in (0, 0, 0.25, 1, 1)])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("length", [4.0, 12.0])
def test_extent(length: float):
    """Four standard deviations of an even stroke, 1.15 times its length, and of the pixels' own width."""
    field = KernelField(torch.tensor([128.0]), torch.tensor([128.0]), stroke(length)[None])
    assert field.extent() == pytest.approx(4 * (length**2 / 12 + 1 / 6) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    ("size", "count"), [((100, 80), 1), ((256, 256), 1), ((300, 700), 2 * 4), ((4000, 257), 16 * 2)]
)
def test_windows_cover_the_picture(size: tuple[int, int], count: int):
    """Evenly, from border to border; small pictures are in the middle of theirs."""
    seen: list[Window] = []

    def picture(window: Window) -> Tensor:
        seen.append(window)
        return torch.zeros(1, 3, 1, 1)

    field = find_kernels(*size, picture, lambda windows: stroke(3).expand(len(windows), 1, -1, -1))
    assert len(seen) == field.kernels.shape[0] * field.kernels.shape[1] == count
    for side, starts in zip(size, zip(*((w.top, w.left) for w in seen), strict=True), strict=True):
        assert min(starts) == min(0, (side - WINDOW) // 2)
        assert max(starts) + WINDOW == max(side, min(starts) + WINDOW)


def test_deconvolved_windows_fit_together(scene: np.ndarray):
    """A window read alone is that window of the whole; the right kernel brings it nearer to the truth."""
    sharp = torch.from_numpy(scene).permute(2, 0, 1)[None]
    kernel = stroke(10)
    blurred = srgb_encode(convolved(srgb_decode(sharp), kernel).clamp(0, 1))
    field = KernelField(torch.tensor([100.0]), torch.tensor([100.0]), kernel[None])
    height, width = sharp.shape[-2:]
    whole = deconvolved(reader(blurred), field, Window(0, 0, height, width))
    assert whole.shape == (1, 3 * len(NOISE), height, width)
    part = deconvolved(reader(blurred), field, Window(40, 66, 90, 131))
    torch.testing.assert_close(part, whole[..., 40:130, 66:197], rtol=0, atol=1e-4)
    inner = (..., slice(30, -30), slice(30, -30))
    error = [(values[inner] - sharp[inner]).square().mean() for values in (blurred, *whole.split(3, 1))]
    assert min(error[1:]) < 0.5 * error[0]


def test_a_point_leaves_the_picture(scene: np.ndarray):
    """The milder the deconvolution, the softer; none shifts anything or changes a plain area."""
    flat = torch.full((1, 3, 120, 130), 0.4)
    field = KernelField(torch.tensor([60.0]), torch.tensor([60.0]), stroke(1e-3)[None])
    for values in deconvolved(reader(flat), field, Window(0, 0, 120, 130)).split(3, 1):
        torch.testing.assert_close(values, flat, rtol=0, atol=0.03)


def test_guided_pair(crops: Tensor):
    """Input and target as without guidance, and the three deconvolutions of the input."""
    batch = make_guided({"target": crops}, Generator().manual_seed(1), GuidedTraining())
    assert list(batch) == ["input", "target", "sharper"]
    mild, _, strong = batch["sharper"].split(3, 1)
    assert mild.shape == batch["input"].shape
    assert strong.diff(dim=-1).abs().mean() > mild.diff(dim=-1).abs().mean()


def test_own_pairs_are_guided(crops: Tensor):
    own = {"input": crops, "target": crops.flip(0)}
    batch = make_guided(dict(own), Generator(), GuidedTraining())
    assert all(batch[name] is own[name] for name in own)
    assert batch["sharper"].shape[2:] == crops.shape[2:]


def test_error_weights_that_find_no_kernels(crops: Tensor):
    with pytest.raises(WeightsError, match="are for denoise unet, and find no kernels"):
        make_guided({"target": crops}, Generator(), GuidedTraining(kernels="denoise-unet"))
