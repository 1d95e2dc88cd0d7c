"""Folders of pictures: what goes in, what their results are called, and parts of them for many machines."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import jobs_of, picture, run

from photonet.engine.batch import Output
from photonet.engine.infer import Engine
from photonet.errors import UsageError


def test_folders_of_folders(engine: Engine, tmp_path: Path):
    for name in ("a.png", "x/a.png", "x/y/b.png", "x/.hidden.png"):
        picture(tmp_path / "in" / name)
    run(engine, jobs_of(tmp_path / "in", tmp_path / "out", recursive=True))
    found = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert found == ["a.png", "x/a.png", "x/y/b.png"]
    assert [job.inputs[0].name for job in jobs_of(tmp_path / "in", tmp_path / "two")] == ["a.png"]


@pytest.mark.parametrize("named", ["in", "."])
def test_results_below_the_inputs_are_no_inputs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
):
    for name in ("a.png", "x/b.png"):
        picture(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path if named == "in" else tmp_path / "in")
    out = Path(named) / "clean"
    for _ in range(2):
        outcomes = run(engine, jobs_of(Path(named), out, recursive=True), Output(skip_existing=True))
        assert sorted(o.job.inputs[0].name for o in outcomes) == ["a.png", "b.png"]


def test_inputs_below_the_results_are_inputs(tmp_path: Path):
    picture(tmp_path / "all" / "raw" / "a.png")
    (job,) = jobs_of(tmp_path / "all" / "raw", tmp_path / "all")
    assert job.output == tmp_path / "all" / "a.png"


def test_same_name_two_formats(engine: Engine, tmp_path: Path):
    for name in ("a.jpg", "a.png", "b.png"):
        picture(tmp_path / "in" / name, seed=len(name) + ord(name[2]))
    outcomes = run(engine, jobs_of(tmp_path / "in", tmp_path / "out", format="png"), Output("png"))
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert sorted(os.listdir(tmp_path / "out")) == ["a_jpg.png", "a_png.png", "b.png"]
    with Image.open(tmp_path / "in" / "a.png") as before, Image.open(tmp_path / "out" / "a_png.png") as after:
        assert np.array_equal(np.asarray(after), 255 - np.asarray(before))


def test_temporary_files_are_no_inputs(tmp_path: Path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / ".a.png.01234567.tmp").write_bytes(b"half")
    (tmp_path / "in" / "._a.png").write_bytes(b"what a Mac leaves")
    assert [job.inputs[0].name for job in jobs_of(tmp_path / "in", tmp_path / "out")] == ["a.png"]


class TestShard:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        for number in range(20):
            picture(tmp_path / "in" / f"{number}.jpg")
            picture(tmp_path / "in" / f"{number}.png")
        return tmp_path / "in"

    def test_parts_make_the_whole(self, source: Path, tmp_path: Path):
        whole = jobs_of(source, tmp_path / "out", format="png")
        parts = [jobs_of(source, tmp_path / "out", format="png", shard=f"{part}/3") for part in (1, 2, 3)]
        assert all(parts)
        assert sorted((job for part in parts for job in part), key=whole.index) == whole

    def test_outputs_of_different_parts_differ(self, source: Path, tmp_path: Path):
        outputs = [
            job.output for part in (1, 2, 3) for job in jobs_of(source, tmp_path / "o", format="png", shard=f"{part}/3")
        ]
        assert len(set(outputs)) == len(outputs) == 40

    def test_the_same_wherever_the_folder_lies(self, source: Path, tmp_path: Path):
        here = [job.inputs[0].name for job in jobs_of(source, tmp_path / "out", shard="2/5")]
        source.rename(tmp_path / "elsewhere")
        assert [job.inputs[0].name for job in jobs_of(tmp_path / "elsewhere", tmp_path / "out", shard="2/5")] == here

    @pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
    def test_error(self, source: Path, tmp_path: Path, shard: str):
        with pytest.raises(UsageError, match="--shard"):
            jobs_of(source, tmp_path / "out", shard=shard)
