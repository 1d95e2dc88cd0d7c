"""Flags that verbs share, and flags made from the fields of a pydantic model."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from photonet.engine.recipe import make_options
from photonet.errors import UsageError
from photonet.io import Told

OptionsT = TypeVar("OptionsT", bound=BaseModel)

Flag = inspect.Parameter

DEVICE = Annotated[
    str,
    typer.Option(
        envvar="PHOTONET_DEVICE", help="auto, cpu, cuda, cuda:N or mps; a device that is not there is an error."
    ),
]
PRECISION = Annotated[str, typer.Option(envvar="PHOTONET_PRECISION", help="auto, fp32, fp16 or bf16.")]
WEIGHTS = Annotated[
    list[str] | None, typer.Option(help="Name of shipped weights, or a file; may be given several times.")
]
NET = Annotated[str | None, typer.Option(help="Network of the task; by default the first of `photonet models list`.")]
VERBOSE = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="More words; -vv shows where an error arose.")
]
QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
JSON = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


RAW = "RAW files that do not say it themselves, or say it wrongly"
CFA = Annotated[
    str | None,
    typer.Option(help="Colors of the filter array as stored, before turning, as in RGGB.", rich_help_panel=RAW),
]
BLACK = Annotated[float | None, typer.Option(help="Black level in the file's units.", rich_help_panel=RAW)]
WHITE = Annotated[float | None, typer.Option(help="White level in the file's units.", rich_help_panel=RAW)]
WB = Annotated[
    str | None, typer.Option("--wb", help="Gains of red, green and blue, as in 1.9,1,1.4.", rich_help_panel=RAW)
]
MATRIX = Annotated[
    str | None, typer.Option(help="Nine numbers, XYZ to camera RGB, as in a DNG's ColorMatrix.", rich_help_panel=RAW)
]
SIZE = Annotated[
    str | None, typer.Option(help="Of a file without a header: width and height, as in 768x512.", rich_help_panel=RAW)
]


def told(
    cfa: str | None, black: float | None, white: float | None, wb: str | None, matrix: str | None, size: str | None
) -> Told:
    """What the flags say of a sensor."""
    gains = _numbers(wb, 3, "--wb")
    shape = re.fullmatch(r"(\d+)x(\d+)", size.lower()) if size is not None else None
    if size is not None and shape is None:
        raise UsageError(f"{size!r} is no width and height", "--size", "write 768x512")
    return Told(
        cfa,
        black,
        white,
        (gains[0], gains[1], gains[2]) if gains else None,
        _numbers(matrix, 9, "--matrix"),
        (int(shape[1]), int(shape[2])) if shape else None,
    )


def _numbers(text: str | None, count: int, where: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise UsageError(f"{text!r} is not {count} numbers with commas between them", where)
    return numbers


def flag(name: str, annotation: Any, default: Any) -> Flag:
    """One parameter of a synthesised command."""
    return Flag(name, Flag.KEYWORD_ONLY, default=default, annotation=annotation)


def flags_of(model: type[BaseModel]) -> list[Flag]:
    """A flag for each field of a model: plain types as they are, the rest as text that the model checks."""
    return [flag(name, _annotation(field), _default(field)) for name, field in model.model_fields.items()]


def _plain(field: FieldInfo) -> Any:
    if field.annotation in (bool, int, float, str):
        return field.annotation
    return str


def _annotation(field: FieldInfo) -> Any:
    plain = _plain(field)
    return Annotated[plain | None if field.default is None else plain, typer.Option(help=field.description)]


def _default(field: FieldInfo) -> Any:
    return field.default if field.default is None or _plain(field) is field.annotation else str(field.default)


def options_of(model: type[OptionsT], given: Mapping[str, Any]) -> OptionsT:
    """The options that the flags of a model were given; errors name the flags."""
    return make_options(model, {name: given[name] for name in model.model_fields}, spelled)


def spelled(field: str) -> str:
    """A field as its flag is written."""
    return f"--{field.replace('_', '-')}"


def with_flags(body: Callable[..., Any], own: Sequence[Flag], doc: str) -> Callable[..., Any]:
    """`body` with a signature that Typer turns into flags: those of its own, then `own`.

    Args:
        body: takes its own parameters, and all others by name in `**fields`.
    """
    named = [p for p in inspect.signature(body).parameters.values() if p.kind != Flag.VAR_KEYWORD]

    def command(**values: Any) -> Any:
        return body(**values)

    parameters = [p.replace(kind=Flag.KEYWORD_ONLY) for p in named] + list(own)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command
