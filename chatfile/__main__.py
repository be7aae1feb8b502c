"""`python -m chatfile`, which is `chatfile-server`, which is `twistd -n chatfile`."""

from __future__ import annotations

import sys


def server() -> None:
    """Run the service in the foreground; for tools that expose only our own scripts, and no twistd."""
    from twisted.python.usage import UsageError  # noqa: PLC0415 -- the reactor is installed by what is imported here
    from twisted.scripts.twistd import run  # noqa: PLC0415

    from chatfile.options import Options  # noqa: PLC0415
    from chatfile.wire import printable  # noqa: PLC0415

    try:
        # twistd would call it an error of its own, and show every option.
        Options().parseOptions(sys.argv[1:])  # type: ignore[no-untyped-call]
    except UsageError as error:
        sys.exit(f'chatfile-server: {printable(str(error))}\n"chatfile-server --help" shows the options.')
    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "chatfile"]
    run()


if __name__ == "__main__":
    server()
