"""`photonet train denoise`, on pictures and networks so small that it takes a second."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from running import Command, picture

from photonet.engine import checkpoint

TINY = {
    "steps": 6,
    "decay": 0.4,
    "crop": 16,
    "batch": 2,
    "validation_crop": 32,
    "config": {"widths": [8, 8], "blocks": [1, 1]},
    "warmup": 2,
}


def sets(**changes: Any) -> list[str]:
    """`--set` for every field."""
    return [word for key, value in {**TINY, **changes}.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Inputs and targets of the same names."""
    for number in range(3):
        picture(tmp_path / "noisy" / f"{number}.jpg", seed=number)
        picture(tmp_path / "clean" / f"{number}.png", seed=100)
    return tmp_path / "noisy", tmp_path / "clean"


def test_trained_weights_run(photonet: Command, photos: Path, tmp_path: Path):
    run = tmp_path / "run"
    done = photonet("train", "denoise", "--photos", photos, "-o", run, *sets())
    assert done.code == 0, done.err
    assert done.stdout == b""
    assert {"weights.safetensors", "resume.pt", "before-decay.pt", "log.jsonl"} <= {f.name for f in run.iterdir()}
    assert f"--weights {run / 'weights.safetensors'}" in done.err
    assert [line["step"] for line in log(run) if "validation" in line] == [0, 4, 6]
    card = checkpoint.read_card(run / "weights.safetensors")
    assert (card.task, card.network, card.data.count) == ("denoise", "unet", 2)
    assert card.config == {"channels": 3, "widths": [8, 8], "blocks": [1, 1]}
    result = photonet("denoise", photos / "0.png", "-o", tmp_path / "o.png", "--weights", run / "weights.safetensors")
    assert result.code == 0, result.err
    assert photonet("models", "verify", run / "weights.safetensors").code == 0


@pytest.mark.parametrize("net", ["noise-level", "dncnn-color", "dncnn-gray"])
def test_other_networks(photonet: Command, photos: Path, tmp_path: Path, net: str):
    config = {"widths": [8, 8, 8]} if net == "noise-level" else {"depth": 3, "width": 8}
    flags = sets(config=config, steps=2)
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--net", net, *flags)
    assert done.code == 0, done.err
    assert checkpoint.read_card(tmp_path / "run" / "weights.safetensors").network == net


@pytest.mark.parametrize("camera", [0, 1])
def test_only_one_kind_of_noise(photonet: Command, photos: Path, tmp_path: Path, camera: int):
    flags = sets(steps=1, training={"camera": camera})
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *flags)
    assert done.code == 0, done.err


