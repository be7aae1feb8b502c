"""SHA-256 of files, computed in threads, cached, one job for many askers.

A job reads through a descriptor of its own, so that each asker can cancel at any time; when the last one has, the job
stops.

A file may be written to while it is read. Its digest has to be that of bytes which were all there at one moment, so a
file that has changed is read a second time. If it was only appended to, the bytes before are the same, and both
readings have one digest. The mtime alone proves nothing: a write that is under way changes it before the size.
"""

from __future__ import annotations

import enum
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
    """Raised where a file has changed since it was opened: it is shorter, or was not only appended to."""


class Change(enum.Enum):
    """The ways in which a file may have changed since it was opened, at the end of a reading."""

    NONE = "the same mtime, and no fewer bytes"
    APPENDED = "another mtime and more bytes: appended to, or rewritten and longer"
    REWRITTEN = "another mtime and as many bytes: rewritten, or just being appended to"
    SHRUNK = "fewer bytes"


class Verdict(enum.Enum):
    """The consequences of a reading that has come to its end."""

    VALID = "the digest is that of the file"
    READ_AGAIN = "it may be that of a bit of both contents: a second reading tells"
    COMPARE = "it is valid if the first reading came to the same"
    CHANGED = "there is no digest of what was opened"


VERDICTS = {
    # the change         the first reading     the second
    Change.NONE: (Verdict.VALID, Verdict.COMPARE),
    Change.APPENDED: (Verdict.READ_AGAIN, Verdict.COMPARE),
    Change.REWRITTEN: (Verdict.READ_AGAIN, Verdict.CHANGED),
    Change.SHRUNK: (Verdict.CHANGED, Verdict.CHANGED),
}


def find_change(opened: Version, now: os.stat_result) -> Change:
    """Compare what a file was when it was `opened` with what it is `now`."""
    _, _, size, mtime, _ = opened
    if now.st_size < size:
        return Change.SHRUNK
    if now.st_mtime_ns == mtime:
        return Change.NONE
    return Change.APPENDED if now.st_size > size else Change.REWRITTEN


class _Stopped(Exception):
    """Raised in a thread to stop a job of which no asker is left."""


