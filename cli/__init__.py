"""The command line: one thin file for each verb; the verbs of tasks are built from the catalog."""

import sys


def entry() -> None:
    """What the installed command calls: Ctrl-C ends it in one line while it is still being imported, too."""
    try:
        from .main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("photonet: interrupted\n")
        sys.exit(130)
