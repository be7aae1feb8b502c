"""The terminal of a prompt: how the process is made ready for it, its keys, and output above the line that is typed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO, cast

from prompt_toolkit.application import create_app_session, in_terminal, run_in_terminal
from prompt_toolkit.filters import is_searching
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.search import accept_search
from twisted.internet import asyncioreactor

from chatfile.cli.terminal import is_dumb, restore_on_signals

_UNDO = b"\x1b[J\x1b[?2004l\x1b[0m\x1b[?25h\r\n"
"""Erase what is below, stop marking pastes, colours off, cursor on (ECMA-48, and xterm's own)."""
_LFLAG = 3
"""Where `tcgetattr` has the flags of which ISIG is one."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Make asyncio's reactor the one of this process, for prompts run on asyncio, and the terminal fit for a prompt.

    This context has to begin before anything imports `twisted.internet.reactor`, and to last as long as that runs.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    is_plain = is_dumb()
    with create_app_session(output=PlainTextOutput(sys.stdout) if is_plain else None):
        restore_on_signals(b"\r\n" if is_plain else _UNDO)
        asyncioreactor.install(loop)
        yield


# --- keys ---


class Keyboard(Vt100Input):
    """Stays raw while something is shown above the line: a key struck in that moment is neither shown nor obeyed."""

    def cooked_mode(self) -> AbstractContextManager[None]:
        """Change nothing: the terminal stays as it is."""
        return nullcontext()

    @contextlib.contextmanager
    def signals_enabled(self) -> Iterator[None]:
        """Let Ctrl-C and Ctrl-Z be signals within this context, while nothing is read.

        Other keys are kept for later and not shown, even Ctrl-D.
        """
        with self.raw_mode():
            with contextlib.suppress(termios.error):  # the terminal has gone
                attributes = termios.tcgetattr(self.fileno())
                attributes[_LFLAG] |= termios.ISIG
                termios.tcsetattr(self.fileno(), termios.TCSANOW, attributes)
            yield


class Interrupted(Exception):
    """Raised for Ctrl-C; `typed` is the unfinished line that it dropped."""

    def __init__(self, typed: str = "") -> None:
        """Tell of the line that was being typed, by default an empty one."""
        super().__init__(typed)
        self.typed = typed


def own_keys() -> KeyBindings:
    """Return the keys that do here what they do at a shell: Ctrl-C, Ctrl-Z, and Enter amid a search."""
    keys = KeyBindings()
    keys.add("c-c")(_interrupt)
    keys.add("c-z")(lambda _: run_in_terminal(lambda: os.kill(0, signal.SIGTSTP)))  # the whole job, pipes and all
    keys.add("enter", filter=is_searching)(_take_what_was_found)
    keys.add(Keys.Vt100MouseEvent)(lambda _: None)  # a pasted escape sequence of a colour looks like one
    return keys


def _take_what_was_found(event: KeyPressEvent) -> None:
    accept_search()
    event.app.current_buffer.validate_and_handle()


def _interrupt(event: KeyPressEvent) -> None:
    buffer = event.current_buffer
    typed = buffer.text
    if typed:
        buffer.cursor_position = len(typed)
        buffer.insert_text("^C")  # or the line would look as if it had been carried out
    event.app.exit(exception=Interrupted(typed))


# --- output above the line ---


class PatchedStdout(io.TextIOBase):
    """Takes the place of a stream: what is written appears above the prompt, which is drawn anew below it."""

    def __init__(self, output: Output) -> None:
        """Write to the terminal `output`."""
        self._output = output
        self._context = contextvars.copy_context()  # contexts of threads lack the prompt's application
        self._waiting: list[str] = []
        self._showing: asyncio.Future[None] | None = None

    def write(self, text: str) -> int:
        """Show it in a moment, with everything else that is written until then."""
        self._waiting.append(text)
        if self._showing is None:
            self._showing = self._context.copy().run(asyncio.ensure_future, self._show())
        return len(text)

    async def _show(self) -> None:
        try:
            async with in_terminal():
                self.show_now()
        finally:
            self._showing = None

    def show_now(self) -> None:
        """Write at once what is still to be shown, whether there is a prompt or not."""
        text, self._waiting = "".join(self._waiting), []
        self._output.write_raw(text)
        self._output.flush()

    async def shown(self) -> None:
        """Wait until everything that was written so far can be seen."""
        while self._showing is not None:
            await self._showing


@contextlib.contextmanager
def streams_above(output: Output) -> Iterator[PatchedStdout]:
    """Let what is printed to a stream that is a terminal appear above the prompt, within this context."""
    above = PatchedStdout(output)
    out, error = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        cast("TextIO", above) if stream is not None and stream.isatty() else stream for stream in (out, error)
    )
    try:
        yield above
    finally:
        sys.stdout, sys.stderr = out, error
        above.show_now()
