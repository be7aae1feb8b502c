"""SHA-256 of files, computed in threads, cached, one job for many askers.

A job reads through a descriptor of its own, so that each asker can cancel at any time; when the last one has, the job
stops.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from chatfile.digests.known import KnownDigests
from chatfile.digests.versions import (
    VERDICTS,
    FileChanged,
    Reading,
    Verdict,
    Version,
    file_version,
    find_change,
    is_settled,
)
from chatfile.disk import InThread
from chatfile.fdio import close_quietly


class HashJob:
    """One file that is being hashed, how far that is, and the askers that wait for the digest."""

    def __init__(self, descriptor: int, reading: Reading, in_thread: InThread) -> None:
        self.descriptor = descriptor
        self.reading = reading
        self.in_thread = in_thread
        self.sha256 = hashlib.sha256()
        self.first_reading: bytes | None = None
        self.offset = 0
        self.version = reading.version
        self.size = self.version[2]
        self.stopped = threading.Event()
        self.askers: list[Deferred[str]] = []
        self.turn: Deferred[None]

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
    CHUNK = 256 << 10
    """Bytes read at a time; a job without askers stops after so many."""

    def __init__(
        self,
        queue: Callable[[], InThread],
        now: Callable[[], float],
        ticks: Callable[[], float] = time.monotonic,
        known: KnownDigests | None = None,
    ) -> None:
        """Begin with those that are `known`.

        `queue()` returns what makes the calls of one job, in turn with those of others. `now()` returns the wall-clock
        time in seconds since 1970, `ticks()` the seconds of a monotonic clock.
        """
        self._queue = queue
        self._now = now
        self._ticks = ticks
        self._known = KnownDigests() if known is None else known
        self._jobs: dict[Version, HashJob] = {}

    @property
    def most(self) -> int:
        """Tell how many digests are kept at most."""
        return self._known.most

    # --- in any thread ---

    def find(self, status: os.stat_result) -> str | None:
        """Return the SHA-256, in hex, of a file with that `status`; None if it is not known."""
        version = file_version(status)
        return self._known.find(version) if is_settled(version, self._now()) else None

    def begin(self, status: os.stat_result) -> Reading:
        """Return what `remember` has to know of a reading that begins now, of a file that was opened with `status`."""
        return Reading(file_version(status), self._now())

    def remember(self, reading: Reading, now: os.stat_result, sha256: str) -> bool:
        """Keep the digest of the bytes that were read from a file, whose status is `now` another perhaps.

        Return False if that is not the digest of what was opened: it may be that of a bit of two contents. Then ask
        `digest` for it, which reads again.
        """
        if VERDICTS[find_change(reading.version, now)][0] is not Verdict.VALID:
            return False
        self._keep(reading, now, sha256)
        return True

    def _keep(self, reading: Reading, now: os.stat_result, sha256: str) -> None:
        """Keep a digest, unless a change that came during or right after the reading might have left the same times."""
        if file_version(now) == reading.version and is_settled(*reading):
            self._known.add(reading.version, sha256)

    # --- in the reactor ---

    def digest(self, descriptor: int, status: os.stat_result) -> Deferred[str]:
        """Return the SHA-256, in hex, of the first `status.st_size` bytes of `descriptor`, which stays the caller's.

        All these bytes were there at one moment: it never mixes some from before a change with some from after it.
        Fails with `FileChanged` if there is no such digest, or with an OSError. Cancel it when the digest is not wanted
        any more.
        """
        known = self.find(status)
        if known is not None:
            return succeed(known)
        reading = self.begin(status)
        job = self._jobs.get(reading.version)
        if job is not None:
            return self._add_asker(job)
        try:
            job = self._jobs[reading.version] = HashJob(os.dup(descriptor), reading, self._queue())
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
            job.turn.cancel()  # whose end forgets the job

    def _end_turn(self, result: Failure | None, job: HashJob) -> None:
        if result is None and job.offset < job.size:
            self._queue_turn(job)
            return
        if self._jobs.get(job.version) is job:
            del self._jobs[job.version]
        for asker in job.askers:
            asker.callback(result or job.sha256.hexdigest())

    # --- in the thread of a job ---

    def _take_turn(self, job: HashJob) -> None:
        """Read on for a while."""
        try:
            self._compute(job)
        except BaseException:
            job.close()
            raise
        if job.offset == job.size or job.stopped.is_set():
            job.close()

    def _compute(self, job: HashJob) -> None:
        end, until = min(job.size, job.offset + self.TURN), self._ticks() + self.TURN_SECONDS
        buffer = memoryview(bytearray(min(self.CHUNK, end - job.offset)))
        while job.offset < end and self._ticks() < until and not job.stopped.is_set():
            count = os.preadv(job.descriptor, [buffer[: end - job.offset]], job.offset)
            if count == 0:
                raise FileChanged
            job.sha256.update(buffer[:count])
            job.offset += count
        if job.offset == job.size:
            self._conclude(job)

    def _conclude(self, job: HashJob) -> None:
        """Decide by `VERDICTS` at the end of a reading, and keep the digest if that can be. Raises `FileChanged`."""
        now = os.fstat(job.descriptor)
        is_second = job.first_reading is not None
        verdict = VERDICTS[find_change(job.version, now)][is_second]
        if verdict is Verdict.READ_AGAIN:
            job.read_again()
            return
        is_other = verdict is Verdict.COMPARE and job.first_reading != job.sha256.digest()
        if is_other or verdict is Verdict.CHANGED:
            raise FileChanged
        self._keep(job.reading, now, job.sha256.hexdigest())
