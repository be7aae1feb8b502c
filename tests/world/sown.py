"""Faults that chatfile once had, or that its rules are there against, each put back by a small patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatfile.digests import digests, versions
from chatfile.disk import Lane, lanes
from chatfile.downloads import ahead, single
from chatfile.lines import ConnectionState, LineProtocol, PauseReason
from chatfile.lines.states import ConnectionEvent
from chatfile.partfile import Source, part
from chatfile.pending import files
from chatfile.sending import sender
from chatfile.server import ChatFileFactory, file_responses
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.response_writer import ResponseState

Sow = Callable[[pytest.MonkeyPatch], None]


def _name_before_verification(patch: pytest.MonkeyPatch) -> None:
    """What came gets its final name whatever its digest."""

    def received(body: files.FileBody, sha256: str | None) -> files.Received:
        return files.Received(body.header, sha256, True, sha256)

    patch.setattr(files.FileBody, "received", received)


def _resume_of_a_changed_file(patch: pytest.MonkeyPatch) -> None:
    """The rest is taken for that of the file of which the beginning is here, whatever its time and its digest."""

    class AnySource(Source):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    received = files.FileBody.received

    def received_at_last(body: files.FileBody, sha256: str | None) -> files.Received | None:
        return received(body, sha256) or files.Received(body.header, sha256, True, sha256)

    resume = single._FileDownload._resume

    async def resume_trustingly(self: Any, noted: Source, offset: int) -> Any:
        with pytest.MonkeyPatch.context() as around:
            around.setattr(files.FileBody, "received", received_at_last)
            return await resume(self, noted, offset)

    patch.setattr(single, "Source", AnySource)
    patch.setattr(single._FileDownload, "_resume", resume_trustingly)


def _lingering_timer(patch: pytest.MonkeyPatch) -> None:
    """The timer of a close outlives the state that it is for."""
    patch.setattr(LineProtocol, "_stop_linger", lambda _: None)


def _seat_kept_amid_a_disk_call(patch: pytest.MonkeyPatch) -> None:
    """A client that goes while a thread works for it keeps its seat."""
    lost = ChatFileProtocol.connectionLost

    def lost_but_seated(protocol: Any, reason: Any = None) -> None:
        if protocol._newcomer is None and protocol.responder.state is ResponseState.WORKING:
            protocol._leave = lambda _: None
        lost(protocol, reason)

    patch.setattr(ChatFileProtocol, "connectionLost", lost_but_seated)


def _leak_when_cancelled(patch: pytest.MonkeyPatch) -> None:
    """What a thread has opened for a client that has gone is not closed."""
    patch.setattr(file_responses, "acquire", lambda in_thread, _, call, *arguments: in_thread(call, *arguments))


def _leak_of_a_sender(patch: pytest.MonkeyPatch) -> None:
    """A transfer that ends while a thread reads leaves the descriptor to nobody."""

    def close(self: Any) -> None:
        if self._reading is not None:
            self._reading.addErrback(lambda _: None)
            self._reading = None
        elif self._descriptor >= 0:
            sender.run_unawaited(self._in_thread, sender.close_quietly, self._descriptor)
        self._descriptor = -1

    patch.setattr(sender.FileSender, "_close", close)


def _digest_of_a_mixture(patch: pytest.MonkeyPatch) -> None:
    """A file may change while it is hashed."""
    patch.setattr(digests, "find_change", lambda *_: versions.Change.NONE)


def _unbounded_output(patch: pytest.MonkeyPatch) -> None:
    """What a client does not read waits in memory, and ever more is written."""
    patch.setattr(LineProtocol, "pauseProducing", lambda _: None)


def _hung_call_in_the_way(patch: pytest.MonkeyPatch) -> None:
    """A call that hangs keeps its place among those that may be made at once."""
    init = Lane.__init__

    def patient(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **{**named, "at_once": 1, "patience": 1000.0})

    patch.setattr(Lane, "__init__", patient)


def _busy_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A line that waits behind a response is not taken."""
    resume = ChatFileProtocol.resume

    def resume_unless_lines_wait(self: Any, why: PauseReason) -> None:
        if not (why is PauseReason.BUSY and self.splitter.waiting):
            resume(self, why)

    patch.setattr(ChatFileProtocol, "resume", resume_unless_lines_wait)


