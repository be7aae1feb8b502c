"""The base of all senders: the range that is sent, the result, and the closing of the descriptor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile.disk import DiskUnavailable, InThread, run_unawaited
from chatfile.errors import TransferAborted
from chatfile.fdio import close_quietly
from chatfile.transports import ILineTransport


class SendingPace(Protocol):
    """Says when how much may be sent; what is sent then it is told by the sender's `progress`."""

    def may_send(self, most: int, then: Callable[[], None]) -> int:
        """Return how many bytes, up to `most`, may be sent now; if none, call `then()` when some may.

        It is not called any more when the file has ended.
        """


class FileSender(ABC):
    """Sends one range of a file, and closes its descriptor however that ends.

    It registers itself as the transport's producer: unregister any other before, and register that again afterwards.
    """

    waiting = False
    """Whether it waits for the peer, not for the disk or its pace."""

    def __init__(
        self,
        transport: ILineTransport,
        descriptor: int,
        *,
        offset: int,
        count: int,
        in_thread: InThread,
        progress: Callable[[int], None],
        pace: SendingPace | None = None,
    ) -> None:
        """See `file_sender`."""
        self._transport = transport
        self._descriptor = descriptor
        self._offset = offset
        self._remaining = count
        self._in_thread = in_thread
        self._progress = progress
        self._pace = pace
        self._sent = 0
        self._reading: Deferred[Any] | None = None
        self._done: Deferred[None] | None = None

    def start(self) -> Deferred[None]:
        """Begin to send; return a Deferred that fires when the last byte was given to the transport.

        Fails with `FileShrank`, an OSError of the file, or `TransferAborted`, also if it is cancelled: then the peer
        was promised more than it gets, and the caller must reset the connection.
        """
        done: Deferred[None] = Deferred(lambda _: self._abort())
        self._done = done
        self._begin()
        return done

    @abstractmethod
    def _begin(self) -> None:
        """Register as the transport's producer, and send."""

    def stopProducing(self) -> None:
        """Fail with `TransferAborted`: the connection is gone. See `IProducer`."""
        self._finish(Failure(TransferAborted(sent=self._sent)), unregister=False)

    def _abort(self) -> None:
        self._finish(Failure(TransferAborted(sent=self._sent)))

    def _may_send(self, most: int, then: Callable[[], None]) -> int:
        """Return how many bytes, up to `most`, may be sent now; if none, `then()` is called when some may."""
        return most if self._pace is None else self._pace.may_send(most, then)

    def _count(self, sent: int) -> None:
        self._offset += sent
        self._remaining -= sent
        self._sent += sent
        self._progress(sent)

    def _read(self, done: Callable[[Any], None], call: Callable[..., Any], *arguments: object) -> None:
        """Make a call with the descriptor in a thread, then call `done(result)`; end the transfer if it fails."""
        descriptor = self._descriptor
        reading = self._in_thread(call, descriptor, *arguments, unwanted=lambda _: close_quietly(descriptor))
        self._reading = reading
        reading.addBoth(self._leave_thread, done)

    def _leave_thread(self, result: Any, done: Callable[[Any], None]) -> None:
        self._reading = None
        if not isinstance(result, Failure):
            try:
                done(result)
            except Exception:  # a defect, which nobody else would hear of: the transfer would never end
                self._finish(Failure())
        elif result.check(CancelledError) is None:
            if result.check(DiskUnavailable):
                self._descriptor = -1  # `unwanted` closes it when the call has returned
            self._finish(result)

    def _finish(self, result: Failure | None, *, unregister: bool = True) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._close()
        if unregister:
            self._transport.unregisterProducer()
        done.callback(result)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if self._reading is not None:
            self._reading.cancel()  # a thread may be using the descriptor: `unwanted` closes it afterwards
        elif descriptor >= 0:
            run_unawaited(self._in_thread, close_quietly, descriptor)
