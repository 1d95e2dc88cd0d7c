"""`photonet --config`: defaults of flags from a file."""

from pathlib import Path

import pytest
from running import Command, pixels


@pytest.fixture
def config(tmp_path: Path):
    """Writes a file of defaults."""

    def make(text: str) -> Path:
        path = tmp_path / "defaults.toml"
        path.write_text(text)
        return path

    return make


def test_values_are_defaults(photonet: Command, photo: Path, tmp_path: Path, config):
    path = config(f'[denoise]\nsigma = 20\nbit-depth = 16\njson = true\noutput = "{tmp_path}/out/"\n')
    done = photonet("--config", path, "denoise", photo)
    assert done.code == 0, done.err
    assert done.records[0]["noise"] == 20
    assert (tmp_path / "out" / "photo.png").exists()


def test_flags_win(photonet: Command, photo: Path, tmp_path: Path, config):
    path = config("[denoise]\nsigma = 20\nstrength = 0.0\n")
    done = photonet("--config", path, "denoise", photo, "-o", tmp_path / "out.png", "--sigma", 30, "--json")
    assert done.records[0]["noise"] == 30
    assert (pixels(tmp_path / "out.png") == pixels(photo)).all()


def test_environment(photonet: Command, photo: Path, tmp_path: Path, config, monkeypatch: pytest.MonkeyPatch):
    path = config('[denoise]\ndevice = "cuda:7"\nsigma = 3\n')
    monkeypatch.setenv("PHOTONET_CONFIG", str(path))
    monkeypatch.setenv("PHOTONET_DEVICE", "cpu")
    done = photonet("denoise", photo, "-o", tmp_path / "out.png", "--json")
    assert done.code == 0, done.err
    assert done.records[0]["noise"] == 3


def test_tables_of_other_commands_are_left_alone(photonet: Command, photo: Path, tmp_path: Path, config):
    path = config("[train.denoise]\nminutes = 3\n[bench]\nsize = 1\n")
    assert photonet("--config", path, "denoise", photo, "-o", tmp_path / "out.png").code == 0


def test_groups(photonet: Command, tmp_path: Path, config):
    path = config(f'[train.denoise]\nphotos = "{tmp_path}/gone"\n')
    done = photonet("--config", path, "train", "denoise", "-o", tmp_path / "run")
    assert done.code == 2
    assert "gone" in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[denoise]\nsigmo = 1\nstrength = 1\nfoo = 2", ["--sigmo", "--foo"]),
        ("[denoize]\nsigma = 1", ["no command 'denoize'"]),
        ("denoise = 3", ["[denoise] is not a table"]),
        ("[denoise", ["cannot be read"]),
    ],
)
def test_error(photonet: Command, photo: Path, tmp_path: Path, config, text: str, words: list[str]):
    done = photonet("--config", config(text), "denoise", photo, "-o", tmp_path / "out.png")
    assert done.code == 2
    assert all(word in done.err for word in words), done.err
    assert not (tmp_path / "out.png").exists()


def test_missing_file(photonet: Command, photo: Path, tmp_path: Path):
    done = photonet("--config", tmp_path / "gone.toml", "denoise", photo, "-o", tmp_path / "out.png")
    assert done.code == 2
    assert "gone.toml" in done.err


def test_negative_flags(photonet: Command, photo: Path, tmp_path: Path, config):
    path = config("[denoise]\nkeep-going = true\n")
    assert photonet("--config", path, "denoise", photo, "-o", tmp_path / "out.png").code == 0
    path = config("[denoise]\nkeep-going = false\n")
    done = photonet("--config", path, "denoise", tmp_path / "gone.png", photo, "-o", f"{tmp_path}/all/")
    assert done.code == 1
    assert "1 not begun" in done.err
