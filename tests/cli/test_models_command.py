"""`photonet models`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command

from photonet.engine import checkpoint
from photonet.tasks import CATALOG, get_task


class TestModels:
    def test_list(self, photonet: Command):
        (rows,) = photonet("models", "list", "--json").records
        assert {(row["task"], row["network"]) for row in rows} == {
            (task, network) for task in CATALOG for network in get_task(task).networks
        }
        assert next(row["weights"] for row in rows if row["network"] == "unet") == "denoise-unet"
        assert "denoise-unet" in photonet("models", "list").out

    @pytest.mark.usefixtures("no_weights")
    def test_list_without_weights(self, photonet: Command):
        (rows,) = photonet("models", "list", "--json").records
        assert {row["weights"] for row in rows} == {"no weights shipped"}

    def test_show(self, photonet: Command, small_weights: dict[str, Path]):
        for name in ("denoise-unet", small_weights["unet"]):
            card = json.loads(photonet("models", "show", name, "--json").out)
            assert (card["task"], card["network"]) == ("denoise", "unet")
            assert card["config"]["widths"] == [8, 8]

    def test_show_for_people(self, photonet: Command):
        done = photonet("models", "show", "denoise-unet")
        assert done.code == 0
        assert all(word in done.out for word in ("widths", "psnr"))

    def test_show_missing(self, photonet: Command):
        done = photonet("models", "show", "gone")
        assert (done.code, done.stdout) == (4, b"")
        assert "gone" in done.err

    def test_verify(self, photonet: Command, small_weights: dict[str, Path]):
        done = photonet("models", "verify")
        assert done.code == 0
        assert done.out.count("denoise-") == len(small_weights)

    def test_verify_finds_a_changed_file(self, photonet: Command, small_weights: dict[str, Path], tmp_path: Path):
        content = bytearray(small_weights["unet"].read_bytes())
        content[-1] ^= 1
        (tmp_path / "changed.safetensors").write_bytes(content)
        done = photonet("models", "verify", tmp_path / "changed.safetensors", "denoise-unet")
        assert done.code == 4
        assert "changed.safetensors" in done.err
        assert "denoise-unet" in done.out  # the other one is still checked

    def kair(self, path: Path, **extra: object) -> dict[str, torch.Tensor]:
        """DnCNN for gray pictures as KAIR stores it: three convolutions of width 4."""
        generator = torch.Generator().manual_seed(0)
        tensors = {}
        for number, (outputs, inputs) in enumerate(((4, 1), (4, 4), (1, 4))):
            tensors[f"model.{2 * number}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator)
            tensors[f"model.{2 * number}.bias"] = torch.randn(outputs, generator=generator)
        torch.save({**tensors, **extra}, path)
        return tensors

    def test_import(self, photonet: Command, tmp_path: Path):
        tensors = self.kair(tmp_path / "dncnn_25.pth")
        target = tmp_path / "dncnn.safetensors"
        flags = ["--origin", "KAIR", "--licence", "MIT"]
        assert photonet("models", "import", tmp_path / "dncnn_25.pth", "-o", target, *flags).code == 0
        card, stored = checkpoint.read_tensors(target)
        assert (card.network, card.origin, card.licence) == ("dncnn-gray", "KAIR", "MIT")
        assert len(stored) == len(tensors)
        assert all(torch.equal(stored[name.replace("model", "body")], tensor) for name, tensor in tensors.items())
        Image.fromarray(np.full((9, 11), 99, np.uint8)).save(tmp_path / "gray.png")
        out = tmp_path / "out.png"
        run = ("denoise", tmp_path / "gray.png", "-o", out, "--net", "dncnn-gray", "--weights", target)
        assert photonet(*run).code == 0
        assert photonet("models", "import", tmp_path / "dncnn_25.pth", "-o", target).code == 2  # exists

    def test_import_of_no_network(self, photonet: Command, tmp_path: Path):
        torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
        done = photonet("models", "import", tmp_path / "other.pth", "-o", tmp_path / "o.safetensors")
        assert done.code == 4
        assert "layer.weight" in done.err

    def test_import_executes_nothing(self, photonet: Command, tmp_path: Path):
        self.kair(tmp_path / "evil.pth", touch=_Touch(tmp_path / "executed"))
        done = photonet("models", "import", tmp_path / "evil.pth", "-o", tmp_path / "o.safetensors")
        assert done.code == 4
        assert not (tmp_path / "executed").exists()
        assert not (tmp_path / "o.safetensors").exists()

    def test_export(self, photonet: Command, small_weights: dict[str, Path], tmp_path: Path):
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        target = tmp_path / "net.onnx"
        done = photonet("models", "export", small_weights["dncnn-gray"], "-o", target)
        assert done.code == 0, done.err
        session = runtime.InferenceSession(target.read_bytes(), providers=["CPUExecutionProvider"])
        values = np.random.default_rng(0).random((1, 1, 19, 27), np.float32)
        (result,) = session.run(None, {"picture": values})
        card, tensors = checkpoint.read_tensors(small_weights["dncnn-gray"])
        _, module = checkpoint.build(get_task("denoise"), card, tensors, "")
        with torch.inference_mode():
            np.testing.assert_allclose(result, module(torch.from_numpy(values)).numpy(), atol=1e-4)
        assert photonet("models", "export", "denoise-unet", "-o", target).code == 2  # exists


class _Touch:
    """What a malicious pickle would do: make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))