def _replies_out_of_order(patch: pytest.MonkeyPatch) -> None:
    """A message is acknowledged while a response before it is under way."""
    pause = ChatFileProtocol.pause

    def pause_unless_busy(self: Any, why: PauseReason) -> None:
        if why is not PauseReason.BUSY:
            pause(self, why)

    patch.setattr(ChatFileProtocol, "pause", pause_unless_busy)


def _endless_drain(patch: pytest.MonkeyPatch) -> None:
    """At the end of a drain, what is under way goes on."""
    patch.setattr(ChatFileFactory, "_end_responses", lambda _: None)


def _half_close_is_an_end(patch: pytest.MonkeyPatch) -> None:
    """A peer that says no more is not answered what it asked for."""

    def close(self: Any) -> None:
        self._go(ConnectionEvent.PEER_CLOSED)
        if self.state is ConnectionState.HALF_CLOSED:
            self.close()
        else:
            self._stop_linger()
            self.transport.loseConnection()

    patch.setattr(LineProtocol, "readConnectionLost", close)


def _close_with_unread_input(patch: pytest.MonkeyPatch) -> None:
    """A close does not wait for what still comes, and becomes a reset that destroys the last replies."""
    patch.setattr("chatfile.lines.protocol.is_half_closable", lambda _: False)


def _stopped_by_a_goodbye(patch: pytest.MonkeyPatch) -> None:
    """Files that were asked for behind the one that the server's goodbye came for are waited for in vain."""
    failed = ahead.DownloadAhead._failed

    def failed_unheard(self: Any, failure: Any, asked: Any) -> None:
        if self._is_end_told:
            self._changed = lambda: None
        failed(self, failure, asked)
        vars(self).pop("_changed", None)

    patch.setattr(ahead.DownloadAhead, "_failed", failed_unheard)


def _no_thread_and_nobody_who_asks(patch: pytest.MonkeyPatch) -> None:
    """Where there was no thread, a call that insists waits until somebody else asks for one."""
    patch.setattr(lanes, "_TRY_AGAIN", 1e6)


def _no_name_is_taken(patch: pytest.MonkeyPatch) -> None:
    """A file that is there is replaced, whoever has put it there."""
    rename = part.rename
    patch.setattr(part.PartFile, "_check_target", lambda _: None)
    patch.setattr(part, "rename", lambda *names, replace: rename(*names, replace=True))


def _no_stall(patch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing is waited for."""
    patch.setattr("chatfile.timeouts.StallTimeout._is_over", lambda *_: False)


def _idle_forever(patch: pytest.MonkeyPatch) -> None:
    """A client that says nothing keeps its seat."""
    patch.setattr("chatfile.server.timers.ClientTimers.restart_idle", lambda _: None)


SOWN: dict[str, Sow] = {
    "a final name before the digest is compared": _name_before_verification,
    "a resumed download that trusts a changed file": _resume_of_a_changed_file,
    "a timer that outlives its state": _lingering_timer,
    "a seat that is not given back amid a disk call": _seat_kept_amid_a_disk_call,
    "a descriptor that leaks when a client goes": _leak_when_cancelled,
    "a descriptor that leaks amid a transfer": _leak_of_a_sender,
    "a digest of two contents": _digest_of_a_mixture,
    "unbounded output": _unbounded_output,
    "a hung call in the way of others": _hung_call_in_the_way,
    "a client that is busy for ever": _busy_for_ever,
    "replies out of order": _replies_out_of_order,
    "a drain without an end": _endless_drain,
    "a half-close that is taken for the end": _half_close_is_an_end,
    "a close that destroys the last replies": _close_with_unread_input,
    "downloads that wait behind a goodbye": _stopped_by_a_goodbye,
    "a close that waits for a thread in vain": _no_thread_and_nobody_who_asks,
    "a file of the user's own that is replaced": _no_name_is_taken,
    "a client that takes nothing": _no_stall,
    "a client that says nothing": _idle_forever,
}
