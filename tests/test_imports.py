"""Imports run one way: cli → tasks → {engine, nets, camera, io} → photo → color → errors."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each layer may import from the project, beside itself. `photonet` is the facade in photonet/__init__.py.
ALLOWED = {
    "errors": set(),
    "color": {"errors"},
    "photo": {"color", "errors"},
    "compat": {"errors"},
    "io": {"photo", "color", "errors"},
    "camera": {"photo", "color", "errors", "compat"},
    "nets": {"errors"},
    "engine": {"io", "camera", "photo", "color", "errors", "compat"},
    "tasks": {"engine", "nets", "camera", "io", "photo", "color", "errors", "compat"},
    "photonet": {"tasks", "engine", "nets", "camera", "io", "photo", "color", "errors", "compat"},
    "cli": {"photonet", "tasks", "engine", "nets", "camera", "io", "photo", "color", "errors", "compat"},
}
TORCH_FREE = {"errors", "color", "photo", "io"}
TORCH = {"torch", "torchvision", "lightning", "lightning_fabric"}
FABRIC_USERS = {"photonet/engine/train.py"}
TORCHVISION_USERS = {"photonet/compat.py"}


def module_name(path: str) -> str:
    """Dotted name of a file: cli/ is installed as photonet_cli."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return "photonet_cli" + name[len("cli") :] if name.split(".")[0] == "cli" else name


def layer_of(module: str) -> str | None:
    """The layer of a module of the project, None for any other."""
    parts = module.split(".")
    if parts[0] in ("photonet_cli", "cli"):
        return "cli"
    if parts[0] != "photonet":
        return None
    return parts[1] if len(parts) > 1 else "photonet"


