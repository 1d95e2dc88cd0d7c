"""Kernels that are found, fields of them, and deconvolved windows."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from photonet.camera.blur import convolved, path_kernels
from photonet.camera.deconvolve import LEAST_DETAIL, mirrored
from photonet.color import srgb_decode, srgb_encode
from photonet.engine.task import Window
from photonet.errors import UsageError, WeightsError
from photonet.tasks.deblur import TASK, guided
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
from photonet.tasks.deblur.training import BORDER, make_pair


@pytest.fixture
def crops(scene: np.ndarray) -> Tensor:
    return torch.stack(
        [torch.from_numpy(scene[y : y + 112, x : x + 112]).permute(2, 0, 1) for y, x in ((0, 0), (60, 90))]
    )


def stroke(length: float, size: int = 49, degrees: float = 0) -> Tensor:
    """A straight one through the middle, 1 size size."""
    place = torch.linspace(-length / 2, length / 2, 64)
    angle = torch.tensor(degrees).deg2rad()
    return path_kernels(torch.stack([place * angle.cos(), place * angle.sin()], 1)[None], size)


def field_of(*kernels: Tensor) -> KernelField:
    """Kernels 1 k k in a row, 200 pixels apart."""
    columns = 100.0 + 200 * torch.arange(len(kernels))
    return KernelField(
        torch.tensor([100.0]), columns, torch.stack(kernels, 1), torch.zeros(1, len(kernels), dtype=torch.bool)
    )


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


def test_training_kernels_of_a_turning_camera():
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
    with pytest.raises(UsageError, match="as large as the network's window"):
        relative_error(first.repeat(1, 1, 2, 2), first)


def test_error_crop_of_another_size():
    net = TASK.networks["kernels"].build({"widths": (8, 8), "blocks": (1, 1), "window": 64, "rounds": 1})
    batch = {"input": torch.rand(1, 3, 128, 128), "target": stroke(4)[:, None]}
    with pytest.raises(UsageError, match="as large as the network's window"):
        kernel_loss(net, batch, 0)


def test_lamps_do_not_count():
    """Linear files hold light beyond white, which no kernel was trained to see."""
    net = TASK.networks["kernels"].build({"widths": (8, 8), "blocks": (1, 1), "window": 64, "rounds": 1})
    picture = torch.rand(1, 3, 64, 64, generator=Generator().manual_seed(0))
    picture[..., 20, 30] = 1
    lamp = picture.clone()
    lamp[..., 20, 30] = 100
    assert torch.equal(net(lamp), net(picture))


def test_field():
    """Between the places kernels are mixed, beyond them they stay."""
    first, second = stroke(2), stroke(20)
    columns = torch.tensor([0.0, 100.0, 150.0, 300.0, 900.0])
    found = field_of(first, second).at(torch.tensor([5.0] * 5), columns)
    expected = torch.cat([torch.lerp(first, second, share) for share in (0, 0, 0.25, 1, 1)])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("degrees", [0.0, 45.0, 110.0])
@pytest.mark.parametrize("length", [0.0, 4.0, 12.0])
def test_length(length: float, degrees: float):
    """That of an even stroke, however it lies; faint doubts far from it do not count."""
    doubtful = 0.9 * stroke(length, degrees=degrees) + 0.1 / 49**2
    assert field_of(doubtful).length() == pytest.approx(length, abs=0.3)


def test_length_of_the_middle():
    """The median over the picture, without what is plain."""
    field = field_of(stroke(4), stroke(9), stroke(20))
    assert field.length() == pytest.approx(9, abs=0.3)
    assert field._replace(plain=torch.tensor([[False, True, True]])).length() == pytest.approx(4, abs=0.3)
    assert field._replace(plain=torch.ones(1, 3, dtype=torch.bool)).length() is None


@pytest.mark.parametrize(
    ("size", "count"), [((100, 80), 1), ((256, 256), 1), ((300, 700), 2 * 3), ((4000, 257), 12 * 2)]
)
def test_windows_cover_the_picture(size: tuple[int, int], count: int):
    """Evenly, from border to border; small pictures are in the middle of theirs."""
    seen: list[Window] = []

    def picture(window: Window) -> Tensor:
        seen.append(window)
        return torch.full((1, 3, 4, 4), 0.5) + (window.top > 0) * torch.linspace(-0.1, 0.1, 16).view(4, 4)

    field = find_kernels(*size, picture, lambda windows: stroke(3).expand(len(windows), 1, -1, -1))
    assert len(seen) == field.kernels.shape[0] * field.kernels.shape[1] == count
    for side, starts in zip(size, zip(*((w.top, w.left) for w in seen), strict=True), strict=True):
        assert min(starts) == min(0, (side - WINDOW) // 2)
        assert max(starts) + WINDOW == max(side, min(starts) + WINDOW)
    assert torch.equal(field.plain, (field.rows <= WINDOW / 2)[:, None].expand_as(field.plain))


def test_error_windows_of_another_size():
    """A helper with smaller windows gives several kernels for one."""
    smaller = TASK.networks["kernels"].build({"widths": (8, 8), "blocks": (1, 1), "window": 128, "rounds": 1})
    with pytest.raises(WeightsError, match="do not give one kernel for 256×256 pixels"):
        find_kernels(256, 256, reader(torch.rand(1, 3, 256, 256)), smaller)


def test_deconvolved_windows_fit_together(scene: np.ndarray):
    """A window read alone is that window of the whole; the right kernel brings it nearer to the truth."""
    sharp = torch.from_numpy(scene).permute(2, 0, 1)[None]
    kernel = stroke(10)
    blurred = srgb_encode(convolved(srgb_decode(sharp), kernel).clamp(0, 1))
    field = field_of(kernel)
    height, width = sharp.shape[-2:]
    whole = deconvolved(reader(blurred), field, Window(0, 0, height, width))
    assert whole.shape == (1, 3 * len(NOISE), height, width)
    part = deconvolved(reader(blurred), field, Window(40, 66, 90, 131))
    torch.testing.assert_close(part, whole[..., 40:130, 66:197], rtol=0, atol=1e-4)
    inner = (..., slice(30, -30), slice(30, -30))
    error = [(values[inner] - sharp[inner]).square().mean() for values in (blurred, *whole.split(3, 1))]
    assert min(error[1:]) < 0.5 * error[0]


def test_a_point_softens_the_picture(scene: np.ndarray):
    """The gentler the deconvolution, the softer; nothing is shifted, and plain areas keep what `wiener` says."""
    sharp = torch.from_numpy(scene).permute(2, 0, 1)[None]
    height, width = sharp.shape[-2:]
    levels = deconvolved(reader(sharp), field_of(stroke(0)), Window(0, 0, height, width)).split(3, 1)
    steps = [values.diff(dim=-1).square().mean() for values in (*levels, sharp)]
    assert steps == sorted(steps)
    assert steps[0] < 0.95 * steps[-1]
    spectrum = torch.fft.rfft2(sharp)
    for values in levels:
        agreement = torch.fft.irfft2(torch.fft.rfft2(values).conj() * spectrum, s=(height, width)).sum((0, 1))
        assert agreement.argmax() == 0  # at no shift
    flat = torch.full((1, 3, 120, 130), 0.4)
    left = deconvolved(reader(flat), field_of(stroke(0)), Window(0, 0, 120, 130)).split(3, 1)
    for values, noise in zip(left, NOISE, strict=True):
        torch.testing.assert_close(values, srgb_encode(srgb_decode(flat) / (1 + noise * LEAST_DETAIL)))


@pytest.mark.parametrize("side", [112, 400])
def test_guided_pair(side: int, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """Input and target as without guidance, and the deconvolutions with the kernel of each crop's middle."""
    crop = mirrored(torch.from_numpy(scene).permute(2, 0, 1)[None], 100)[..., :side, :side]
    crops = torch.cat([crop, crop.flip(3)])
    kernels = torch.stack([stroke(8), stroke(8, degrees=90)])
    seen: list[Tensor] = []

    def find(tensors: tuple[Tensor]) -> tuple[Tensor, bool]:
        seen.extend(tensors)
        return kernels, False

    monkeypatch.setattr(guided, "_finder", lambda weights, device: find)
    batch = make_guided({"target": crops}, Generator().manual_seed(1), GuidedTraining())
    plain = make_pair({"target": crops}, Generator().manual_seed(1), GuidedTraining())
    assert list(batch) == ["input", "target", "sharper"]
    assert all(torch.equal(batch[name], plain[name]) for name in plain)
    left = side - 2 * BORDER
    offset = (WINDOW - left) // 2
    assert seen[0].shape == (2, 3, WINDOW, WINDOW)
    if offset > 0:
        torch.testing.assert_close(seen[0][..., offset : offset + left, offset : offset + left], plain["input"])
    else:
        torch.testing.assert_close(seen[0], plain["input"][..., -offset : offset or None, -offset : offset or None])
    for number, picture in enumerate(plain["input"].split(1)):
        right, wrong = (
            deconvolved(reader(picture), field_of(kernels[which]), Window(0, 0, left, left))[0]
            for which in (number, 1 - number)
        )
        inner = (..., slice(16, -16), slice(16, -16))  # of crops the borders wrap around
        errors = [(batch["sharper"][number] - other)[inner].abs().mean() for other in (right, wrong)]
        assert errors[0] < 0.1 * errors[1]


def test_own_pairs_are_guided(crops: Tensor):
    own = {"input": crops, "target": crops.flip(0)}
    batch = make_guided(dict(own), Generator(), GuidedTraining())
    assert all(batch[name] is own[name] for name in own)
    assert batch["sharper"].shape[2:] == crops.shape[2:]


def test_error_weights_that_find_no_kernels(crops: Tensor):
    with pytest.raises(WeightsError, match="are for denoise unet, and find no kernels"):
        make_guided({"target": crops}, Generator(), GuidedTraining(kernels="denoise-unet"))
