"""The receiver of a file, and the hand-over between its two ways."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.receiving.buffered import BufferedReceiver, SocketOwner
from chatfile.receiving.incoming_file import Hasher, IncomingFile
from chatfile.receiving.splicing import Splice, SplicingReceiver


class FileReceiver:
    """Receives a file of a known size: by hand, and from the socket itself for as long as that can be.

    The connection's first bytes are buffered. Then its socket is detached, and spliced from as soon as they are
    written. A peer that sends nothing for a while is left to the connection again, and the next bytes are buffered.
    """

    def __init__(
        self,
        descriptor: int | None,
        count: int,
        *,
        hasher: Hasher | None,
        in_thread: InThread,
        owner: SocketOwner,
        progress: Callable[[int], None],
    ) -> None:
        """Expect `count` bytes and write them where `descriptor` stands; None drops them.

        `hasher`, if any, takes them too, in order, in threads. The caller keeps the descriptor, and can close it at any
        time: the receiver has a duplicate of its own. `progress(n)` is called with each n bytes that came. Raises
        OSError where there can't be a duplicate, or the descriptor is no good.
        """
        # Whether the socket may be detached, now or again; while it is, there is a SplicingReceiver.
        self._may_splice = descriptor is not None and Splice.can_fill(descriptor, and_read=hasher is not None)
        self._file = IncomingFile(descriptor, count, hasher, progress)
        self._in_thread = in_thread
        self._owner = owner
        self._buffered = BufferedReceiver(self._file, in_thread, owner, self._step_ended)
        self._splicing: SplicingReceiver | None = None
        self._advance()

    @property
    def remaining(self) -> int:
        """Return how many bytes have not come yet."""
        return self._file.remaining

    @property
    def done(self) -> Deferred[None]:
        """Return what fires when all bytes have come, and are written and hashed; it fails with an OSError of that.

        After a failure, `drop` and `end`, the bytes that still come are dropped.
        """
        return self._file.done

    def take(self, data: bytes) -> bytes:
        """Take from `data`, which the connection has read, what belongs to the file; return what lies behind it."""
        mine, rest = data[: self.remaining], data[self.remaining :]
        self._file.remaining -= len(mine)
        if mine and self._file.is_wanted:
            self._buffered.take(mine)
            self._detach_if_worthwhile()
        try:
            self._file.report(len(mine))
        except Exception:  # of the caller's own: told to the caller, as one amid a splice is
            self.drop(Failure())
        self._advance()
        return rest

    def drop(self, why: Failure) -> None:
        """Write no more; `done` fails with `why` as soon as no thread uses the descriptor."""
        self._buffered.discard()
        self._stop(why)

    def end(self, why: Failure) -> None:
        """Expect no more: write what has come, then fail with `why` unless the file is complete."""
        if self.remaining:
            self._stop(why)
        else:
            self._advance()

    def _stop(self, why: Failure) -> None:
        self._file.fail(why)
        if self._splicing is not None:
            self._splicing.stop()
        self._advance()

    def _step_ended(self, failure: Failure | None) -> None:
        """Go on after bytes were written, moved or hashed, or could not be."""
        if failure is None:
            self._advance()
        else:
            self.drop(failure)

    def _advance(self) -> None:
        """Splice where what came before is written, hand the socket back behind that, and end what is complete.

        It may be called again from within itself, where a step ends or fails at once.
        """
        splicing = self._splicing
        if splicing is not None and self._buffered.is_idle and not splicing.go_on():
            self._reattach(splicing)
        if self._splicing is None and self._buffered.is_idle:
            self._file.finish_if_complete()

    def _detach_if_worthwhile(self) -> None:
        if not self._may_splice or self._splicing is not None or self.remaining < Splice.PIECE:
            return
        detached = self._owner.detach_socket()
        if detached is None:
            return
        try:
            self._splicing = SplicingReceiver(self._file, detached, self._in_thread, self._step_ended)
        except OSError:
            self._may_splice = False  # no descriptors left: it goes without
            self._owner.reattach()

    def _reattach(self, splicing: SplicingReceiver) -> None:
        self._splicing = None
        self._may_splice = splicing.is_supported
        splicing.close()
        self._owner.reattach()
