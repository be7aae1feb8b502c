"""Files that were asked for ahead of their turns, and the calls in threads that deal with several of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatfile import wire
from chatfile.disk import InThread, result_or
from chatfile.downloads.target import Download, Stage
from chatfile.paths import LocalPath

Item = TypeVar("Item")


class AskedState(enum.Enum):
    """How far a file is that was asked for ahead of its turn."""

    COMING = "the server's reply is due"
    ON_DISK = "a thread saves it or compares it with what is there, or is about to"
    DONE = "there is a result"


class AskedFile:
    """A file that was asked for ahead of its turn, and what became of it."""

    __slots__ = ("kept", "number", "path", "reply", "result", "row", "state")

    def __init__(self, number: int, row: wire.FileRow, path: LocalPath) -> None:
        """Wait for the server's reply about the file of that number, whose place on this disk is `path`."""
        self.number = number
        self.row = row
        self.path = path
        self.kept: Stage | None = None
        """What came of it before the connection broke, and is in its part file."""
        self.state = AskedState.COMING
        self.reply: Deferred[Any] | None = None
        self.result: Download | Failure | None = None
        """None where the file has to be downloaded by itself."""

    def finish(self, result: Download | Failure | None) -> None:
        """Keep the result until it is the file's turn."""
        self.result, self.state = result, AskedState.DONE

    def drop(self) -> None:
        """Want the reply no more, nor what a thread makes of it."""
        reply, self.reply = self.reply, None
        self.state = AskedState.DONE
        if reply is not None:
            reply.cancel()


class Batches(Generic[Item]):
    """Gives threads what has come in one turn of the reactor: several files in one call."""

    MOST = 16
    """Files in one call."""

    def __init__(
        self, in_thread: InThread, call: Callable[[list[Item]], list[bool]], finished: Callable[[], None]
    ) -> None:
        """Let `call` deal with lists of items, and tell for each item whether that went well.

        `finished()` is called when the files of a call are done.
        """
        self._in_thread = in_thread
        self._call = call
        self._finished = finished
        self._waiting: list[tuple[Item, AskedFile, Download]] = []

    def add(self, clock: IReactorTime, item: Item, asked: AskedFile, result: Download) -> None:
        """Have `call` deal with `item`; then `asked` is done, with that `result` if it went well, else without."""
        asked.state = AskedState.ON_DISK
        self._waiting.append((item, asked, result))
        if len(self._waiting) == 1:
            clock.callLater(0, self._begin)
        elif len(self._waiting) == self.MOST:
            self._begin()

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            called = self._in_thread(self._call, [item for item, _, _ in batch])
            called.addErrback(result_or([False] * len(batch)))  # the download of each by itself tells why
            called.addCallback(self._finish, batch)

    def _finish(self, went_well: list[bool], batch: list[tuple[Item, AskedFile, Download]]) -> None:
        for (_, asked, result), is_well in zip(batch, went_well, strict=True):
            asked.finish(result if is_well else None)
        self._finished()
