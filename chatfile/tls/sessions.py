"""TLS in large pieces: Twisted encrypts, delivers and writes record by record, of 16 KiB at most.

To handle each by itself costs more than to encrypt or decrypt it.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Context, Error
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

_RECORD = 1 << 14
"""Bytes of a record, at most (RFC 8446, 5.1)."""
_PARTIAL_WRITE = 1
"""The value of SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and has no name for."""
_OVERHEAD = 64
"""Bytes that encryption adds to a record, and a few to spare."""


def encrypt_all_at_once(context: Context) -> None:
    """Have one call encrypt all that it is given; without this, each encrypts a record (SSL_CTX_set_mode(3))."""
    if hasattr(context, "clear_mode"):
        context.clear_mode(_PARTIAL_WRITE)


class ServerSession(BufferingTLSTransport):
    """The session of one that sends files: what is written at once is encrypted and passed on in one piece."""

    SEND = 1 << 20
    """Bytes given to the socket at a time."""

    def connectionMade(self) -> None:
        """Send more at a time than Twisted does by itself."""
        if isinstance(self.transport, FileDescriptor):
            self.transport.SEND_LIMIT = self.SEND
        super().connectionMade()  # type: ignore[no-untyped-call]  # it is Twisted's

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of what could not be sent any more: objects around the socket are kept in circles for a while."""
        super().connectionLost(reason)
        if isinstance(self.transport, FileDescriptor):
            self.transport.dataBuffer, self.transport._tempDataBuffer = b"", []

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:  # of Twisted's own; without it, memory is kept
        """Part a failure from its frames: in a circle, they would keep the session and all that it has not sent."""
        if reason is not None and reason.value is not None:
            reason.tb = reason.value.__traceback__ = None
        super()._tlsShutdownFinished(reason)  # type: ignore[no-untyped-call]  # it is Twisted's

    def _write(self, data: bytes) -> None:  # of Twisted's own; without it, all is well, but slow
        if len(data) <= _RECORD or self._lostTLSConnection:
            super()._write(data)  # type: ignore[no-untyped-call]  # it is Twisted's
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tlsConnection.send(rest) :]
        except Error:
            # It meets the error again, and knows what to do: nothing of this has been sent.
            super()._write(bytes(rest))  # type: ignore[no-untyped-call]  # it is Twisted's
        else:
            self._pass_on(len(data))

    def _pass_on(self, count: int) -> None:
        """Give to the transport beneath what `count` bytes have become."""
        size, beneath = count + (count // _RECORD + 2) * _OVERHEAD, ITransport(self.transport)
        try:
            while True:
                beneath.write(self._tlsConnection.bio_read(size))
        except Error:
            pass  # nothing is left


class Records(Protocol):
    """Stands in for a protocol while bytes are decrypted, and keeps what that is to be given."""

    def __init__(self) -> None:
        """Begin without a record."""
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep the content of a record."""
        self.pieces.append(data)


class ClientSession(BufferingTLSTransport):
    """The session of one that is sent files, and does not listen for the end of the handshake."""

    READ = 256 << 10
    """Bytes read from the socket at a time."""

    def connectionMade(self) -> None:
        """Read more at a time than Twisted does by itself."""
        if isinstance(self.transport, FileDescriptor):
            self.transport.bufferSize = self.READ
        super().connectionMade()  # type: ignore[no-untyped-call]  # it is Twisted's

    def dataReceived(self, data: bytes) -> None:
        """Decrypt `data`, then deliver at once all that is for the protocol."""
        protocol, records = self.wrappedProtocol, Records()
        self.wrappedProtocol = records
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # it is Twisted's
        finally:
            self.wrappedProtocol = protocol
        if records.pieces:
            protocol.dataReceived(b"".join(records.pieces))


class ServerSessions(TLSMemoryBIOFactory):
    """Makes the sessions of a server."""

    protocol = ServerSession


class ClientSessions(TLSMemoryBIOFactory):
    """Makes the sessions of a client."""

    protocol = ClientSession


@implementer(IStreamClientEndpoint)
class ClientTLSEndpoint:
    """Connects by way of another endpoint, and has the protocol speak TLS."""

    def __init__(self, creator: IOpenSSLClientConnectionCreator, beneath: IStreamClientEndpoint) -> None:
        """Speak TLS on connections of `creator`, over those that `beneath` makes."""
        self._creator = creator
        self._beneath = beneath

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Return the protocol, when the connection beneath is there. See `IStreamClientEndpoint`."""
        connecting: Deferred[Any] = self._beneath.connect(ClientSessions(self._creator, True, protocolFactory))
        return connecting.addCallback(lambda session: session.wrappedProtocol)
