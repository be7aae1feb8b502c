"""Lines from a terminal that can't be drawn on: the system edits them, as it does for `cat`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from contextlib import AbstractContextManager, nullcontext

from twisted.internet.defer import Deferred

from chatfile.cli.prompt.keyboard import Interrupted
from chatfile.cli.prompt.reading import ANSWERS, Withdrawn

_CHUNK = 65536


class PlainReader:
    """As `Reader`, without history and completion. What is typed too early is kept for later, even Ctrl-D."""

    def __init__(self) -> None:
        """Listens to standard input from now on."""
        self._descriptor = sys.stdin.fileno()
        self._came: deque[str | BaseException] = deque()
        self._due: deque[BaseException] = deque()
        self._rest = b""
        self._waiting: Deferred[str] | None = None
        asyncio.get_event_loop().add_reader(self._descriptor, self._read)

    async def line(self, name: str, server: str) -> str:
        """See `Reader`."""
        return await self._asked(f"{name} {server}> ")

    async def ask(self, question: str, *, otherwise: bool) -> bool | None:
        """See `Reader`."""
        answers = {"": otherwise, **ANSWERS}
        early, self._came = self._came, deque()  # typed before it was asked, and no answer
        try:
            while True:
                typed = await self._asked(f"{question} ({'Y/n' if otherwise else 'y/N'}) ")
                answer = answers.get(typed.strip().lower())
                if answer is not None:
                    return answer
        except Withdrawn:
            return None
        finally:
            self._came = early + self._came

    async def _asked(self, prompt: str) -> str:
        while self._due:
            due = self._due.popleft()
            if not isinstance(due, Withdrawn):
                raise due
        sys.stdout.write(prompt)
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

    def interject(self, error: BaseException) -> None:
        """See `Reader`."""
        self._due.append(error)
        if isinstance(error, Interrupted) and self._waiting is None:
            sys.stdout.write("\n")  # behind the ^C
        self._deliver()

    def withdraw(self) -> None:
        """See `Reader`."""
        self.interject(Withdrawn())

    def redraw(self) -> None:
        """There is nothing to be drawn."""

    def silent(self) -> AbstractContextManager[None]:
        """What is typed is shown by the system."""
        return nullcontext()

    obedient = silent
