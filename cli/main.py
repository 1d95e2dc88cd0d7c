"""`photonet`: the application.

Commands of tasks are listed from the catalog alone; only the one that is asked for is built from its task.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, cast

import typer

from photonet.errors import ExitCode, PhotonetError
from photonet.tasks import CATALOG

from . import info, models
from .config import read_defaults
from .console import err, fail

EPILOG = """Exit codes: 0 all done, 1 some files failed, 2 usage or output, 3 unreadable input, 4 weights,
5 device or memory, 130 interrupted."""
# verbs over files that no network serves, one module each
PLAIN = {"develop": "Develop RAW files: white balance, demosaicing, color matrix, tone."}
GROUPS = {"train": "Train a network on photos of your own.", "eval": "Measure a task on a test set."}
HELP = """Computational photography with trained networks.

photonet denoise night.jpg -o clean/

photonet denoise holiday/ -o clean/ --recursive --skip-existing --compare
"""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"photonet {version('photonet')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(envvar="PHOTONET_CONFIG", help="TOML file with a table of flags for each command: [denoise]."),
    ] = None,
) -> None:
    if config is not None:
        context.default_map = read_defaults(config, context.command, context.invoked_subcommand or "")


def build_app(arguments: list[str]) -> typer.Typer:
    """The application; only the verb that the arguments name is imported whole.

    Args:
        arguments: of the command line.
    """
    app = typer.Typer(
        help=HELP, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )
    app.callback()(_root)
    verbs = {name: entry.summary for name, entry in CATALOG.items()} | PLAIN
    verb = next((a for a in arguments if a in verbs or a in GROUPS), "")
    subject = next((a for a in arguments[arguments.index(verb) + 1 :] if not a.startswith("-")), "") if verb else ""
    for name, summary in verbs.items():
        app.command(name, help=summary)(_verb(name) if name == verb else _unused)
    for kind, about in GROUPS.items():
        group = typer.Typer(help=about, no_args_is_help=True)
        for name, entry in CATALOG.items():
            built, words = _unused, entry.summary
            if verb == kind and subject == name:
                from . import evaluate, train

                built = {"train": train, "eval": evaluate}[kind].command(name)
                words = built.__doc__ or words
            group.command(name, help=words)(built)
        app.add_typer(group, name=kind)
    models.add_to(app)
    info.add_to(app)
    return app


def _verb(name: str) -> Callable[..., None]:
    """The command of one verb over files, with all that it imports."""
    if name in PLAIN:
        return cast("Callable[..., None]", import_module(f".{name}", __package__).command())
    from . import task

    return task.command(name)


def _unused() -> None:
    """Stands for a command in listings."""


def _arguments() -> list[str]:
    """The words of the command line; while a shell completes one, those typed so far."""
    if "_PHOTONET_COMPLETE" not in os.environ:
        return sys.argv[1:]
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")  # bash; zsh and fish
    return line.split()[1:]


def _explained(error: Exception) -> BaseException:
    if isinstance(error, PhotonetError) or not (isinstance(error, MemoryError) or "torch" in sys.modules):
        return error  # what happens before torch is loaded does not load it
    from photonet.engine.batch import explained

    return explained(error)


def main() -> int:
    """Run the command line; the exit code is both raised to the shell and returned."""
    arguments = _arguments()
    verbose = sum(len(a) - 1 for a in arguments if a.startswith("-v") and not a.strip("-v")) + arguments.count(
        "--verbose"
    )
    try:
        code = build_app(arguments)(standalone_mode=True, prog_name="photonet")
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:
        err.print("photonet: interrupted")
        code = ExitCode.INTERRUPTED
    except Exception as error:
        code = fail(_explained(error), verbose)
    sys.exit(int(code or 0))
