"""The command line answers at once: what needs torch is imported when it is used."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "lightning_fabric",
    "lightning",
    "cv2",
    "rawpy",
    "skimage",
    "scipy",
    "onnx",
    "matplotlib",
)
PROBE = """
import json, sys
sys.argv = ["photonet", *json.loads(sys.argv[1])]
from photonet_cli.main import main
code = 0
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code or 0, "modules": sorted({name.split(".")[0] for name in sys.modules})}), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_no_torch_at_startup(arguments: list[str]):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["code"] == 0
    assert "photonet" in done.stdout
    assert sorted(set(HEAVY) & set(report["modules"])) == []