def test_resume(photonet: Command, photos: Path, tmp_path: Path):
    fixed = ["train", "denoise", "--photos", photos, "--precision", "fp32", "--device", "cpu"]
    # what is resumed keeps its recipe: only what changes is named
    whole, part, rest = sets(steps=6, decay=0), sets(steps=3, decay=0), ["--resume", "--set", "steps=6"]
    for folder, more in (("whole", whole), ("parts", part), ("parts", rest)):
        done = photonet(*fixed, "-o", tmp_path / folder, *more)
        assert done.code == 0, done.err
    whole, parts = (torch.load(tmp_path / name / "resume.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(whole["module"][name], parts["module"][name]) for name in whole["module"])
    assert all(torch.equal(one, other) for one, other in zip(whole["losses"], parts["losses"], strict=True))


def test_resume_finds_the_pictures_again(photonet: Command, photos: Path, tmp_path: Path):
    run = tmp_path / "run"
    done = photonet("train", "denoise", "--photos", photos, "-o", run, *sets(steps=2))
    assert done.code == 0, done.err
    done = photonet("train", "denoise", "-o", run, "--resume", "--set", "steps=4")
    assert done.code == 0, done.err
    assert torch.load(run / "resume.pt", weights_only=True)["step"] == 4
    assert "others than before" not in done.err


def test_resumed_with_what_it_began_with(photonet: Command, photos: Path, tmp_path: Path, small_weights: dict):
    """The same command with --resume: what `--init` named is not loaded again, and need not be named."""
    begin = tmp_path / "begin.safetensors"
    begin.write_bytes(small_weights["unet"].read_bytes())
    recipe = Path(__file__).parents[2] / "weights" / "denoise-unet.toml"
    command = ["train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--recipe", recipe]
    assert photonet(*command, *sets(steps=1), "--init", begin).code == 0
    begin.unlink()
    for steps, flags in ((2, ["--init", begin]), (3, [])):
        done = photonet(*command, *sets(steps=steps), *flags, "--resume")
        assert done.code == 0, done.err
        kept = json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]
        assert (kept["steps"], kept["lr"]) == (steps, checkpoint.recipe_of("denoise-unet")["lr"])


def test_resumed_with_other_pictures(photonet: Command, photos: Path, tmp_path: Path):
    run, some = tmp_path / "run", tmp_path / "some"
    done = photonet("train", "denoise", "--photos", photos, "-o", run, *sets(steps=2))
    assert done.code == 0, done.err
    some.mkdir()
    for path in sorted(photos.iterdir())[1:]:
        (some / path.name).write_bytes(path.read_bytes())
    done = photonet("train", "denoise", "--photos", some, "-o", run, "--resume", "--set", "steps=4")
    assert done.code == 0, done.err
    assert "pictures are others than before" in done.err


def test_resume_finds_the_folder_of_a_recipe(photonet: Command, photos: Path, monkeypatch: pytest.MonkeyPatch):
    """The same command with --resume, where --net and -o are left to the recipe."""
    monkeypatch.chdir(photos.parent)
    Path("mine.toml").write_text('task = "denoise"\nnetwork = "dncnn-color"\n')
    small = sets(steps=1, config={"depth": 2, "width": 4})
    command = ["train", "denoise", "--photos", photos, "--recipe", "mine.toml", *small]
    for more in ([], ["--resume", "--set", "steps=2"]):
        done = photonet(*command, *more)
        assert done.code == 0, done.err
    assert torch.load("runs/denoise-dncnn-color/resume.pt", weights_only=True)["step"] == 2
    done = photonet(*command, "--net", "unet", "-o", "other")
    assert (done.code, "dncnn-color, not unet" in done.err) == (2, True), done.err


def test_steps_after_minutes(photonet: Command, photos: Path, tmp_path: Path):
    command = ["train", "denoise", "--photos", photos, "-o", tmp_path / "run", *sets(steps=1000)]
    assert photonet(*command, "--minutes", 0.01).code == 0
    steps = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"]
    done = photonet("train", "denoise", "-o", tmp_path / "run", "--resume", "--set", f"steps={steps + 1}")
    assert done.code == 0, done.err
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"] == steps + 1


@pytest.mark.parametrize(("budget", "more"), [("steps", "--set steps=N"), ("minutes", "a larger --minutes")])
def test_resumed_when_nothing_is_left(photonet: Command, photos: Path, tmp_path: Path, budget: str, more: str):
    size = sets(steps=2) if budget == "steps" else [*sets(steps=1000), "--minutes", 0.01]
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *size)
    assert (done.code, "finished" in done.err) == (0, False), done.err
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)
    steps = state["step"]
    # the minutes are used up but for less than a step
    torch.save({**state, "seconds": 0.6 * (1 - 0.5 / steps)}, tmp_path / "run" / "resume.pt")
    done = photonet("train", "denoise", "-o", tmp_path / "run", "--resume")
    assert done.code == 0, done.err
    assert f"finished after {steps} steps; more with {more}" in done.err
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"] == steps


def test_random_weights_begin_as_ours_began(photonet: Command, photos: Path, tmp_path: Path):
    """At the rate of the first of our trainings; with trained weights, at that of the last."""
    shipped, small = checkpoint.recipe_of("denoise-unet"), sets(steps=1)
    assert shipped["begin"]["lr"] > shipped["lr"]
    for name, flags in (("random", []), ("trained", ["--init", tmp_path / "random" / "weights.safetensors"])):
        done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / name, *small, *flags)
        assert done.code == 0, done.err
    rates = [
        checkpoint.read_card(tmp_path / name / "weights.safetensors").recipe["lr"] for name in ("random", "trained")
    ]
    assert rates == [shipped["begin"]["lr"], shipped["lr"]]


def test_recipe_of_other_pictures(photonet: Command, photos: Path, tmp_path: Path):
    """What our recipe says of our pictures is not said of the user's."""
    recipe = Path(__file__).parents[2] / "weights" / "denoise-unet.toml"
    assert "CC BY-SA" in recipe.read_text()
    done = photonet("train", "denoise", "--photos", photos, "--recipe", recipe, "-o", tmp_path / "run", *sets(steps=1))
    assert done.code == 0, done.err
    assert "1 of 3 held out" in done.err
    card = checkpoint.read_card(tmp_path / "run" / "weights.safetensors")
    assert (card.data.sources, card.licence, card.recipe["validation"]["pictures"]) == ((), "", [])


def test_seed_of_shipped_weights_is_not_taken_over(photonet: Command, photos: Path, tmp_path: Path):
    assert checkpoint.recipe_of("denoise-dncnn-color")["seed"] > 0
    small = sets(network="dncnn-color", steps=1, config={"depth": 2, "width": 4}, training={})
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--net", "dncnn-color", *small)
    assert done.code == 0, done.err
    assert checkpoint.read_card(tmp_path / "run" / "weights.safetensors").recipe["seed"] == 0


