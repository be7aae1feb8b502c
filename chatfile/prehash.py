"""Digests of the served files that no client has asked for yet, computed while no client is sent anything.

One daemonic thread of the lowest priority goes through the files again and again: those that are new, or have changed,
are hashed; in between it rests. It stands still as long as a client waits for a response.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice

from twisted.logger import Logger

from chatfile.digests import Digests, Version, file_version, is_settled
from chatfile.errors import Refusal
from chatfile.repository import Entry, OpenFile, Repository


class Prehash:
    """Hashes files ahead, from `start` to `stop`."""

    log = Logger()
    CHUNK = 1 << 20
    """Bytes read at a time; then it looks whether a client waits."""
    MIN_AGE = 30.0
    """Seconds since the last change of a file before it is hashed ahead: one that is being written has time."""
    PAUSE = 0.1
    """Seconds after which it looks again whether a client waits."""
    REST = 60.0
    """Seconds from one tour through the files to the next, at least."""
    SHARE = 0.01
    """The part of its time that goes into tours which find nothing new, at most."""

    def __init__(
        self,
        digests: Digests,
        repository: Repository,
        *,
        is_busy: Callable[[], bool],
        in_reactor: Callable[..., object],
    ) -> None:
        """Add the digests of the files in `repository` to `digests`, until so many are known as can be.

        `is_busy()` tells, in any thread, whether a client waits. `in_reactor` is the reactor's `callFromThread`.
        """
        self._digests = digests
        self._repository = repository
        self._is_busy = is_busy
        self._in_reactor = in_reactor
        self._stopped = threading.Event()
        self._unreadable: set[Version] = set()
        self._files = 0
        self._bytes = 0

    def start(self, after: threading.Event | None) -> None:
        """Start the thread; what it does begins `after` something else is done."""
        try:
            threading.Thread(target=self._run, args=(after,), daemon=True, name="chatfile prehash").start()
        except RuntimeError:
            self.log.warn("Nothing is hashed ahead: the system gives no thread for it", event="prehash")

    def stop(self) -> None:
        """End, as soon as what is being read has been read."""
        self._stopped.set()

    # --- in the thread ---

    def _run(self, after: threading.Event | None) -> None:
        use_lowest_priority()
        if after is not None:
            after.wait()
        while not self._stopped.is_set():
            began = time.monotonic()
            self.go_through()
            took = time.monotonic() - began
            self._stopped.wait(max(self.REST, took / self.SHARE))

    def go_through(self) -> None:
        """Hash all files whose digest is not known, one after the other; log what was done."""
        self._files = self._bytes = 0
        self._look_at_all()
        if self._files:
            text = "{files} files were hashed ahead, {size} bytes"
            self._in_reactor(self.log.info, text, files=self._files, size=self._bytes, event="prehash")

    def _look_at_all(self) -> None:
        try:
            for entry in islice(self._entries(), self._digests.most):
                if not self._may_go_on():
                    return
                self._look_at(entry.name)
        except Refusal:
            pass  # the folder can't be listed now: a client that asks is told why

    def _entries(self) -> Iterator[Entry]:
        if self._repository.is_recursive:
            return self._repository.tree("", most=self._digests.most, is_stopped=self._stopped.is_set)
        return self._repository.listing(self._stopped.is_set)

    def _may_go_on(self) -> bool:
        """Wait until no client waits; return False if it is to end."""
        while self._is_busy() and not self._stopped.is_set():
            self._stopped.wait(self.PAUSE)
        return not self._stopped.is_set()

    def _look_at(self, name: str) -> None:
        try:
            opened = self._repository.open(name)
        except (Refusal, OSError):
            return
        try:
            if self._is_wanted(opened):
                self._hash(opened)
        except OSError:  # a fault of the disk: it must not be read anew in each tour
            if len(self._unreadable) >= self._digests.most:
                self._unreadable.clear()
            self._unreadable.add(file_version(opened.status))
        finally:
            opened.close()

    def _is_wanted(self, opened: OpenFile) -> bool:
        version, now = self._digests.begin(opened.status)
        is_known = self._digests.find(opened.status) is not None
        return not is_known and version not in self._unreadable and is_settled(version, now - self.MIN_AGE)

    def _hash(self, opened: OpenFile) -> None:
        """Read the file to its end, and keep its digest; leave it if it changes, or a client has it hashed meanwhile.

        Raises OSError.
        """
        reading, sha256, offset = self._digests.begin(opened.status), hashlib.sha256(), 0
        buffer = memoryview(bytearray(min(self.CHUNK, opened.size)))
        while offset < opened.size:
            if self._is_busy() and not self._is_resumed(opened):
                return
            count = os.preadv(opened.descriptor, [buffer[: opened.size - offset]], offset)
            if count == 0 or self._stopped.is_set():
                return
            sha256.update(buffer[:count])
            offset += count
        if self._digests.remember(reading, os.fstat(opened.descriptor), sha256.hexdigest()):
            self._files, self._bytes = self._files + 1, self._bytes + offset

    def _is_resumed(self, opened: OpenFile) -> bool:
        """Wait until no client waits; tell whether the file is still to be hashed."""
        return self._may_go_on() and self._is_wanted(opened) and is_unchanged(opened)


def is_unchanged(opened: OpenFile) -> bool:
    """Tell whether a file is as it was when it was opened."""
    return file_version(os.fstat(opened.descriptor)) == file_version(opened.status)


def use_lowest_priority() -> None:
    """Have the calling thread use processors and disks only when nobody else wants to, as far as the system can.

    Linux has a scheduling policy for that, which stands for the idle class of I/O as well (ioprio_set(2)); both are of
    a thread there. On other systems, a priority is that of the whole process, and stays as it is.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        pass
