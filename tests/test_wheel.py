"""The wheel holds everything that an installed photonet needs."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED_FOLDERS = {"photonet": "photonet", "cli": "photonet_cli", "weights": "photonet_weights"}
SHIPPED_SUFFIXES = {".py", ".html", ".toml", ".safetensors", ".typed"}


def shipped_files() -> set[str]:
    """Name inside the wheel of every file that must be there."""
    return {
        (installed / file.relative_to(ROOT / folder)).as_posix()
        for folder, installed in ((folder, Path(name)) for folder, name in SHIPPED_FOLDERS.items())
        for file in (ROOT / folder).rglob("*")
        if file.suffix in SHIPPED_SUFFIXES or file.name == "py.typed"
    }


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Builds the wheel from a copy, so that nothing is left in the repository."""
    pytest.importorskip("build")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in SHIPPED_FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    done = subprocess.run(
        [*command, "--outdir", str(out), str(source)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_subpackage(wheel_names: set[str]):
    packages = [file.relative_to(ROOT).as_posix() for file in (ROOT / "photonet").rglob("__init__.py")]
    assert packages
    assert sorted(set(packages) - wheel_names) == []


def test_every_file(wheel_names: set[str]):
    wanted = shipped_files()
    assert {"photonet/py.typed", "photonet_cli/compare.html"} <= wanted
    assert sorted(wanted - wheel_names) == []


def test_nothing_else(wheel_names: set[str]):
    foreign = {name.split("/")[0] for name in wheel_names if ".dist-info/" not in name}
    assert foreign == set(SHIPPED_FOLDERS.values())


def test_license_and_command(wheel_names: set[str]):
    names = {name.split(".dist-info/")[1] for name in wheel_names if ".dist-info/" in name}
    assert {"licenses/LICENSE", "entry_points.txt"} <= names