def imported(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, at its top and inside functions alike."""
    package = module_name(path).split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = ".".join(base + (node.module.split(".") if node.module else []))
            for alias in node.names:
                # `from photonet import io` names a layer, `from photonet.tasks import denoise` a task
                yield node.lineno, f"{full}.{alias.name}" if full in ("photonet", "photonet.tasks") else full


def violations(path: str, source: str) -> list[str]:
    """Every import of a file that runs the wrong way."""
    layer = layer_of(module_name(path))
    if layer not in ALLOWED:
        return [f"{path}: give photonet/{layer} a place in ALLOWED"]
    checks = [(line, name, _fault(path, layer, name)) for line, name in imported(path, source)]
    return [f"{path}:{line}: {name}: {fault}" for line, name, fault in checks if fault]


def _fault(path: str, layer: str, name: str) -> str:
    """What is wrong with one import, or nothing."""
    parts = name.split(".")
    target = layer_of(name)
    if target is None:
        return _foreign_fault(path, layer, parts[0])
    if target not in ALLOWED:  # a name defined in photonet/__init__.py
        if parts[1].startswith("__"):
            return ""
        target = "photonet"
    if layer == target == "tasks":  # in __init__.py too: CATALOG names modules, and imports none of them
        own = module_name(path).split(".")[2:3]  # a task may be a package
        return "" if own and own == parts[2:3] else "tasks never import each other"
    if layer == target or target in ALLOWED[layer]:
        return ""
    return f"{layer} must not import {target}"


def _foreign_fault(path: str, layer: str, package: str) -> str:
    if package == "click":
        return "the command line is built with typer"
    if package == "torchvision" and path not in TORCHVISION_USERS:
        return "torchvision is imported by photonet/compat.py alone"
    if package in ("lightning", "lightning_fabric") and path not in FABRIC_USERS:
        return "Lightning Fabric is imported by photonet/engine/train.py alone"
    if layer in TORCH_FREE and package in TORCH:
        return f"{layer} never imports torch"
    if layer == "nets" and package != "torch" and package not in sys.stdlib_module_names:
        return "nets import torch and the standard library"
    return ""


def test_imports_run_one_way():
    files = sorted([*ROOT.glob("photonet/**/*.py"), *ROOT.glob("cli/**/*.py")])
    found = [
        fault for file in files for fault in violations(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    assert files
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("photonet/errors.py", "from photonet.color import ColorState"),
        ("photonet/color.py", "import torch"),
        ("photonet/color.py", "from photonet import photo"),
        ("photonet/photo.py", "from photonet.io import read"),
        ("photonet/photo.py", "from torch.nn import functional"),
        ("photonet/io/raw.py", "import torch"),
        ("photonet/io/raw.py", "def f():\n    import torch.nn"),
        ("photonet/io/raw.py", "from photonet.camera.mosaic import demosaic"),
        ("photonet/io/raw.py", "from ..camera import mosaic"),
        ("photonet/io/raw.py", "from .. import nets"),
        ("photonet/io/__init__.py", "from ..engine import tiles"),
        ("photonet/io/raw.py", "from photonet.tasks import CATALOG"),
        ("photonet/camera/noise.py", "from photonet.nets.unet import UNet"),
        ("photonet/camera/noise.py", "import photonet.engine.tiles"),
        ("photonet/camera/noise.py", "from photonet.io import read"),
        ("photonet/camera/noise.py", "from photonet.tasks import denoise"),
        ("photonet/nets/unet.py", "from photonet.color import srgb_encode"),
        ("photonet/nets/unet.py", "from photonet.photo import Photo"),
        ("photonet/nets/unet.py", "from photonet import io"),
        ("photonet/nets/unet.py", "from photonet.camera import noise"),
        ("photonet/nets/unet.py", "from photonet.engine.task import Network"),
        ("photonet/nets/unet.py", "import numpy as np"),
        ("photonet/nets/unet.py", "if True:\n    from PIL import Image"),
        ("photonet/engine/infer.py", "from photonet.tasks import CATALOG"),
        ("photonet/engine/infer.py", "from photonet.tasks.denoise import TASK"),
        ("photonet/engine/infer.py", "from photonet.nets.unet import UNet"),
        ("photonet/engine/infer.py", "from photonet import run"),
        ("photonet/engine/infer.py", "from photonet_cli.main import main"),
        ("photonet/engine/infer.py", "from lightning_fabric import Fabric"),
        ("photonet/tasks/denoise.py", "import lightning.fabric"),
        ("photonet/tasks/denoise.py", "from photonet.tasks.deblur import TASK"),
        ("photonet/tasks/denoise.py", "from .deblur import TASK"),
        ("photonet/tasks/denoise.py", "from photonet.tasks import CATALOG"),
        ("photonet/tasks/denoise.py", "from . import deblur"),
        ("photonet/tasks/denoise/raw.py", "from photonet.tasks.deblur import TASK"),
        ("photonet/tasks/denoise/raw.py", "from photonet.tasks import deblur"),
        ("photonet/tasks/__init__.py", "from photonet.tasks.denoise import TASK"),
        ("photonet/tasks/denoise.py", "import photonet_cli"),
        ("photonet/tasks/denoise.py", "import torchvision"),
        ("photonet/__init__.py", "from photonet_cli.main import main"),
        ("photonet/helpers.py", ""),
        ("cli/main.py", "import click"),
        ("cli/main.py", "from click.testing import CliRunner"),
        ("cli/main.py", "from torchvision import io"),
    ],
)
def test_wrong_imports_are_caught(path: str, source: str):
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("photonet/color.py", "import numpy as np\nfrom photonet.errors import InputError"),
        (
            "photonet/io/png.py",
            "import cv2\nfrom photonet.photo import Photo\nfrom .atomic import replace\nfrom . import tiff",
        ),
        ("photonet/camera/noise.py", "import torch\nfrom photonet.color import srgb_encode\nfrom . import mosaic"),
        (
            "photonet/nets/unet.py",
            "import math\nfrom torch import nn\nfrom .blocks import Residual\nfrom photonet.errors import UsageError",
        ),
        ("photonet/engine/train.py", "from lightning_fabric import Fabric\nfrom photonet import io, camera"),
        ("photonet/engine/checkpoint.py", "from photonet import __version__"),
        ("photonet/tasks/denoise.py", "from photonet.engine.task import Task\nfrom photonet.nets.unet import UNet"),
        ("photonet/tasks/denoise/raw.py", "from photonet.tasks.denoise.options import DenoiseOptions"),
        ("photonet/tasks/denoise/__init__.py", "from photonet.tasks.denoise import display"),
        ("photonet/tasks/__init__.py", "import importlib\nfrom photonet.engine.task import Task"),
        ("photonet/compat.py", "import torchvision"),
        ("photonet/__init__.py", "from photonet.photo import Photo\nfrom photonet.tasks import load"),
        (
            "cli/main.py",
            "import typer\nfrom photonet.tasks import CATALOG\nfrom .compare import Pair\nfrom photonet import run",
        ),
        ("cli/models.py", "def f():\n    import torch\n    from photonet_cli.compare import Pair"),
    ],
)
def test_right_imports_pass(path: str, source: str):
    assert violations(path, source) == []