class HashJob:
    """One file that is being hashed, how far that is, and the askers that wait for the digest."""

    def __init__(self, descriptor: int, status: os.stat_result, began: float, in_thread: InThread) -> None:
        self.descriptor = descriptor
        self.began = began
        self.in_thread = in_thread
        self.sha256 = hashlib.sha256()
        self.first_reading: bytes | None = None
        self.offset = 0
        self.size = status.st_size
        self.version = file_version(status)
        self.stopped = threading.Event()
        self.askers: list[Deferred[str]] = []
        self.turn: Deferred[bool]

    def read_again(self) -> None:
        """Begin the second reading."""
        self.first_reading, self.sha256, self.offset = self.sha256.digest(), hashlib.sha256(), 0

    def close(self) -> None:
        """Close the descriptor: in a thread, behind the last turn."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            close_quietly(descriptor)


class Digests:
    """Computes the digests of files when they are asked for, and keeps them."""

    TURN = 32 << 20
    """Bytes that a job hashes before the other jobs have their turns: a small file does not wait for a large one."""
    TURN_SECONDS = 0.03
    """Seconds after which a turn ends as well: a call that computes must not become a slow one (see `Lane`)."""
    CACHED = 10_000
    """Digests kept, the latest that were asked for; some 500 bytes each."""
    CHUNK = 256 << 10
    """Bytes read at a time; a job without askers stops after so many."""
    MIN_AGE = 2.0
    """Seconds since the last change of a file before its digest is kept.

    A second write within this time can leave the same mtime: FAT counts in steps of two seconds.
    """

    def __init__(
        self, queue: Callable[[], InThread], now: Callable[[], float], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with an empty cache.

        `queue()` returns what makes the calls of one job, in turn with those of others. `now()` returns the wall-clock
        time in seconds since 1970, `ticks()` the seconds of a monotonic clock.
        """
        self._queue = queue
        self._now = now
        self._ticks = ticks
        self._cache: OrderedDict[Version, str] = OrderedDict()
        self._jobs: dict[Version, HashJob] = {}

    def knows(self, status: os.stat_result) -> bool:
        """Tell whether the digest of a file with that `status` is cached, and keep it for longer; in any thread."""
        try:
            self._cache.move_to_end(file_version(status))
        except KeyError:
            return False
        return True

    def digest(self, descriptor: int, status: os.stat_result) -> Deferred[str]:
        """Return the SHA-256, in hex, of the first `status.st_size` bytes of `descriptor`, which stays the caller's.

        All these bytes were there at one moment: it never mixes some from before a change with some from after it.
        Fails with `FileChanged` if there is no such digest, or with an OSError. Cancel it when the digest is not wanted
        any more.
        """
        version = file_version(status)
        if self.knows(status):
            return succeed(self._cache[version])
        job = self._jobs.get(version)
        if job is not None:
            return self._add_asker(job)
        try:
            job = self._jobs[version] = HashJob(os.dup(descriptor), status, self._now(), self._queue())
        except OSError:
            return fail(Failure())
        asker = self._add_asker(job)
        self._queue_turn(job)
        return asker

    def _queue_turn(self, job: HashJob) -> None:
        job.turn = job.in_thread(self._take_turn, job, unwanted=lambda _: job.close(), about=job.version[:2])
        job.turn.addBoth(self._end_turn, job)

    def _add_asker(self, job: HashJob) -> Deferred[str]:
        asker: Deferred[str] = Deferred(lambda asker: self._remove_asker(job, asker))
        job.askers.append(asker)
        return asker

    def _remove_asker(self, job: HashJob, asker: Deferred[str]) -> None:
        job.askers.remove(asker)
        if not job.askers:
            job.stopped.set()
            if self._jobs.get(job.version) is job:
                del self._jobs[job.version]
            job.turn.cancel()

    def _take_turn(self, job: HashJob) -> bool:
        """Read on for a while, in a thread; tell whether the digest is complete and can be kept."""
        try:
            can_keep = self._compute(job)
        except BaseException:
            job.close()
            raise
        if job.offset == job.size:
            job.close()
        return can_keep

    def _compute(self, job: HashJob) -> bool:
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

    def _conclude(self, job: HashJob) -> bool:
        """Decide by `VERDICTS` at the end of a reading, in a thread; tell whether the digest can be kept.

        Raises `FileChanged`.
        """
        now = os.fstat(job.descriptor)
        is_second = job.first_reading is not None
        verdict = VERDICTS[find_change(job.version, now)][is_second]
        if verdict is Verdict.READ_AGAIN:
            job.read_again()
            return False
        is_other = verdict is Verdict.COMPARE and job.first_reading != job.sha256.digest()
        if is_other or verdict is Verdict.CHANGED:
            raise FileChanged
        return file_version(now) == job.version and self._was_unchanged(job)

    def _was_unchanged(self, job: HashJob) -> bool:
        """Tell whether the last change of the file was long enough ago when the job began."""
        *_, mtime, ctime = job.version
        return job.began - max(mtime, ctime) / 1e9 > self.MIN_AGE

    def _end_turn(self, result: bool | Failure, job: HashJob) -> None:
        if not isinstance(result, Failure) and job.offset < job.size:
            self._queue_turn(job)
            return
        if self._jobs.get(job.version) is job:
            del self._jobs[job.version]
        self._answer(result, job)

    def _answer(self, result: bool | Failure, job: HashJob) -> None:
        if isinstance(result, Failure):
            for asker in job.askers:
                asker.errback(result)
            return
        sha256 = job.sha256.hexdigest()
        if result:
            self._keep(job.version, sha256)
        for asker in job.askers:
            asker.callback(sha256)

    def _keep(self, version: Version, sha256: str) -> None:
        self._cache[version] = sha256
        if len(self._cache) > self.CACHED:
            self._cache.popitem(last=False)


def file_version(status: os.stat_result) -> Version:
    """Return the version of the file that has that `status`."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
