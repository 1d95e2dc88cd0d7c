"""Help, versions, `info`, `doctor`, `models`, `bench` and `eval`."""

import json
from math import log10
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command, picture

from photonet.engine import checkpoint
from photonet.io import Told
from photonet.tasks import CATALOG, get_task

COMMANDS = [
    [],
    *([name] for name in CATALOG),
    ["train"],
    *(["train", name] for name in CATALOG),
    ["eval"],
    *(["eval", name] for name in CATALOG),
    ["info"],
    ["doctor"],
    ["bench"],
    ["models"],
    *(["models", name] for name in ("list", "show", "verify", "import", "export")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(photonet: Command, command: list[str]):
    done = photonet(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage: photonet" in done.out
    assert "Stands for a command" not in done.out


@pytest.mark.parametrize("name", CATALOG)
def test_options_of_a_task_are_flags(photonet: Command, name: str):
    words = photonet(name, "--help").out
    for field in get_task(name).options.model_fields:
        assert f"--{field.replace('_', '-')}" in words
    assert photonet("--help").out.count(CATALOG[name].summary[:30]) == 1


def test_version(photonet: Command):
    done = photonet("--version")
    assert done.code == 0
    assert done.out.split()[0] == "photonet"
    assert done.out.split()[1][0].isdigit()


@pytest.mark.parametrize("arguments", [["train"], ["models"], []])
def test_group_alone_shows_its_help(photonet: Command, arguments: list[str]):
    done = photonet(*arguments)
    assert done.code == 2
    assert "Usage: photonet" in done.out + done.err


class TestInfo:
    def test_json(self, photonet: Command, tmp_path: Path):
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0x829A: 0.004, 0x8827: 400})
        paths = [picture(tmp_path / "a.jpg", exif=exif), picture(tmp_path / "b.png", 3, 5)]
        done = photonet("info", *paths, "--json")
        assert done.code == 0
        first, second = done.records
        assert (first["file"], first["format"], first["size"]) == (str(paths[0]), "jpeg", "56×40")
        assert first["exposure"] == "0.004 s, ISO 400"
        assert first["metadata"]["exif"] > 0
        assert (second["format"], second["size"], second["depth"]) == ("png", "5×3", "uint8")
        assert second["exposure"] == "unknown"

    def test_text(self, photonet: Command, photo: Path):
        done = photonet("info", photo)
        assert done.code == 0
        assert "56×40" in done.out

    def test_error(self, photonet: Command, tmp_path: Path):
        done = photonet("info", tmp_path / "gone.png")
        assert (done.code, done.stdout) == (3, b"")
        assert "gone.png" in done.err

    def test_sensor(self, photonet: Command, tmp_path: Path):
        values = np.arange(24, dtype="<u2") * 100
        (tmp_path / "a.raw").write_bytes(values.tobytes())
        told = ["--size", "6x4", "--cfa", "GBRG", "--black", "60", "--white", "2000", "--wb", "2,1,1.5"]
        done = photonet("info", tmp_path / "a.raw", *told, "--json")
        (found,) = done.records
        assert (found["size"], found["state"], found["cfa"]) == ("6×4", "mosaic", "GBRG")
        assert (found["black"], found["white"], found["white balance"]) == (60, 2000, [2, 1, 1.5])
        assert any("no color matrix" in note for note in found["notes"])

    @pytest.mark.parametrize(
        ("flags", "word"),
        [
            (["--size", "6"], "--size"),
            (["--size", "nanx4"], "--size"),
            (["--size", "6.5x4"], "--size"),
            (["--size", "6x4", "--wb", "1,2"], "--wb"),
            (["--size", "6x4", "--matrix", "1,2,x"], "--matrix"),
            (["--size", "6x5"], "--size"),
            ([], "--size"),
        ],
    )
    def test_error_headerless(self, photonet: Command, tmp_path: Path, flags: list[str], word: str):
        (tmp_path / "a.raw").write_bytes(bytes(48))
        done = photonet("info", tmp_path / "a.raw", *flags)
        assert done.code in (2, 3)
        assert word in done.err

    def test_goes_on_after_an_error(self, photonet: Command, photo: Path, tmp_path: Path):
        done = photonet("info", tmp_path / "gone.png", photo, "--json")
        assert done.code == 1
        assert [record["file"] for record in done.records] == [str(photo)]
        assert "gone.png" in done.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [("photonet denoise --st", "--strength"), ("photonet eval denoise --base", "--baselines"), ("photonet den", "")],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(photonet: Command, monkeypatch: pytest.MonkeyPatch, shell: str, words: str, expected: str):
    monkeypatch.setenv("_PHOTONET_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS" if shell == "zsh" else "COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    done = photonet()
    assert (expected or "denoise") in done.out


def test_out_of_memory(photonet: Command, photo: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(path: Path, told: Told) -> None:
        raise MemoryError

    monkeypatch.setattr("photonet.io.read", fail)
    done = photonet("info", photo)
    assert done.code == 5
    assert "out of memory" in done.err


class TestDoctor:
    def test_json(self, photonet: Command):
        (found,) = photonet("doctor", "--json").records
        assert found["packages"]["torch"] == torch.__version__.split("+")[0] or found["packages"]["torch"]
        assert found["packages"]["photonet"]
        assert found["threads"] >= 1
        assert set(found["weights"]) >= {"denoise-unet", "denoise-noise-level"}
        assert "cpu" in found["default device"] or "cuda" in found["default device"] or "mps" in found["default device"]

    def test_text(self, photonet: Command):
        done = photonet("doctor")
        assert done.code == 0
        assert "python" in done.out
        assert "denoise-unet" in done.out


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


class TestBench:
    def test_json(self, photonet: Command):
        flags = ["--tile", "32", "--tile", "64", "--seconds", "0.1", "--precision", "fp32", "--json"]
        done = photonet("bench", "denoise-dncnn-color", *flags)
        assert done.code == 0, done.err
        (rows,) = done.records
        assert [(row["weights"], row["tile"], row["precision"]) for row in rows] == [
            ("denoise-dncnn-color", 32, "fp32"),
            ("denoise-dncnn-color", 64, "fp32"),
        ]
        # three convolutions of 3×3, 3→8→8→3: two operations for each of 9 · (24 + 64 + 24) weights
        assert rows[0]["kflop_per_pixel"] == pytest.approx(2 * 9 * 112 / 1000, abs=0.05)
        assert rows[0]["mp_per_s"] > 0

    @pytest.mark.usefixtures("no_weights")
    def test_without_weights(self, photonet: Command):
        done = photonet("bench")
        assert (done.code, done.stdout) == (4, b"")
        assert "no weights are installed" in done.err


class TestEval:
    @pytest.fixture
    def clean(self, tmp_path: Path) -> Path:
        """Two pictures so near to middle gray that noise of 25 never reaches black or white."""
        rows, columns = np.mgrid[:64, :80] / 7
        for number in range(2):
            wave = 128 + 12 * np.sin(rows + number) + 8 * np.cos(columns)
            (tmp_path / "clean").mkdir(exist_ok=True)
            Image.fromarray(np.stack([wave, wave + 3, wave - 3], axis=2).astype(np.uint8)).save(
                tmp_path / "clean" / f"{number}.png"
            )
        return tmp_path / "clean"

    def test_methods_and_input(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "25", "--baselines", "--json")
        assert done.code == 0, done.err
        (found,) = done.records
        means = {mean["method"]: mean for mean in found["means"]}
        assert {"input", "unet", "bilateral", "non-local means", "wavelet"} <= means.keys()
        assert means["input"]["psnr"] == pytest.approx(-20 * log10(25 / 255), abs=0.15)  # 20.17 dB
        assert means["wavelet"]["psnr"] > means["input"]["psnr"] + 3
        assert {mean["trial"] for mean in found["means"]} == {"sigma 25"}
        assert all(mean["pictures"] == 2 for mean in means.values())
        assert len(found["rows"]) == 2 * len(means)
        assert found["protocol"] == get_task("denoise").protocol

    def test_same_noise_every_time(self, photonet: Command, clean: Path):
        flags = ["--data", clean, "--sigma", "15", "--precision", "fp32", "--json"]
        first, second = (photonet("eval", "denoise", *flags).records[0] for _ in range(2))
        assert [row["psnr"] for row in first["rows"]] == [row["psnr"] for row in second["rows"]]

    def test_trials(self, photonet: Command, clean: Path):
        flags = ["--sigma", "5,50", "--camera", "--every", "2", "--json"]
        done = photonet("eval", "denoise", "--data", clean, *flags)
        trials = [mean["trial"] for mean in done.records[0]["means"] if mean["method"] == "input"]
        assert trials == ["sigma 5", "sigma 50", "camera weak", "camera middle", "camera strong"]
        assert all(mean["pictures"] == 1 for mean in done.records[0]["means"])

    def test_told(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "50", "--told", "--json")
        figures = next(mean["figures"] for mean in done.records[0]["means"] if mean["method"] == "unet")
        assert set(figures.values()) == {1.0}  # all noise levels were right

    def test_record(self, photonet: Command, clean: Path, small_weights: dict[str, Path], tmp_path: Path):
        weights = tmp_path / "w.safetensors"
        weights.write_bytes(small_weights["unet"].read_bytes())
        flags = ["--data", clean, "--weights", weights, "--record"]
        for sigmas in ("15,25", "25"):
            assert photonet("eval", "denoise", *flags, "--sigma", sigmas).code == 0
        card, tensors = checkpoint.read_tensors(weights)
        assert [(score.dataset, score.condition) for score in card.scores] == [
            ("clean", "sigma 15"),
            ("clean", "sigma 25"),
        ]
        _, before = checkpoint.read_tensors(small_weights["unet"])
        assert all(torch.equal(tensors[name], before[name]) for name in before)

    def test_json_without_infinity(self, photonet: Command, tmp_path: Path):
        picture(tmp_path / "clean" / "tiny.png", 6, 6)
        done = photonet("eval", "denoise", "--data", tmp_path / "clean", "--sigma", "0", "--json")
        assert done.code == 0, done.err
        row = done.records[0]["rows"][0]
        assert (row["method"], row["psnr"], row["ssim"]) == ("input", None, None)

    def test_table(self, photonet: Command, clean: Path):
        done = photonet("eval", "denoise", "--data", clean, "--sigma", "25")
        assert done.code == 0
        assert "20.1" in done.out or "20.2" in done.out
        assert get_task("denoise").protocol in done.out

    @pytest.mark.parametrize(
        ("flags", "code", "word"),
        [
            (["--data", "gone"], 2, "gone"),
            (["--data", "."], 3, "no pictures"),
            (["--data", ".", "--sigma", "a"], 2, ""),
        ],
    )
    def test_error(
        self,
        photonet: Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        flags: list[str],
        code: int,
        word: str,
    ):
        monkeypatch.chdir(tmp_path)
        if "--sigma" in flags:
            picture(tmp_path / "a.png")
        done = photonet("eval", "denoise", *flags)
        assert (done.code, done.stdout) == (code, b"")
        assert word in done.err
