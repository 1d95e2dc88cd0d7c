"""Many pictures in one go: what is broken stops no other, and nothing is lost, overwritten or left half done."""

import gc
import os
import struct
import threading
import weakref
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import BAD_WIDTH, computing, jobs_of, negatives, picture, run

from photonet.engine import batch
from photonet.engine.batch import Output, check_outputs, computed_depth, run_batch
from photonet.engine.infer import Engine
from photonet.errors import DeviceError, InputError, PhotonetError, UsageError
from photonet.io import OutputError, read
from photonet.photo import Photo


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve files, five of which are broken."""
    here = tmp_path / "in"
    for number in range(7):
        picture(here / f"{number}.{'jpg' if number % 2 else 'png'}", number)
    (here / "cut.jpg").write_bytes(picture(here / "whole.jpg").read_bytes()[:400])
    (here / "whole.jpg").unlink()
    (here / "text.jpg").write_text("this is no picture")
    (here / "empty.png").touch()
    header = chunk(b"IHDR", struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0))
    (here / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))))
    (here / "dangling.png").symlink_to(here / "nowhere.png")
    return here


@pytest.mark.parametrize("workers", [1, 3])
def test_broken_files_stop_no_other(engine: Engine, folder: Path, tmp_path: Path, workers: int):
    jobs = jobs_of(folder, tmp_path / "out")
    outcomes = run(engine, jobs, workers=workers)
    assert Counter(outcome.status for outcome in outcomes) == {"done": 7, "failed": 5}
    failed = {outcome.job.inputs[0].name: outcome.error for outcome in outcomes if outcome.error}
    assert failed.keys() == {"cut.jpg", "text.jpg", "empty.png", "bomb.png", "dangling.png"}
    assert all(isinstance(error, InputError) and name in str(error) for name, error in failed.items())
    assert "60000" in str(failed["bomb.png"])
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "1.jpg", "2.png", "3.jpg", "4.png", "5.jpg", "6.png"]


def test_value(engine: Engine, tmp_path: Path):
    source = picture(tmp_path / "in" / "a.png")
    (outcome,) = run(engine, jobs_of(source, tmp_path / "out"))
    assert (outcome.status, outcome.network, outcome.error) == ("done", "negative", None)
    assert outcome.seconds > 0
    with Image.open(source) as before, Image.open(tmp_path / "out" / "a.png") as after:
        assert np.array_equal(np.asarray(after), 255 - np.asarray(before))


def test_order_of_outcomes(engine: Engine, folder: Path, tmp_path: Path):
    jobs = jobs_of(folder, tmp_path / "out")
    for name in ("1.jpg", "4.png", "6.png"):
        picture(tmp_path / "out" / name)
    outcomes = run(engine, jobs, Output(skip_existing=True), workers=4)
    assert [outcome.job for outcome in outcomes] == jobs
    assert [o.job.output.name for o in outcomes if o.status == "skipped"] == ["1.jpg", "4.png", "6.png"]


def test_each_outcome_comes_once_its_file_is_written(engine: Engine, folder: Path, tmp_path: Path):
    for outcome in run_batch(computing(engine), jobs_of(folder, tmp_path / "out"), Output(), workers=3):
        assert outcome.job.output.exists() == (outcome.status == "done")


def test_fault_in_one_picture(engine: Engine, tmp_path: Path):
    for number in range(4):
        picture(tmp_path / "in" / f"{number}.png", width=BAD_WIDTH if number == 1 else 20)
    outcomes = run(engine, jobs_of(tmp_path / "in", tmp_path / "out"))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done", "done"]
    assert isinstance(outcomes[1].error, ZeroDivisionError)


def test_fault_while_writing(engine: Engine, tmp_path: Path):
    for number in range(3):
        picture(tmp_path / "in" / f"{number}.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.png").symlink_to(tmp_path / "nowhere" / "x.png")  # a name that is taken, and no file
    outcomes = run(engine, jobs_of(tmp_path / "in", tmp_path / "out"))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert not (tmp_path / "nowhere").exists()


def test_fail_fast(engine: Engine, tmp_path: Path):
    for number in range(6):
        picture(tmp_path / "in" / f"{number}.png", width=BAD_WIDTH if number == 2 else 20)
    outcomes = run(engine, jobs_of(tmp_path / "in", tmp_path / "out"), fail_fast=True)
    assert [outcome.status for outcome in outcomes] == ["done", "done", "failed"]
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "1.png"]


def test_outputs_that_exist_are_kept(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    picture(tmp_path / "in" / "a.png")
    target = tmp_path / "out" / "a.png"
    target.parent.mkdir()
    target.write_text("precious")
    jobs = jobs_of(tmp_path / "in", tmp_path / "out")
    (outcome,) = run(engine, jobs)
    assert isinstance(outcome.error, UsageError)
    assert "--overwrite" in str(outcome.error)
    (outcome,) = run(engine, jobs, Output(skip_existing=True))
    assert outcome.status == "skipped"
    assert target.read_text() == "precious"
    (outcome,) = run(engine, jobs, Output(overwrite=True))
    assert outcome.status == "done"
    assert Image.open(target).size == (20, 15)


def test_skipped_pictures_are_not_read(engine: Engine, tmp_path: Path):
    for name in "ab":
        picture(tmp_path / "in" / f"{name}.png")
    picture(tmp_path / "out" / "a.png")
    opened: list[str] = []

    def opening(path: Path) -> Photo:
        opened.append(path.name)
        return read(path)

    run(engine, jobs_of(tmp_path / "in", tmp_path / "out"), Output(skip_existing=True), read=opening)
    assert opened == ["b.png"]


def test_pictures_whose_output_exists_are_not_read(engine: Engine, tmp_path: Path):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "out" / "a.png")
    jobs = jobs_of(tmp_path / "in", tmp_path / "out")
    (outcome,) = run(engine, jobs, read=lambda path: pytest.fail("was read"))
    assert isinstance(outcome.error, UsageError)


def test_empty_outputs_are_not_done(engine: Engine, tmp_path: Path):
    """A kill on a file system without links leaves them."""
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").touch()
    jobs = jobs_of(tmp_path / "in", tmp_path / "out")
    assert run(engine, jobs)[0].status == "failed"
    assert run(engine, jobs, Output(skip_existing=True))[0].status == "done"
    assert Image.open(tmp_path / "out" / "a.png").size == (20, 15)


def test_failures_hold_no_pictures(engine: Engine, tmp_path: Path):
    for number in range(4):
        picture(tmp_path / "in" / f"{number}.png", width=BAD_WIDTH)
    seen: list[weakref.ref[Photo]] = []

    def watched(path: Path) -> Photo:
        photo = read(path)
        seen.append(weakref.ref(photo))
        return photo

    outcomes = run(engine, jobs_of(tmp_path / "in", tmp_path / "out"), read=watched)
    assert [type(outcome.error) for outcome in outcomes] == [ZeroDivisionError] * 4
    gc.collect()
    assert [photo() for photo in seen] == [None] * 4


@pytest.mark.parametrize("where", ["read", "write"])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=type)
def test_out_of_memory(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception):
    def fail(*_: Any, **__: Any) -> None:
        raise error

    if where == "write":
        monkeypatch.setattr(batch, "write", fail)
    reading = {"read": fail} if where == "read" else {}
    (outcome,) = run(engine, jobs_of(picture(tmp_path / "a.png"), tmp_path / "out"), **reading)
    assert isinstance(outcome.error, DeviceError)
    assert outcome.error.__cause__ is error
    assert "a.png" in str(outcome.error)


class TestCheckOutputs:
    def test_error_a_file_where_the_folder_should_be(self, engine: Engine, tmp_path: Path):
        (tmp_path / "file").touch()
        for folder in ("file", "file/below"):
            jobs = jobs_of(picture(tmp_path / "a.png"), tmp_path / folder)
            with pytest.raises(OutputError, match="should be a folder"):
                check_outputs(jobs, Output())
            (outcome,) = run(engine, jobs)
            assert isinstance(outcome.error, PhotonetError)

    def test_error_not_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(OutputError, match="may not write"):
            check_outputs(jobs_of(picture(tmp_path / "a.png"), tmp_path / "out"), Output())

    @pytest.mark.parametrize("output", [Output(bit_depth=16), Output(quality=0), Output("heic")])
    def test_error_format(self, tmp_path: Path, output: Output):
        for name in ("a.png", "b.jpg"):
            picture(tmp_path / "in" / name)
        with pytest.raises(UsageError):
            check_outputs(jobs_of(tmp_path / "in", tmp_path / "out"), output)
        check_outputs(jobs_of(tmp_path / "in", tmp_path / "out"), Output(quality=80))
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("dtype", "name", "bit_depth", "computed"),
    [
        (np.uint8, "a.jpg", None, np.uint8),
        (np.uint8, "a.png", 16, np.uint16),
        (np.uint8, "a.tif", 32, np.float32),
        (np.uint8, "a.exr", None, np.float32),
        (np.uint8, "a.exr", 16, np.float32),
        (np.uint16, "a.hdr", None, np.float32),
        (np.uint16, "a.jpg", None, np.uint16),
        (np.uint16, "a.png", 8, np.uint16),
        (np.float32, "a.png", 8, np.float32),
    ],
)
def test_value_computed_depth(dtype: type, name: str, bit_depth: int | None, computed: type):
    photo = Photo(np.zeros((2, 2, 3), dtype))
    assert computed_depth(photo, Output(bit_depth=bit_depth), Path(name)) == computed


def test_only_a_few_pictures_are_held(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(12):
        picture(tmp_path / "in" / f"{number:02}.png")
    lock, held, most = threading.Lock(), 0, 0
    original_write = batch.write

    def counted(path: Path) -> Photo:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return read(path)

    def write(*arguments: Any, **options: Any) -> Any:
        nonlocal held
        with lock:
            held -= 1
        return original_write(*arguments, **options)

    monkeypatch.setattr(batch, "write", write)
    assert len(run(engine, jobs_of(tmp_path / "in", tmp_path / "out"), read=counted)) == 12
    assert held == 0
    assert most <= 4  # one read ahead, one computed, one written, one that waits to be written


def test_abandoned_batch_finishes_what_it_writes(engine: Engine, tmp_path: Path):
    for number in range(8):
        picture(tmp_path / "in" / f"{number}.png")
    outcomes = run_batch(computing(engine), jobs_of(tmp_path / "in", tmp_path / "out"), Output())
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    written = os.listdir(tmp_path / "out")
    assert 1 <= len(written) < 8
    assert all(Image.open(tmp_path / "out" / name).size == (20, 15) for name in written)


def test_warnings(engine: Engine, tmp_path: Path):
    Image.new("RGBA", (20, 15), (1, 2, 3, 4)).save(tmp_path / "a.png")
    (outcome,) = run(engine, jobs_of(tmp_path / "a.png", tmp_path / "out", format="jpeg"), Output(format="jpeg"))
    assert any("alpha" in warning for warning in outcome.warnings)


def test_tiny_tiles_are_told(tmp_path: Path):
    engine = negatives(radius=8, tile=4)
    (outcome,) = run(engine, jobs_of(picture(tmp_path / "a.png", width=60), tmp_path / "out"))
    assert any("tiles of 4 pixels" in warning for warning in outcome.warnings)


def test_more_bits_than_the_input(engine: Engine, tmp_path: Path):
    with torch.no_grad():
        engine.loaded("negative").module.white.mul_(0.999)
    picture(tmp_path / "a.png")
    run(engine, jobs_of(tmp_path / "a.png", tmp_path / "out", format="tiff"), Output("tiff", bit_depth=16))
    import tifffile

    result = tifffile.imread(tmp_path / "out" / "a.tif")
    assert result.dtype == np.uint16
    assert (result % 257 != 0).any()  # 8 bits widened to 16 would be multiples of 257
