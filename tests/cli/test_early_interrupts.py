"""Ctrl-C while the program is still being loaded: no traceback, and the status that it has later."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.support.processes import PATIENCE

PROGRAM = """
import os, signal, sys
from chatfile.cli import main

class Interrupting:
    def find_spec(self, name, *_):
        if name.startswith("twisted"):
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_an_interruption_of_the_start_ends_it_quietly() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "list"], capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
