"""`chatfile-client`: the command line.

Everything is imported when it is needed: each Tab of a shell starts the program, and no one waits for Twisted in vain.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command that the arguments make, and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is more to interrupt: no traceback of an import
    from chatfile.cli.arguments import command_line, parse_arguments  # noqa: PLC0415 -- see above
    from chatfile.cli.streams import prepare  # noqa: PLC0415

    if "_ARGCOMPLETE" in os.environ:
        from chatfile.completion import complete  # noqa: PLC0415

        complete(command_line())
    prepare()
    try:
        arguments = parse_arguments(sys.argv[1:])
    except SystemExit as end:
        sys.exit(end.code or _show(""))
    if arguments.completion is not None:
        from chatfile.completion import script  # noqa: PLC0415

        sys.exit(_show(script("chatfile-client", arguments.completion)))
    from chatfile.cli.outlets import installed  # noqa: PLC0415
    from chatfile.cli.running import run  # noqa: PLC0415

    with installed():
        code = run(arguments)
    sys.exit(code)


def _show(text: str) -> int:
    """Show `text` behind what was shown instead of doing anything, such as the help; return the exit code."""
    from chatfile import errors  # noqa: PLC0415
    from chatfile.cli.exits import ExitCode, exit_code  # noqa: PLC0415
    from chatfile.cli.streams import concluded  # noqa: PLC0415
    from chatfile.cli.views import View  # noqa: PLC0415

    view, code = View(as_json=False, quiet=False), ExitCode.DONE
    try:
        view.text(text)
    except BrokenPipeError:
        code = ExitCode.UNREAD
    except errors.LocalFileError as error:
        view.error(error)
        code = exit_code(error)
    return concluded(code)
