"""Lines that are piped in, carried out one after the other."""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Iterator
from itertools import chain

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.interfaces import IReactorFromThreads

from chatfile import errors, wire
from chatfile.cli.connecting import leave
from chatfile.cli.executor import attempt
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.lines import parse_line
from chatfile.cli.session import Session

_STDIN = 0
_CHUNK = 65536
_TOO_LONG = wire.MAX_REQUEST + len("\r") + 1
"""Bytes of an unfinished line that are kept: enough to be refused, whatever else comes."""
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class StandardInput:
    """The lines of standard input, read in a thread, no further ahead than one line."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        """Read nothing before `start`."""
        self._reactor = reactor
        self._events: DeferredQueue[bytes | errors.ChatFileError | None] = DeferredQueue()
        self._wanted = threading.Semaphore(0)

    def start(self) -> None:
        """Begin to read. The thread is a daemon: a read can't be called back. Raises `NoThreads`."""
        try:
            threading.Thread(target=self._read, daemon=True).start()
        except RuntimeError as error:
            raise errors.NoThreads from error

    def next(self) -> Deferred[bytes | errors.ChatFileError | None]:
        """Return the next line without its end; None at the end of input; or the error given to `interrupt_with`."""
        self._wanted.release()
        return self._events.get()

    def interrupt_with(self, error: errors.ChatFileError) -> None:
        """Let the caller that waits for a line, or the next one that does, get `error` instead."""
        self._events.put(error)

    def _read(self) -> None:
        try:
            for line in _lines():
                self._wanted.acquire()
                self._reactor.callFromThread(self._events.put, line)
        except errors.NotUtf8 as error:
            self._reactor.callFromThread(self._events.put, error)
        self._reactor.callFromThread(self._events.put, None)


def _lines() -> Iterator[bytes]:
    # os.read, not sys.stdin: the interpreter can't end while a daemon thread is inside a buffered reader.
    rest = b""
    for data in chain([_beginning()], iter(_read_some, b"")):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[:_TOO_LONG]
        yield from lines
    if rest:
        yield rest


def _beginning() -> bytes:
    """Return the first bytes, without a byte order mark. Raises `NotUtf8` where the mark is one of another encoding."""
    data = b""
    while any(mark.startswith(data) and mark != data for mark in _MARKS) and (more := _read_some()):
        data += more
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise errors.NotUtf8
    return data.removeprefix(codecs.BOM_UTF8)


def _read_some() -> bytes:
    try:
        return os.read(_STDIN, _CHUNK)
    except OSError:
        return b""  # the terminal is gone (EIO), or there is no input (EBADF): the end


async def carry_out_lines(session: Session, reactor: IReactorFromThreads) -> ExitCode:
    """Carry out all lines of standard input until it ends, and return the exit code of the first failure.

    Raises a `ChatFileError` where the server closes the connection before.
    """
    source, code = StandardInput(reactor), ExitCode.DONE
    session.client.closed.addCallback(source.interrupt_with)
    source.start()
    while (line := await source.next()) is not None:
        if isinstance(line, errors.ChatFileError):
            raise line
        failed = await _carry_out(session, line)
        code = code or failed
        if not session.client.is_receiving:
            break
    return code or await leave(session.client, session.view)


async def _carry_out(session: Session, line: bytes) -> ExitCode:
    try:
        command = parse_line(line.removesuffix(b"\r").decode(errors="surrogateescape"))
    except errors.ChatFileError as error:
        session.view.error(error)
        return exit_code(error)
    return await attempt(session, command)
