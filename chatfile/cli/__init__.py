"""`chatfile-client`: the command line.

Modules are imported when they are needed: each Tab of a shell starts the program, and need not wait for Twisted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping


def main() -> None:
    """Carry out the command line of this process, and exit with the code of the outcome."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback where an import is interrupted
    from chatfile.cli.arguments import parse_arguments  # noqa: PLC0415 -- see above
    from chatfile.cli.streams import prepare  # noqa: PLC0415

    if "_ARGCOMPLETE" in os.environ:
        from chatfile.cli.parser import command_line  # noqa: PLC0415
        from chatfile.completion import complete  # noqa: PLC0415

        complete(command_line(), _remote_names)
    prepare()
    try:
        config = parse_arguments(sys.argv[1:], os.environ)
    except SystemExit as end:
        sys.exit(end.code or _show(""))
    if config.completion is not None:
        from chatfile.completion import script  # noqa: PLC0415

        sys.exit(_show(script("chatfile-client", config.completion)))
    from chatfile.cli.run import run  # noqa: PLC0415
    from chatfile.cli.streams import installed  # noqa: PLC0415

    with installed():
        code = run(config)
    sys.exit(code)


def _remote_names(options: Mapping[str, str]) -> Iterable[str]:
    from chatfile.cli.run import remote_names  # noqa: PLC0415

    return remote_names(options)


def _show(text: str) -> int:
    """Show `text`, after the help or the version if that was asked for, and return the exit code."""
    from chatfile import errors  # noqa: PLC0415
    from chatfile.cli.exits import ExitCode, exit_code  # noqa: PLC0415
    from chatfile.cli.streams import concluded  # noqa: PLC0415
    from chatfile.cli.view import View  # noqa: PLC0415

    view, code = View(as_json=False, quiet=False), ExitCode.DONE
    try:
        view.text(text)
    except BrokenPipeError:
        code = ExitCode.UNREAD
    except errors.LocalFileError as error:
        view.error(error)
        code = exit_code(error)
    return concluded(code)
