"""ONNX files: the same numbers, at any size."""

import numpy as np
import pytest
import torch
from torch import nn

from photonet.engine import export
from photonet.engine.examples import example_inputs
from photonet.engine.export import TOLERANCE, export_onnx
from photonet.engine.task import Network, Tiling
from photonet.errors import UsageError, WeightsError
from photonet.nets.unet import ResidualUNet
from photonet.tasks.denoise import TASK

UNET = TASK.networks["unet"]


def tiny_unet():
    torch.manual_seed(0)
    net = ResidualUNet(3, (4, 4), (1, 1)).eval()
    with torch.no_grad():
        net.unet.tail.weight.mul_(10)  # its first weights hardly change a picture
    return net


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path, net = tmp_path_factory.mktemp("onnx") / "unet.onnx", tiny_unet()
    report = export_onnx(UNET, net, path)
    return report, runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), net


def test_report(exported):
    report, session, _ = exported
    assert report.inputs == ("picture", "noise_map")
    assert [entry.name for entry in session.get_inputs()] == ["picture", "noise_map"]
    assert [entry.name for entry in session.get_outputs()] == ["result"]
    assert report.difference < TOLERANCE


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 20), (20, 64)])
def test_agrees_with_torch(height, width, exported):
    _, session, net = exported
    inputs = example_inputs(UNET, height, width)
    (result,) = session.run(None, {"picture": inputs[0].numpy(), "noise_map": inputs[1].numpy()})
    with torch.inference_mode():
        expected = net(*inputs).numpy()
    assert np.abs(expected - inputs[0].numpy()).max() > 0.01  # the network did something
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_error_disagreement_writes_nothing(exported, tmp_path, monkeypatch, tolerance):
    monkeypatch.setattr(export, "TOLERANCE", tolerance)
    path = tmp_path / "unet.onnx"
    with pytest.raises(WeightsError, match="the exported network differs by"):
        export_onnx(UNET, tiny_unet(), path)
    assert not path.exists()


class Spectrum(nn.Module):
    """Of complex numbers ONNX knows nothing."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft2(picture)[..., None].abs()


def test_error_not_in_onnx(tmp_path):
    pytest.importorskip("onnxscript")
    path = tmp_path / "spectrum.onnx"
    with pytest.raises(UsageError, match="computes what ONNX cannot express"):
        export_onnx(Network("spectrum", lambda config: Spectrum(), lambda net: Tiling()), Spectrum(), path)
    assert not path.exists()


def test_error_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="onnxruntime is not installed") as caught:
        export_onnx(UNET, tiny_unet(), tmp_path / "unet.onnx")
    assert "pip install onnx" in caught.value.fix
