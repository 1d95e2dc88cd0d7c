"""Recipes: the learning rate by hand, and errors that name every wrong field."""

import pytest
from pydantic import Field

from photonet.engine.checkpoint import shipped
from photonet.engine.recipe import Recipe, make_options, make_recipe, read_fields
from photonet.engine.task import Options
from photonet.errors import UsageError


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1), (4, 1), (12, 1), (13, 0.875), (16, 0.5), (19, 0.125), (20, 0), (25, 0)],
)
def test_value_rate(step, rate):
    """20 steps, 3 of warm-up, the last 40 % decay: 8 steps."""
    recipe = Recipe(task="denoise", network="unet", lr=2.0, warmup=3, decay=0.4)
    assert recipe.rate(step, 20) == pytest.approx(2 * rate)


def test_value_rate_without_warmup_and_decay():
    recipe = Recipe(task="denoise", network="unet", lr=2.0, warmup=0, decay=0)
    assert [recipe.rate(step, 5) for step in range(5)] == [2.0] * 5


def test_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('task = "denoise"\nnetwork = "unet"\nsteps = 10\nlr = 1e-3\n[training]\ncamera = 0.3\n')
    recipe = make_recipe(read_fields(path), path, {"steps": 20})
    assert (recipe.steps, recipe.lr, recipe.training) == (20, 1e-3, {"camera": 0.3})
    assert recipe.batch == Recipe.model_fields["batch"].default


def test_read_changes_one_field_of_a_table(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('task = "t"\nnetwork = "n"\nlr = 1.0\n[training]\ngray = 0.5\nsigma = [1, 2]\n')
    recipe = make_recipe(read_fields(path), path, {"training.gray": 0.25, "config.width": 3, "lr": 0.5})
    assert recipe.training == {"gray": 0.25, "sigma": [1, 2]}
    assert recipe.config == {"width": 3}
    assert recipe.lr == 0.5


def test_read_for_random_weights(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        'task = "t"\nnetwork = "n"\nlr = 1e-4\nbatch = 3\n[training]\ngray = 0.5\n'
        '[begin]\nlr = 1e-2\n"training.gray" = 0\n'
    )
    begun, trained = (make_recipe(read_fields(path), path, {"batch": 4}, given) for given in (False, True))
    assert (begun.lr, begun.batch, begun.training) == (1e-2, 4, {"gray": 0})
    assert (trained.lr, trained.batch, trained.training) == (1e-4, 4, {"gray": 0.5})
    assert make_recipe(read_fields(path), path, {"lr": 1.0}).lr == 1
    path.write_text('task = "t"\nnetwork = "n"\nbegin = 3\n')
    with pytest.raises(UsageError, match="begin: is no table"):
        make_recipe(read_fields(path), path)
    path.write_text('task = "t"\nnetwork = "n"\n[begin]\nllr = 3\n')
    with pytest.raises(UsageError, match="llr"):
        make_recipe(read_fields(path), path)


def test_shipped_recipes_are_read():
    recipes = {path: make_recipe(read_fields(path), path) for path in sorted(shipped()[0].parent.glob("*.toml"))}
    with_weights = [recipe for path, recipe in recipes.items() if path.with_suffix(".safetensors").exists()]
    assert len(with_weights) == len(shipped())
    assert all(recipe.licence and recipe.sources for recipe in with_weights)


def test_error_unknown_field():
    with pytest.raises(UsageError, match="steeps: Extra inputs are not permitted") as caught:
        make_recipe({"task": "denoise", "network": "unet", "steeps": 10}, "mine.toml")
    assert caught.value.where == "mine.toml"


def test_error_all_fields_are_named():
    with pytest.raises(UsageError) as caught:
        make_recipe({"task": "denoise", "lr": -1, "optimizer": "sgd", "crop": 4}, "mine.toml")
    for field in ("network", "lr", "optimizer", "crop"):
        assert f"{field}: " in caught.value.what


def test_error_file(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(UsageError, match="cannot be read"):
        make_recipe(read_fields(path), path)
    path.write_text("steps = = 3")
    with pytest.raises(UsageError, match="is not TOML"):
        make_recipe(read_fields(path), path)


class Sharpen(Options):
    amount: float = Field(1.0, ge=0)
    radius: float = 2.0


def test_options():
    assert make_options(Sharpen, {"amount": "0.5"}) == Sharpen(amount=0.5)
    with pytest.raises(UsageError) as caught:
        make_options(Sharpen, {"amount": -1, "radius": "wide", "color": 1})
    for field in ("amount", "radius", "color"):
        assert f"{field}: " in caught.value.what
