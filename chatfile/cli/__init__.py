"""`chatfile-client`: the command line."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command that the arguments make, and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is more to interrupt: no traceback of an import
    from chatfile.cli.arguments import parse_arguments  # noqa: PLC0415 -- see above
    from chatfile.cli.exits import ExitCode  # noqa: PLC0415
    from chatfile.cli.outlets import installed  # noqa: PLC0415
    from chatfile.cli.run import asked_for, run  # noqa: PLC0415
    from chatfile.cli.streams import prepare  # noqa: PLC0415

    prepare()
    try:
        config = parse_arguments(sys.argv[1:], os.environ)
    except SystemExit as end:
        sys.exit(end.code or asked_for())
    with installed():
        code = run(config)
    sys.exit(code or ExitCode.DONE)
