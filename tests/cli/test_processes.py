"""What only shows in processes of their own: kills, Ctrl-C, and training in two of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from running import Command, picture, start
from test_train_command import log, sets

from photonet.engine import checkpoint

PATIENCE_S = 60


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until something is so; the process must not end before."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


@pytest.mark.parametrize("words", ["info photo.png", "models --help", "train --help", "eval --help", "denoize"])
def test_light_commands_import_no_torch(words: str, tmp_path: Path):
    picture(tmp_path / "photo.png")
    probe = "import sys; from photonet_cli.main import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    command = [sys.executable, "-c", probe, *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == (2 if words == "denoize" else 0), done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_kill_and_go_on(photonet: Command, small_weights: dict[str, Path], tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(30):
        picture(source / f"{number:02}.png", 160, 240, seed=number)
    command = ["denoise", source, "-o", out, "--weights", small_weights["unet"], "--sigma", "20"]
    process = start(*command)
    wait_for(lambda: out.exists() and len(list(out.glob("*.png"))) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    written = sorted(out.glob("*.png"))
    assert 2 <= len(written) < 30
    sizes = {path.name: path.stat().st_mtime_ns for path in written}
    for path in written:
        assert np.asarray(Image.open(path)).shape == (160, 240, 3)  # whole: Pillow decodes all of it

    (out / ".29.png.0123abcd.tmp").write_bytes(b"what a kill may leave")
    done = photonet(*command, "--skip-existing", "--json")
    assert done.code == 0, done.err
    status = {Path(record["output"]).name: record["status"] for record in done.records}
    assert {name for name, found in status.items() if found == "skipped"} == set(sizes)
    assert len(list(out.glob("*.png"))) == 30
    assert all(np.asarray(Image.open(path)).shape == (160, 240, 3) for path in out.glob("*.png"))
    assert all((out / name).stat().st_mtime_ns == when for name, when in sizes.items())

    again = photonet("denoise", out, "-o", tmp_path / "again", "--dry-run", "--json")
    assert len(again.records) == 30  # nothing temporary is taken for a picture


def test_interrupted_batch(small_weights: dict[str, Path], tmp_path: Path):
    for number in range(40):
        picture(tmp_path / "in" / f"{number:02}.png", 160, 240, seed=number)
    out = tmp_path / "out"
    process = start("denoise", tmp_path / "in", "-o", out, "--weights", small_weights["unet"], "--sigma", "20")
    wait_for(lambda: out.exists() and any(out.glob("*.png")), process)
    process.send_signal(signal.SIGINT)
    code, stdout, err = finish(process)
    assert (code, stdout) == (130, "")
    assert "Traceback" not in err
    assert 1 <= len(list(out.iterdir())) < 40
    assert [path for path in out.iterdir() if path.suffix == ".tmp"] == []


def test_interrupted_training_goes_on(photonet: Command, tmp_path: Path):
    for number in range(2):
        picture(tmp_path / "photos" / f"{number}.png", seed=number)
    run = tmp_path / "run"
    command = ["train", "denoise", "--photos", tmp_path / "photos", "-o", run, "--precision", "fp32", "--device", "cpu"]
    process = start(*command, *sets(steps=1_000_000))
    wait_for(lambda: (run / "log.jsonl").exists() and '"loss"' in (run / "log.jsonl").read_text(), process)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert f"--resume -o {run}" in err
    assert not set("\x1b\r") & set(err)
    stopped = torch.load(run / "resume.pt", weights_only=True)["step"]
    assert stopped >= 50
    assert log(run)[-1]["step"] == stopped

    done = photonet(*command, "--resume", *sets(steps=stopped + 2))
    assert done.code == 0, done.err
    assert torch.load(run / "resume.pt", weights_only=True)["step"] == stopped + 2


def test_two_processes(tmp_path: Path):
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", seed=number)
    run = tmp_path / "run"
    command = ["train", "denoise", "--photos", tmp_path / "photos", "-o", run, "--devices", "2", "--device", "cpu"]
    config = {"depth": 3, "width": 8}  # its batch norm has buffers that the processes share
    process = start(*command, "--net", "dncnn-color", *sets(steps=50, config=config, save_minutes=0.0005))
    code, stdout, err = finish(process)
    assert (code, stdout) == (0, ""), err
    lines = log(run)
    assert sum("one_batch_loss" in line for line in lines) == 1  # one process writes the log
    assert [line["step"] for line in lines if "loss" in line] == [50]
    assert lines[-1]["step"] == 50
    assert err.count("use them: photonet denoise") == 1
    assert "2 processes" in checkpoint.read_card(run / "weights.safetensors").recipe["device"]
    assert not [name for name in os.listdir(run) if name.startswith(".")]


def test_interrupted_while_it_starts():
    """Ctrl-C during the imports: here it comes with typer's."""
    probe = "import builtins; own = builtins.__import__\n"
    probe += (
        "def interrupted(name, *rest):\n    if name == 'typer': raise KeyboardInterrupt\n    return own(name, *rest)\n"
    )
    probe += "builtins.__import__ = interrupted\nfrom photonet_cli import entry\nentry()"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "photonet: interrupted\n")
