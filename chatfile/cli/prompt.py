"""Lines typed at a prompt or piped in, carried out one after the other."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.interfaces import IReactorFromThreads

from chatfile import errors, wire
from chatfile.cli.exits import Exit
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.session import Session, attempt, leave
from chatfile.lines import Phase

_STDIN = 0
_CHUNK = 65536


class StandardInput:
    """The lines of standard input, read in a thread, no further ahead than one line."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        """Nothing is read before `start`."""
        self._reactor = reactor
        self._events: DeferredQueue[bytes | errors.ChatFileError | None] = DeferredQueue()
        self._wanted = threading.Semaphore(0)

    def start(self) -> None:
        """Begin to read. The thread is a daemon: a read can't be called back."""
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Deferred[bytes | errors.ChatFileError | None]:
        """The next line without its end; None at the end of input; the error that was `interject`ed."""
        self._wanted.release()
        return self._events.get()

    def interject(self, error: errors.ChatFileError) -> None:
        """Something that whoever waits for a line must hear instead."""
        self._events.put(error)

    def _read(self) -> None:
        for line in _lines():
            self._wanted.acquire()
            self._reactor.callFromThread(self._events.put, line)
        self._reactor.callFromThread(self._events.put, None)


def _lines() -> Iterator[bytes]:
    # os.read, not sys.stdin: the interpreter can't end while a daemon thread is inside a buffered reader.
    rest = b""
    while data := _read_some():
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _read_some() -> bytes:
    try:
        return os.read(_STDIN, _CHUNK)
    except OSError:
        return b""  # the terminal went away (EIO), or there never was an input (EBADF): its end


class Prompt:
    """Asks for a line, carries it out, asks for the next."""

    def __init__(
        self, session: Session, source: StandardInput, interrupts: Interrupts, *, is_interactive: bool
    ) -> None:
        """Interactive: a prompt is shown, and an interruption ends a command but not the program."""
        self._session = session
        self._source = source
        self._interrupts = interrupts
        self._is_interactive = is_interactive
        self._current: Deferred[Exit] | None = None

    async def run(self) -> Exit:
        """Until the input or the server ends. The result is the exit code."""
        client = self._session.client
        client.closed.addCallback(self._source.interject)
        if self._is_interactive:
            self._interrupts.handle = self._interrupted
            self._session.view.note('Connected. "help" shows the commands; Ctrl-D leaves.')
        self._source.start()
        code = Exit.DONE
        while client.phase is Phase.OPEN:
            self._show_prompt()
            line = await self._source.next()
            if isinstance(line, errors.ChatFileError):
                self._end_line()
                self._session.view.error(line)
                return Exit.BROKEN
            if line is None:
                self._end_line()
                break
            failed = await self._carry_out(line)
            code = code or failed
        await leave(client)
        return Exit.DONE if self._is_interactive and code is not Exit.BROKEN else code

    async def _carry_out(self, line: bytes) -> Exit:
        self._current = Deferred.fromCoroutine(attempt(self._session, self._run_line(line)))
        try:
            return await self._current
        except CancelledError:
            if not self._is_interactive:
                raise
            self._session.view.note("Cancelled. What came of a file is kept; get it again to go on.")
            return Exit.DONE
        finally:
            self._current = None

    async def _run_line(self, line: bytes) -> None:
        await self._session.run(wire.parse_request(line.removesuffix(b"\r")))

    def _interrupted(self) -> None:
        """Ctrl-C: at the prompt it drops the line, which the terminal has done already; else it ends the command."""
        if self._current is not None:
            self._current.cancel()
        else:
            self._end_line()
            self._show_prompt()

    def _show_prompt(self) -> None:
        if self._is_interactive:
            stream = sys.stdout if sys.stdout.isatty() else sys.stderr
            stream.write(f"{self._session.client.name}> ")
            stream.flush()

    def _end_line(self) -> None:
        if self._is_interactive:
            stream = sys.stdout if sys.stdout.isatty() else sys.stderr
            stream.write("\n")
            stream.flush()
