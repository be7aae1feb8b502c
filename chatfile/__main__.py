"""`python -m chatfile`, which is `chatfile-server`, which is `twistd -n chatfile`."""

from __future__ import annotations

import sys


def server() -> None:
    """Run the service in the foreground; for tools that expose only our own scripts, and no twistd."""
    from twisted.scripts.twistd import run  # noqa: PLC0415 -- it installs the reactor

    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "chatfile"]
    run()


if __name__ == "__main__":
    server()
