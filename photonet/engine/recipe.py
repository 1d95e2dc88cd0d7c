"""What a training needs to know, as a TOML file that lies beside the weights it made.

Beside the fields of a `Recipe` the file may have a table `begin`: fields that a training takes instead which begins
with random weights, as `lr = 2e-3` and `"training.gray" = 0`.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from photonet.errors import UsageError

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Recipe(BaseModel):
    """How a network is trained.

    Args:
        task, network: what is trained.
        config: what the network is built with.
        training: options of the network's training pairs and loss.
        crop: side of the training crops in pixels.
        batch: crops per step on each device.
        accumulate: batches whose gradients are averaged for an update.
        steps: updates in all; `--minutes` replaces it.
        optimizer: muon, or adamw as most papers have it.
        lr: peak learning rate.
        warmup: steps of linear rise.
        decay: last share of the training in which the rate falls linearly to zero.
        ema: decay of the averaged weights.
        clip: largest norm of the gradient, 0 for none.
        seed: of everything.
        validation: patterns of the names of pictures that are held out.
        validation_crop: side of the validation crops.
        save_minutes: between two validations, each followed by a save.
        licence: of the weights.
        sources: what the data are, for the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    network: str
    config: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    crop: int = Field(128, ge=8)
    batch: int = Field(16, ge=1)
    accumulate: int = Field(1, ge=1)
    steps: int = Field(20_000, ge=1)
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = Field(2e-3, gt=0)
    warmup: int = Field(100, ge=0)
    decay: float = Field(0.4, ge=0, le=1)
    ema: float = Field(0.999, ge=0, lt=1)
    clip: float = Field(0, ge=0)
    seed: int = Field(0, ge=0, lt=2**30)
    validation: tuple[str, ...] = ()
    validation_crop: int = Field(256, ge=16)
    save_minutes: float = Field(4, gt=0)
    licence: str = ""
    sources: tuple[str, ...] = ()

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step when there are `steps` in all: warm-up, constant, linear decay."""
        rise = min((step + 1) / (self.warmup + 1), 1)
        fall = min((steps - step) / max(self.decay * steps, 1), 1)
        return self.lr * rise * max(fall, 0)


def read_fields(path: Path) -> dict[str, Any]:
    """What stands in a TOML file.

    Raises:
        UsageError: the file is missing or broken.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", path) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is not TOML ({error})", path) from error


def with_changes(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe with changes; `training.gray` is one field of a table.

    Raises:
        UsageError: a name with a dot is none of a table.
    """
    result = dict(fields)
    for name, value in changes.items():
        table, _, field = name.partition(".")
        old = result.get(table) or {}
        if field and not isinstance(old, Mapping):
            raise UsageError(f"{table} is no table, and has no {field}", name, "leave the dot out")
        result[table] = {**old, field: value} if field else value
    return result


def make_recipe(
    fields: Mapping[str, Any], where: object, changes: Mapping[str, Any] | None = None, trained: bool = False
) -> Recipe:
    """A recipe from its fields, some of them replaced.

    Args:
        where: they stand, for errors.
        trained: whether the training begins with trained weights; where not, the table `begin` holds.

    Raises:
        UsageError: as `with_changes`; `begin` is no table; all wrong fields are listed.
    """
    begin = fields.get("begin", {})
    if not isinstance(begin, Mapping):
        raise UsageError("is no table of fields", "begin")
    rest = {name: value for name, value in fields.items() if name != "begin"}
    begun = rest if trained else with_changes(rest, begin)
    try:
        return Recipe.model_validate(with_changes(begun, changes or {}))
    except ValidationError as error:
        fix = f"its fields are {', '.join(Recipe.model_fields)}"
        raise UsageError(describe(error), where, fix) from error


def describe(error: ValidationError, spell: Callable[[str], str] = str) -> str:
    """All problems of a pydantic model in one line; a field of several kinds says what each of them would be.

    Args:
        spell: field → its name where the user wrote it.
    """
    problems: dict[str, list[str]] = {}
    for problem in error.errors():
        field = str(problem["loc"][0] if problem["loc"] else "all")
        problems.setdefault(field, []).append(problem["msg"].removeprefix("Value error, "))
    return "; ".join(f"{spell(field)}: {', or '.join(texts)}" for field, texts in problems.items())


def make_options(kind: type[OptionsT], fields: Mapping[str, Any], spell: Callable[[str], str] = str) -> OptionsT:
    """Options of a task from flags or keyword arguments; `spell` as in `describe`.

    Raises:
        UsageError: all wrong fields are listed.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise UsageError(describe(error, spell)) from error