def test_quiet(photonet: Command, photos: Path, tmp_path: Path):
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--quiet", *sets(steps=1))
    assert (done.code, done.stdout, done.err) == (0, b"", "")


def test_folder_in_use(photonet: Command, photos: Path, tmp_path: Path):
    command = ["train", "denoise", "--photos", photos, "-o", tmp_path / "run", *sets(steps=1)]
    assert photonet(*command).code == 0
    before = (tmp_path / "run" / "resume.pt").read_bytes()
    done = photonet(*command)
    assert done.code == 2
    assert "--resume" in done.err
    assert str(tmp_path / "run") in done.err
    assert (tmp_path / "run" / "resume.pt").read_bytes() == before


def test_resumed_as_another_network(photonet: Command, photos: Path, tmp_path: Path):
    command = ["train", "denoise", "-o", tmp_path / "run"]
    assert photonet(*command, "--photos", photos, *sets(steps=1)).code == 0
    done = photonet(*command, "--resume", "--net", "dncnn-color")
    assert (done.code, "what is trained here is unet" in done.err) == (2, True), done.err


def test_output_is_a_file(photonet: Command, photos: Path, tmp_path: Path):
    (tmp_path / "run").write_bytes(b"mine")
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *sets(steps=1))
    assert (done.code, "should be a folder" in done.err) == (2, True), done.err
    assert (tmp_path / "run").read_bytes() == b"mine"


def test_nothing_to_resume(photonet: Command, photos: Path, tmp_path: Path):
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--resume", *sets())
    assert done.code == 2
    assert "nothing to resume" in done.err


def test_init(photonet: Command, photos: Path, tmp_path: Path, small_weights: dict[str, Path]):
    flags = ["--init", "denoise-unet", "--precision", "fp32", *sets(steps=1, lr=1e-9)]
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *flags)
    assert done.code == 0, done.err
    _, before = checkpoint.read_tensors(small_weights["unet"])
    _, after = checkpoint.read_tensors(tmp_path / "run" / "weights.safetensors")
    assert all(torch.allclose(after[name].float(), before[name].float(), atol=1e-3) for name in before)
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "other", "--init", "gone", *sets())
    assert done.code == 4
    assert "gone" in done.err


def test_pairs(photonet: Command, pairs: tuple[Path, Path], tmp_path: Path):
    done = photonet("train", "denoise", "--pairs", *pairs, "-o", tmp_path / "run", *sets(steps=2))
    assert done.code == 0, done.err
    bank = json.loads((tmp_path / "run" / "training-bank" / "bank.json").read_text())
    assert [set(example["arrays"]) for example in bank["examples"]] == [{"input", "target"}] * 2


def test_pair_without_partner(photonet: Command, pairs: tuple[Path, Path], tmp_path: Path):
    (pairs[0] / "1.jpg").unlink()
    done = photonet("train", "denoise", "--pairs", *pairs, "-o", tmp_path / "run", *sets())
    assert done.code == 2
    assert "no partner: 1" in done.err
    assert not (tmp_path / "run").exists()


def test_pair_of_different_size(photonet: Command, pairs: tuple[Path, Path], tmp_path: Path):
    picture(pairs[0] / "1.jpg", 30, 50)
    done = photonet("train", "denoise", "--pairs", *pairs, "-o", tmp_path / "run", *sets())
    assert done.code == 3
    assert "50×30" in done.err
    assert "56×40" in done.err
    assert not (tmp_path / "run" / "log.jsonl").exists()  # nothing was computed


