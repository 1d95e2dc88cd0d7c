"""Help, versions, completion, `info`, `doctor` and `bench`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command, picture

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
        assert first["exposure"] == "1/250 s, ISO 400"
        assert first["metadata bytes"]["exif"] > 0
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
