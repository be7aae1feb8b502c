"""The program `chatfile-server`, also `python -m chatfile`: the same as `twistd -n chatfile`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import MutableMapping

from chatfile.signals import block_ignored_signals


def server() -> None:
    """Run the service in the foreground; for tools such as pipx, which offer the scripts of chatfile, but no twistd."""
    block_ignored_signals()
    _name_sockets(os.environ)
    from twisted.python.usage import UsageError  # noqa: PLC0415 -- it looks for the sockets

    from chatfile.options import Options, as_argparse  # noqa: PLC0415 -- likewise

    if "_ARGCOMPLETE" in os.environ:
        from chatfile.completion import complete  # noqa: PLC0415 -- serving needs none of it

        complete(as_argparse(Options()))
    try:
        # twistd would call it an error of its own, and show every option.
        Options().parseOptions(sys.argv[1:])  # type: ignore[no-untyped-call]
    except UsageError as error:
        from chatfile.wire import printable  # noqa: PLC0415 -- an error has the time

        sys.exit(f'chatfile-server: {printable(str(error))}\n"chatfile-server --help" shows the options.')
    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "chatfile"]
    from twisted.scripts.twistd import run  # noqa: PLC0415 -- only serving needs it

    run()


def _name_sockets(environment: MutableMapping[str, str]) -> None:
    """Name inherited sockets that have no names as systemd does (sd_listen_fds_with_names(3)), in `environment`.

    Call it before Twisted is imported: that is when it looks for them, and it ignores those without names.
    """
    count = environment.get("LISTEN_FDS", "")
    if re.fullmatch("[0-9]{1,4}", count) and not environment.get("LISTEN_FDNAMES"):
        environment["LISTEN_FDNAMES"] = ":".join(["unknown"] * int(count))


if __name__ == "__main__":
    server()