class TestRecipe:
    def write(self, tmp_path: Path, text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    def train(self, photonet: Command, photos: Path, recipe: Path, *flags: object):
        return photonet("train", "denoise", "--photos", photos, "-o", photos.parent / "run", "--recipe", recipe, *flags)

    def test_fields_and_changes(self, photonet: Command, photos: Path, tmp_path: Path):
        recipe = self.write(
            tmp_path,
            'task = "denoise"\nnetwork = "unet"\nsteps = 99\ncrop = 16\nbatch = 2\nvalidation = ["2.png"]\n'
            'sources = ["mine"]\nvalidation_crop = 32\n[config]\nwidths = [8, 8]\nblocks = [1, 1]\n'
            "[training]\nsigma = [5.0, 6.0]\ncamera = 0.5\n",
        )
        done = self.train(photonet, photos, recipe, "--set", "steps=3", "--set", "seed=7")
        assert done.code == 0, done.err
        card = checkpoint.read_card(tmp_path / "run" / "weights.safetensors")
        assert (card.recipe["seed"], card.recipe["training"]["sigma"]) == (7, [5.0, 6.0])
        assert card.recipe["validation"]["pictures"] == ["2.png"]
        assert card.data.sources == ("mine",)
        assert log(tmp_path / "run")[-1]["step"] == 3

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('task = "denoise"\nnetwork = "unet"\nstepps = 3\nlr = -1', ["stepps", "lr", "recipe.toml"]),
            ('task = "denoise"\nnetwork = "unet"\n[training]\nsigmaa = 3', ["sigmaa"]),
            ('task = "denoise"\nnetwork = "nonet"', ["nonet", "unet"]),
            ('task = "deblur"\nnetwork = "unet"', ["deblur", "denoise"]),
            ("task = ", ["TOML", "recipe.toml"]),
        ],
        ids=["unknown field", "unknown training option", "unknown network", "other task", "broken"],
    )
    def test_wrong(self, photonet: Command, photos: Path, tmp_path: Path, text: str, words: list[str]):
        done = self.train(photonet, photos, self.write(tmp_path, text))
        assert (done.code, done.stdout) == (2, b"")
        assert [word for word in words if word not in done.err] == []
        assert not (tmp_path / "run").exists()

    def test_missing(self, photonet: Command, photos: Path, tmp_path: Path):
        done = self.train(photonet, photos, tmp_path / "gone.toml")
        assert done.code == 2
        assert "gone.toml" in done.err

    @pytest.mark.parametrize("change", ["nonsense", "no_field=3", "steps=many", "crop=1", "batch=0"])
    def test_wrong_change(self, photonet: Command, photos: Path, tmp_path: Path, change: str):
        done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--set", change)
        assert done.code == 2
        assert "--set" in done.err
        assert change.split("=")[0] in done.err

    def test_no_such_config(self, photonet: Command, photos: Path, tmp_path: Path):
        flags = sets(config={"no_such_key": 3})
        done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *flags)
        assert done.code == 2, done.err
        assert "no_such_key" in done.err

    def test_shipped_recipes_are_valid(self):
        from importlib.resources import files

        from photonet.engine.recipe import make_options, make_recipe, read_fields
        from photonet.tasks import get_task

        recipes = sorted(Path(str(files("photonet_weights"))).glob("*.toml"))
        assert recipes
        for path in recipes:
            recipe = make_recipe(read_fields(path), path)
            network = get_task(recipe.task).networks[recipe.network]
            make_options(network.training, recipe.training)
            network.build({**network.config, **recipe.config})
            assert path.stem == get_task(recipe.task).weights_name(recipe.network)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ([], "--photos"),
        (["--photos", "a", "--pairs", "a", "b"], "--pairs"),
        (["--photos", "gone"], "gone"),
        (["--photos", "empty"], "no pictures"),
        (["--photos", "photos", "--net", "nonet"], "nonet"),
        (["--photos", "photos", "--precision", "fp8"], "fp8"),
        (["--photos", "photos", "--minutes", "-1"], "--minutes"),
    ],
)
def test_usage(photonet: Command, photos: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], word: str):
    monkeypatch.chdir(photos.parent)
    (photos.parent / "empty").mkdir()
    done = photonet("train", "denoise", "-o", "run", *flags)
    assert (done.code, done.stdout) == (3 if "empty" in flags else 2, b"")
    assert word in done.err
    assert not Path("run").exists()


def test_damaged_photos(photonet: Command, photos: Path, tmp_path: Path):
    """One that is held out and one that is not are named at once."""
    for name in ("0.png", "1.png"):
        (photos / name).write_text("no picture")
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", *sets())
    assert done.code == 3
    assert "0.png" in done.err
    assert "1.png" in done.err


def test_missing_device(photonet: Command, photos: Path, tmp_path: Path):
    done = photonet("train", "denoise", "--photos", photos, "-o", tmp_path / "run", "--device", "cuda:7")
    assert done.code == 5


def test_damaged_state(photonet: Command, photos: Path, tmp_path: Path):
    command = ["train", "denoise", "--photos", photos, "-o", tmp_path / "run", *sets(steps=1)]
    assert photonet(*command).code == 0
    state = tmp_path / "run" / "resume.pt"
    state.write_bytes(state.read_bytes()[:1000])
    done = photonet(*command, "--resume")
    assert done.code == 4, done.err
    assert "resume.pt" in done.err


def test_other_network_in_the_folder(photonet: Command, photos: Path, tmp_path: Path):
    command = ["train", "denoise", "--photos", photos, "-o", tmp_path / "run"]
    assert photonet(*command, *sets(steps=1)).code == 0
    wider = sets(steps=2, config={"widths": [8, 16], "blocks": [1, 1]})
    done = photonet(*command, *wider, "--resume")
    assert done.code == 4
    assert "does not fit" in done.err
