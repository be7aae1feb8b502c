"""`chatfile-client`: the command line."""

from __future__ import annotations

import sys

from chatfile.cli.arguments import parse_arguments
from chatfile.cli.exits import Exit
from chatfile.cli.running import run


def main() -> None:
    """Run the command that the arguments make, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a text that the locale can't show stands escaped
            stream.reconfigure(errors="backslashreplace")
    arguments = parse_arguments(sys.argv[1:])
    sys.exit(run(arguments) or Exit.DONE)
