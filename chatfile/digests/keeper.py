"""Keeps digests beyond the end of the server: what a store has is known from the start, and what is new is added to it.

All that touches the disk happens in one daemonic thread. Digests are written in groups, some time after the first of a
group became known. If the store fails, it costs time at the next start, and one line in the log.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatfile.digests.known import KnownDigests
from chatfile.digests.store import GROUP, DigestStore, StoreInUse, is_recordable
from chatfile.digests.versions import Version
from chatfile.disk import ThreadWorker, Worker


class DigestKeeper:
    """Keeps all digests that are known, and become known, in the store of one folder."""

    log = Logger()
    SECONDS = 1.0
    """The time in which new digests gather before they are written."""

    def __init__(self, folder: str, known: KnownDigests, in_reactor: Callable[..., object]) -> None:
        """Keep what is `known` in a file of `folder`; `in_reactor` is the reactor's `callFromThread`."""
        self.is_read = threading.Event()
        """Set when all that the store has is known, or nothing of it will be."""
        self._folder = folder
        self._known = known
        self._in_reactor = in_reactor
        self._worker: Worker | None = None
        self._store: DigestStore | None = None
        self._new: deque[tuple[Version, str]] = deque(maxlen=GROUP)
        self._is_gathering = False
        self._is_failing = False
        self._closing = threading.Event()

    def start(self, start: Callable[[], Worker] = ThreadWorker) -> None:
        """Begin to read the store, in a thread; `start()` returns it, or raises RuntimeError if there is none."""
        try:
            self._worker = start()
        except RuntimeError:
            self._give_up("the system gives no thread for it")
            self.is_read.set()
            return
        self._known.on_add(self._add)
        self._worker.do(self._read)

    def close(self) -> Deferred[None]:
        """Write what is new; return when that is done, or at once where there is no store."""
        worker, self._worker = self._worker, None
        if worker is None:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.set()
        worker.do(partial(self._end, closed))
        worker.quit()
        return closed

    # --- in any thread ---

    def _add(self, version: Version, sha256: str) -> None:
        """Have a digest written with the next group; where too many wait for a slow disk, the oldest are dropped."""
        worker = self._worker
        if worker is None or not is_recordable(version):
            return
        self._new.append((version, sha256))
        if not self._is_gathering:
            self._is_gathering = True
            worker.do(self._gather)

    # --- in the thread of the worker ---

    def _read(self) -> None:
        try:
            self._store = store = DigestStore(self._folder, self._known.most)
            for version, sha256 in store.read():
                self._known.put_back(version, sha256)
        except StoreInUse:
            self._give_up("another server uses it")
        except OSError as error:
            self._fail(error)
        else:
            self._tell(self.log.info, "{count} digests are known from {folder}", count=len(self._known))
        self.is_read.set()

    def _gather(self) -> None:
        self._closing.wait(self.SECONDS)
        self._is_gathering = False
        self._write()

    def _write(self) -> None:
        group = [self._new.popleft() for _ in range(len(self._new))]
        if self._store is None or not group:
            return
        try:
            self._store.append(group)
            self._store.compact_if_stale(self._known.versions, len(self._known))
        except OSError as error:
            self._fail(error)
        else:
            self._is_failing = False

    def _end(self, closed: Deferred[None]) -> None:
        """Close the store, behind the last group."""
        if self._store is not None:
            self._store.close()
        self._in_reactor(closed.callback, None)

    # --- what is told ---

    def _fail(self, error: OSError) -> None:
        """Tell of an error once, until there is none again."""
        if not self._is_failing:
            self._give_up(error.strerror or str(error))
        self._is_failing = True

    def _give_up(self, why: str) -> None:
        self._tell(self.log.warn, "Digests are not kept in {folder} now: {why}", why=why)

    def _tell(self, tell: Callable[..., None], text: str, **fields: object) -> None:
        self._in_reactor(tell, text, folder=self._folder, event="state", **fields)
