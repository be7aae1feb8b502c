"""The keys of the terminal, and whether they are read, kept, or obeyed by the system."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.filters import is_searching
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search

_LFLAG = 3
"""Where `tcgetattr` has the flags of which ISIG is one."""


class Keyboard(Vt100Input):
    """Stays raw while something is shown above the line: a key struck in that moment is neither shown nor obeyed."""

    def cooked_mode(self) -> AbstractContextManager[None]:
        """As it is."""
        return nullcontext()

    @contextlib.contextmanager
    def obeyed(self) -> Iterator[None]:
        """Ctrl-C and Ctrl-Z are signals, though nothing is read; other keys are kept and not shown, even Ctrl-D."""
        with self.raw_mode():
            with contextlib.suppress(termios.error):  # the terminal has gone
                attributes = termios.tcgetattr(self.fileno())
                attributes[_LFLAG] |= termios.ISIG
                termios.tcsetattr(self.fileno(), termios.TCSANOW, attributes)
            yield


class Interrupted(Exception):
    """Ctrl-C. `typed` is the line that it dropped."""

    def __init__(self, typed: str = "") -> None:
        """By default, nothing was being typed."""
        super().__init__(typed)
        self.typed = typed


def own_keys() -> KeyBindings:
    """The keys that do here what they do at a shell."""
    keys = KeyBindings()
    keys.add("c-c")(_interrupt)
    keys.add("c-z")(lambda _: run_in_terminal(lambda: os.kill(0, signal.SIGTSTP)))  # the whole job, pipes and all
    keys.add("enter", filter=is_searching)(_take_what_was_found)
    keys.add(Keys.Vt100MouseEvent)(lambda _: None)  # a colour that was pasted looks like one, and is none
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
