"""The line that is being typed, and questions with their answers: on a terminal that can be drawn on, and elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_session
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile.cli.prompt.completion import Completions, tab
from chatfile.cli.prompt.terminal import Interrupted, Keyboard, own_keys

_STYLE = Style.from_dict(
    {
        "name": "ansigreen bold",
        "server": "ansicyan",
        "bottom-toolbar": "reverse",
        "completion-menu": "bg:#303030 #e4e4e4",
        "completion-menu.completion.current": "reverse bg:#ffffff #005f87",  # seen without colours, too
        "completion-menu.meta.completion": "bg:#303030 #b2b2b2",
        "completion-menu.meta.completion.current": "bg:#005f87 #e4e4e4",
        "scrollbar.background": "bg:#303030",
        "scrollbar.button": "bg:#626262",
    }
)
_RETRY = 0.02
"""Seconds until a prompt that is just beginning can be ended."""
_MENU = 8
"""Lines below the one that is typed in which Tab shows names."""
_NOT_MENU = 3
"""Lines of a low window that stay for what is typed, and the toolbar."""
ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


_CHUNK = 65536


class Withdrawn(Exception):
    """Raised where a question needs no answer any more."""


class _Interruptible(ABC):
    """Reads lines and answers, which an error can interrupt: the one that waits, or else the next."""

    def __init__(self) -> None:
        self._due: deque[BaseException] = deque()

    @abstractmethod
    async def _answer(self, question: str) -> str:
        """Return what is typed behind `question`."""

    @abstractmethod
    def _deliver(self) -> None:
        """End what is being read, if anything is, with the first error that is due."""

    async def ask(self, question: str, *, otherwise: bool) -> bool | None:
        """Ask until the answer is yes (True) or no (False), and return it; `otherwise` is what Enter alone means.

        Returns None where the question was withdrawn. Raises what `line` does.
        """
        answers = {"": otherwise, **ANSWERS}
        while True:
            try:
                typed = await self._answer(f"{question} ({'Y/n' if otherwise else 'y/N'}) ")
            except Withdrawn:
                return None
            answer = answers.get(typed.strip().lower())
            if answer is not None:
                return answer

    def interrupt_with(self, error: BaseException) -> None:
        """End what is being read, or what is read next, with `error`."""
        self._due.append(error)
        self._deliver()

    def withdraw(self) -> None:
        """Take back the question that is being asked: it needs no answer any more."""
        self.interrupt_with(Withdrawn())

    def _raise_due(self) -> None:
        while self._due:
            due = self._due.popleft()
            if not isinstance(due, Withdrawn):  # the question was answered before, maybe with nonsense
                raise due


class Reader(_Interruptible):
    """Reads lines, and answers to questions, from a terminal that can be drawn on."""

    def __init__(
        self, clock: IReactorTime, history: History, completer: Completions, toolbar: Callable[[], str | None]
    ) -> None:
        """Read from standard input; `toolbar` returns the text below the line, None where there is nothing to show."""
        super().__init__()
        self._clock = clock
        self._toolbar = toolbar
        # Kept here: contexts of threads lack the application.
        self._application = get_app_session()
        self._keyboard = Keyboard(sys.stdin)
        self._lines: PromptSession[str] = PromptSession(
            history=history,
            key_bindings=merge_key_bindings([tab(completer), own_keys()]),
            completer=completer,
            complete_while_typing=False,
            input=self._keyboard,
            style=_STYLE,
        )
        self._questions: PromptSession[str] = PromptSession(
            history=DummyHistory(),
            key_bindings=own_keys(),
            input=self._keyboard,
            style=_STYLE,
        )
        for session in (self._lines, self._questions):
            session.app.max_render_postpone_time = None  # a busy loop would postpone drawing by the wall clock
        self._is_reading = False
        self._kept = ""

    async def line(self, name: str, server: str) -> str:
        """Return the line that is typed.

        Raises `Interrupted` (Ctrl-C), EOFError (Ctrl-D), or the error given to `interrupt_with`. After that one the
        unfinished line is kept, and stands there again the next time.
        """
        message = FormattedText([("class:name", name), ("", " "), ("class:server", server), ("", "> ")])
        self._raise_due()
        kept, self._kept = self._kept, ""
        self.redraw()
        try:
            return str(await self._read(self._lines, message, kept))
        except (Interrupted, EOFError):
            raise
        except BaseException:
            self._kept = self._lines.default_buffer.text
            raise

    async def _answer(self, question: str) -> str:
        self._raise_due()
        return str(await self._read(self._questions, question, ""))

    async def _read(self, session: PromptSession[Any], message: Any, default: str) -> Any:
        self._is_reading = True
        session.app.erase_when_done = False
        session.reserve_space_for_menu = min(_MENU, max(session.app.output.get_size().rows - _NOT_MENU, 0))
        reading = session.prompt_async(message, default=default, handle_sigint=False, set_exception_handler=False)
        try:
            return await Deferred.fromFuture(asyncio.ensure_future(reading))
        finally:
            self._is_reading = False

    def raw_mode(self) -> AbstractContextManager[None]:
        """Keep keys for the next line within this context, Ctrl-C too, and show none of them until then."""
        return self._keyboard.raw_mode()

    def signals_enabled(self) -> AbstractContextManager[None]:
        """Do as `raw_mode`, but let Ctrl-C and Ctrl-Z be signals: for what may take long."""
        return self._keyboard.signals_enabled()

    def _deliver(self) -> None:
        if not self._due or not self._is_reading:
            return
        app = self._application.app
        if app is None or app.future is None:
            self._clock.callLater(_RETRY, self._deliver)
        elif not app.future.done():
            app.erase_when_done = not app.current_buffer.text  # a question without an answer leaves no trace
            app.exit(exception=self._due.popleft())

    def redraw(self) -> None:
        """Draw the prompt again: the text of the toolbar may have changed."""
        shown = None if self._toolbar() is None else self._toolbar
        if shown is None and self._lines.bottom_toolbar is None:
            return
        self._lines.bottom_toolbar = self._questions.bottom_toolbar = shown
        app = self._application.app
        if app is not None:
            app.invalidate()


class PlainReader(_Interruptible):
    """Does the same as `Reader` on a terminal that can't be drawn on: the system edits the lines, as it does for `cat`.

    There is neither history nor completion. What is typed too early is kept for later, even Ctrl-D.
    """

    def __init__(self) -> None:
        """Read standard input from now on."""
        super().__init__()
        self._descriptor = sys.stdin.fileno()
        self._came: deque[str | BaseException] = deque()
        self._rest = b""
        self._waiting: Deferred[str] | None = None
        asyncio.get_event_loop().add_reader(self._descriptor, self._read)

    async def line(self, name: str, server: str) -> str:
        """See `Reader`."""
        return await self._answer(f"{name} {server}> ")

    async def ask(self, question: str, *, otherwise: bool) -> bool | None:
        """See `Reader`. Lines typed before the question are no answer to it."""
        early, self._came = self._came, deque()
        try:
            return await super().ask(question, otherwise=otherwise)
        finally:
            self._came = early + self._came

    async def _answer(self, question: str) -> str:
        self._raise_due()
        sys.stdout.write(question)
        sys.stdout.flush()
        self._waiting = Deferred()
        self._deliver()
        try:
            return await self._waiting
        except (Interrupted, EOFError, Withdrawn):
            sys.stdout.write("\n")
            raise
        finally:
            self._waiting = None

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except OSError:
            data = b""  # the terminal has gone
        if data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._came.extend(line.decode(errors="surrogateescape") for line in lines)
        else:
            self._came.append(EOFError())
        self._deliver()

    def _deliver(self) -> None:
        if self._waiting is None or self._waiting.called:
            return
        if self._due:
            self._waiting.errback(self._due.popleft())
        elif self._came:
            came = self._came.popleft()
            self._waiting.errback(came) if isinstance(came, BaseException) else self._waiting.callback(came)

    def interrupt_with(self, error: BaseException) -> None:
        """See `Reader`."""
        if isinstance(error, Interrupted) and self._waiting is None:
            sys.stdout.write("\n")  # after the ^C that the terminal shows
        super().interrupt_with(error)

    def redraw(self) -> None:
        """Do nothing: there is no toolbar."""

    def raw_mode(self) -> AbstractContextManager[None]:
        """Do nothing: the system shows what is typed."""
        return nullcontext()

    signals_enabled = raw_mode
