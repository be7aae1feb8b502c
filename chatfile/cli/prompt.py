"""Lines typed at a prompt or piped in, carried out one after the other."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.interfaces import IReactorFromThreads

from chatfile import errors, wire
from chatfile.cli.exits import Exit
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.session import Session, attempt, leave
from chatfile.client import ChatFileClient
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
        self,
        session: Session,
        source: StandardInput,
        interrupts: Interrupts,
        reconnect: Callable[[], Coroutine[Deferred[Any], Any, ChatFileClient]],
        *,
        is_interactive: bool,
    ) -> None:
        """Interactive: a prompt is shown, and an interruption ends a command but not the program."""
        self._session = session
        self._source = source
        self._interrupts = interrupts
        self._reconnect = reconnect
        self._is_interactive = is_interactive
        self._current: Deferred[Exit] | None = None
        self._watched: ChatFileClient | None = None

    async def run(self) -> Exit:
        """Until the input ends. The result is the exit code. Raises why, where the server ends the conversation."""
        self._watch()
        if self._is_interactive:
            self._interrupts.handle = self._interrupted
            self._session.view.note('Connected. "help" shows the commands; Ctrl-D leaves.')
        self._source.start()
        code = Exit.DONE
        while (line := await self._next_line()) is not None:
            failed = await self._carry_out(line)
            code = code or failed
            if self._session.client.phase is not Phase.OPEN:
                return failed if failed and self._is_interactive else self._final(code or await leave(self._session))
        left = await leave(self._session)
        return self._final(code or left)

    def _final(self, code: Exit) -> Exit:
        return Exit.DONE if self._is_interactive else code

    def _watch(self) -> None:
        """Hear of the server's end while a line is waited for."""
        watched = self._watched = self._session.client

        def tell(why: errors.ChatFileError) -> None:
            if self._watched is watched:
                self._source.interject(why)

        watched.closed.addCallback(tell)

    async def _next_line(self) -> bytes | None:
        self._show_prompt()
        line = await self._source.next()
        if not isinstance(line, bytes):
            self._write("\n")
        if isinstance(line, errors.ChatFileError):
            raise line
        return line

    async def _carry_out(self, line: bytes) -> Exit:
        self._current = Deferred.fromCoroutine(attempt(self._session, self._run_line(line)))
        try:
            return await self._current
        except CancelledError:
            if not self._is_interactive:
                raise
        finally:
            self._current = None
        await self._begin_anew()
        return Exit.DONE

    async def _run_line(self, line: bytes) -> None:
        await self._session.run(wire.parse_request(line.removesuffix(b"\r")))

    async def _begin_anew(self) -> None:
        """A reply can't be called back: what is left of it goes with its connection, and another one takes over."""
        self._session.view.note("Cancelled, reconnecting. What came of a file is kept; get it again to go on.")
        self._watched = None
        self._session.client.abort()
        self._session.client = await self._reconnect()
        self._watch()

    def _interrupted(self) -> None:
        """Ctrl-C: at the prompt it drops the line, which the terminal has done already; else it ends the command."""
        if self._current is not None:
            self._current.cancel()
        else:
            self._write("\n")
            self._show_prompt()

    def _show_prompt(self) -> None:
        self._write(f"{wire.printable(self._session.client.name)}> ")

    def _write(self, text: str) -> None:
        if self._is_interactive:
            stream = sys.stdout if sys.stdout.isatty() else sys.stderr
            stream.write(text)
            stream.flush()
