"""A program in a terminal of its own: what is typed, and what is seen."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import selectors
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.support import forked
from tests.support.processes import PATIENCE, ServerProcess, client_command, wait_until

PROMPT = r"Client\d+ 127\.0\.0\.1:\d+>"
ENTER, CTRL_C, CTRL_D, CTRL_R, CTRL_Z, TAB, UP = "\r", "\x03", "\x04", "\x12", "\x1a", "\t", "\x1b[A"
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])|\x1e")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]*)?$")
_LAST = "\x1e"
"""What the test itself writes behind everything that the program has written; no program writes it."""
_WHERE_IS_THE_CURSOR, _AT_THE_TOP = "\x1b[6n", "\x1b[1;1R"
T = TypeVar("T")


class Terminal:
    """The program's end of it is a terminal of so many columns, in an environment with a home of its own."""

    def __init__(self, *command: str, folder: Path, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._master, slave = os.openpty()
        self.resize(columns, rows)
        around = {"TERM": "xterm", "XDG_STATE_HOME": str(folder / "state"), **environment}
        self.process = forked.start(command, folder, [slave] * 3, around, at_terminal=True)
        self.screen = ""
        """What was shown and not yet seen, without what steers the terminal."""
        self.raw = ""
        """Everything that came."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""
        self.patience = PATIENCE
        """Seconds for which something to be seen is waited for."""
        self.at_once = 65536
        """Bytes that are read at once, at most: with 1, tests show whether they take a part of what comes for all."""
        self._slave = slave  # open until the end, or the terminal is gone before the program has it

    def resize(self, columns: int, rows: int = 24) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[object]:
        """What `stty` shows, as long as nobody reads."""
        return termios.tcgetattr(self._slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def stand_still(self) -> None:
        """Take no output any more, as after a Ctrl-S."""
        termios.tcflow(self._slave, termios.TCOOFF)

    def go_on(self) -> None:
        """Take output again."""
        termios.tcflow(self._slave, termios.TCOON)

    def is_heard(self) -> bool:
        """Whether the program has read every whole line: a Ctrl-C that is a signal drops what it has not."""
        return struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4))) == (0,)

    def see(self, pattern: str) -> str:
        """Wait until the pattern is seen; the screen up to its end is taken away and given back."""
        match = self._read_until(lambda: re.search(pattern, self.screen))
        seen, self.screen = self.screen[: match.end()], self.screen[match.end() :]
        return seen

    def _read_until(self, find: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + self.patience
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            while not (found := find()):
                assert selector.select(deadline - time.monotonic()), self.screen
                self._read()
        return found

    def _read(self) -> None:
        try:
            came = self._decoder.decode(os.read(self._master, self.at_once))
        except OSError as error:  # EIO: the program has let go of the terminal
            raise AssertionError(self.screen) from error
        self.raw += came
        text = self._unfinished + came
        self._unfinished = "".join(_UNFINISHED.findall(text))
        self._show(text.removesuffix(self._unfinished))

    def _show(self, text: str) -> None:
        """Escape sequences are whole in it."""
        for _ in range(text.count(_WHERE_IS_THE_CURSOR)):
            self.type(_AT_THE_TOP)
        self.screen += _ESCAPE.sub("", text)

    def ended(self) -> int:
        """Wait for the end, and for all that was written before it; the result is the status."""
        wait_until(self._has_ended)
        os.write(self._slave, _LAST.encode())  # what comes through a terminal may come after the end of who wrote it
        self._read_until(lambda: self.raw.endswith(_LAST))
        return self.process.returncode

    def _has_ended(self) -> bool:
        if select.select([self._master], [], [], 0)[0]:
            self._read()
        return self.process.poll() is not None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


def at_the_prompt(server: ServerProcess, folder: Path, columns: int = 80, **environment: str) -> Terminal:
    """`chatfile-client` in a terminal, connected."""
    address = f"127.0.0.1:{server.port}"
    terminal = Terminal(*client_command("-s", address), folder=folder, columns=columns, **environment)
    terminal.see(PROMPT)
    return terminal


def wait_for_bytes(part: Path) -> None:
    """Until a download has begun."""
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
