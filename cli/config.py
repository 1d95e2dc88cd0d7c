"""`photonet --config FILE.toml`: values for flags that are not given; environment variables and flags win.

[denoise]
quality = 98
metadata = "basic"

[train.denoise]
minutes = 60
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonet.errors import UsageError


def read_defaults(path: Path, application: Any, verb: str) -> dict[str, Any]:
    """Defaults of the command that is run, as Typer's context takes them.

    Args:
        path: TOML, a table for each command, with the long names of its flags.
        application: the group of all commands; only that of `verb` is built whole.

    Raises:
        UsageError: the file is missing or broken; all unknown commands and flags are listed.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read ({error})", path, "see photonet --help") from error
    problems = [f"no command {name!r}" for name in content if name not in application.commands]
    defaults = {
        name: _values(application.commands[name], table, name, problems)
        for name, table in content.items()
        if name == verb and name in application.commands
    }
    if problems:
        raise UsageError("; ".join(problems), path)
    return defaults


def _values(command: Any, table: Any, name: str, problems: list[str]) -> dict[str, Any]:
    """A table's keys as the names of parameters; what does not exist goes to the problems."""
    if not isinstance(table, Mapping):
        problems.append(f"[{name}] is not a table")
        return {}
    commands = getattr(command, "commands", {})
    known = {flag.removeprefix("--"): (parameter.name, True) for parameter in command.params for flag in parameter.opts}
    known |= {
        flag.removeprefix("--"): (parameter.name, False)
        for parameter in command.params
        for flag in parameter.secondary_opts
    }
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in commands:
            # a task that is not asked for was not built, and knows no flags
            values[key] = _values(commands[key], value, f"{name}.{key}", problems) if commands[key].params else {}
        elif key.replace("_", "-") in known:
            parameter, positive = known[key.replace("_", "-")]
            values[parameter] = value if positive else not value
        else:
            problems.append(f"{name} has no flag --{key}")
    return values
