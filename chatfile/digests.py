"""SHA-256 of files, computed in threads, cached, one job for many askers.

A job reads through a descriptor of its own, so that whoever asked can go at any time; when the last one has gone, the
job stops.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.fdio import close_quietly

Version = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, mtime and ctime in ns: what tells one content of one file from another."""


class FileChanged(Exception):
    """The file is not what it was when it was opened: shorter, or written to and not only behind its end."""


class _Stopped(Exception):
    """Nobody waits for this digest any more."""


class _Job:
    """One file being hashed, how far it is, and who waits for it."""

    def __init__(self, descriptor: int, status: os.stat_result, began: float, in_thread: InThread) -> None:
        self.descriptor = descriptor
        self.began = began
        self.in_thread = in_thread
        self.sha256 = hashlib.sha256()
        self.first_reading: bytes | None = None
        self.offset = 0
        self.size = status.st_size
        self.version = _version(status)
        self.stopped = threading.Event()
        self.askers: list[Deferred[str]] = []
        self.turn: Deferred[bool]

    def close(self) -> None:
        """In a thread, behind the last turn."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            close_quietly(descriptor)


class Digests:
    """The digests of files, computed when asked for and kept."""

    TURN = 32 << 20
    """Bytes that a job computes before it goes to the end of the line: a small file does not wait for large ones."""
    TURN_SECONDS = 0.03
    """Seconds after which it goes there, however few bytes the disk has given: one that computes is never slow."""
    CACHED = 10_000
    """Digests kept, those asked for latest; some 500 bytes each."""
    CHUNK = 256 << 10
    """Bytes read at a time; a job that nobody waits for stops after so many."""
    SETTLED = 2.0
    """Seconds for which a file must have been left alone before its digest is kept.

    A write so soon after another can leave the same mtime: FAT counts in steps of two seconds.
    """

    def __init__(
        self, queue: Callable[[], InThread], now: Callable[[], float], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """`queue()` gives what makes the calls of one job, in turn with those of others.

        `now` tells the wall-clock time, and `ticks` that of a clock that nobody sets.
        """
        self._queue = queue
        self._now = now
        self._ticks = ticks
        self._cache: OrderedDict[Version, str] = OrderedDict()
        self._jobs: dict[Version, _Job] = {}

    def knows(self, status: os.stat_result) -> bool:
        """Tell whether the digest of a file with that `status` is here; asked in any thread, it stays for a while."""
        try:
            self._cache.move_to_end(_version(status))
        except KeyError:
            return False
        return True

    def digest(self, descriptor: int, status: os.stat_result) -> Deferred[str]:
        """The SHA-256, in hex, of the first `status.st_size` bytes of `descriptor`, which stays the caller's.

        It is that of bytes that were all there at one moment, never of some from before a change and some from behind
        it. Fails with `FileChanged` where there is none such, or with an OSError. Cancel it when the digest is not
        wanted any more.
        """
        version = _version(status)
        if self.knows(status):
            return succeed(self._cache[version])
        job = self._jobs.get(version)
        if job is not None:
            return self._ask(job)
        try:
            job = self._jobs[version] = _Job(os.dup(descriptor), status, self._now(), self._queue())
        except OSError:
            return fail(Failure())
        asker = self._ask(job)
        self._line_up(job)
        return asker

    def _line_up(self, job: _Job) -> None:
        job.turn = job.in_thread(self._take_turn, job, unwanted=lambda _: job.close(), about=job.version[:2])
        job.turn.addBoth(self._end_turn, job)

    def _ask(self, job: _Job) -> Deferred[str]:
        asker: Deferred[str] = Deferred(lambda asker: self._leave(job, asker))
        job.askers.append(asker)
        return asker

    def _leave(self, job: _Job, asker: Deferred[str]) -> None:
        job.askers.remove(asker)
        if not job.askers:
            job.stopped.set()
            if self._jobs.get(job.version) is job:
                del self._jobs[job.version]
            job.turn.cancel()

    def _take_turn(self, job: _Job) -> bool:
        """In a thread. The result is whether the digest, when it is complete, can be kept."""
        try:
            settled = self._compute(job)
        except BaseException:
            job.close()
            raise
        if job.offset == job.size:
            job.close()
        return settled

    def _compute(self, job: _Job) -> bool:
        end, until = min(job.size, job.offset + self.TURN), self._ticks() + self.TURN_SECONDS
        buffer = memoryview(bytearray(min(self.CHUNK, end - job.offset)))
        while job.offset < end and self._ticks() < until:
            if job.stopped.is_set():
                raise _Stopped
            count = os.preadv(job.descriptor, [buffer[: end - job.offset]], job.offset)
            if count == 0:
                raise FileChanged
            job.sha256.update(buffer[:count])
            job.offset += count
        return job.offset == job.size and self._conclude(job)

    def _conclude(self, job: _Job) -> bool:
        """In a thread, behind the last byte: whether the digest can be kept; a file that was written to is read again.

        Who appends to it leaves the rest alone, who rewrites it may make it longer as well: two readings tell. And a
        write that is under way shows in the time before it does in the size.
        """
        now = os.fstat(job.descriptor)
        was_written_to = now.st_mtime_ns != job.version[3]
        is_second = job.first_reading is not None
        if now.st_size < job.size or (is_second and was_written_to and now.st_size == job.size):
            raise FileChanged
        if was_written_to and not is_second:
            job.first_reading, job.sha256, job.offset = job.sha256.digest(), hashlib.sha256(), 0
        elif job.first_reading not in (None, job.sha256.digest()):
            raise FileChanged
        quiet_since = max(job.version[3:]) / 1e9
        return _version(now) == job.version and job.began - quiet_since > self.SETTLED

    def _end_turn(self, settled: bool | Failure, job: _Job) -> None:
        if not isinstance(settled, Failure) and job.offset < job.size:
            self._line_up(job)
            return
        if self._jobs.get(job.version) is job:
            del self._jobs[job.version]
        self._answer(settled, job)

    def _answer(self, settled: bool | Failure, job: _Job) -> None:
        if isinstance(settled, Failure):
            for asker in job.askers:
                asker.errback(settled)
            return
        sha256 = job.sha256.hexdigest()
        if settled:
            self._keep(job.version, sha256)
        for asker in job.askers:
            asker.callback(sha256)

    def _keep(self, version: Version, sha256: str) -> None:
        self._cache[version] = sha256
        if len(self._cache) > self.CACHED:
            self._cache.popitem(last=False)


def _version(status: os.stat_result) -> Version:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
