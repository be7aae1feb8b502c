"""What a server shows to its clients and asks of them: its certificate, and theirs; replaced while it serves."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from chatfile.tls.files import Identity, Opener, read_identity, shorten, subject_names, trust
from chatfile.tls.sessions import ServerSessions, encrypt_all_at_once

SOON = 14 * 86400.0
"""Seconds before the end of a certificate from which on the operator is warned of it."""


@dataclass(frozen=True)
class Credentials:
    """What the files of a server hold, all of it read together."""

    identity: Identity
    options: CertificateOptions

    @property
    def expires(self) -> float:
        """Tell when the first of the certificates that clients are shown ends, in seconds since 1970."""
        return self._first_to_end.not_valid_after_utc.timestamp()

    def description(self) -> str:
        """Tell which certificate it is, and until when it is of use."""
        serial = f"{self.identity.certificate.serial_number:X}"
        until = f"{self._first_to_end.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        return f'the certificate in "{self.identity.path}", serial number {serial}, valid until {until}'

    def warnings(self, now: float) -> Iterator[str]:
        """Return sentences for the operator: why clients will not trust the certificate, today or soon.

        `now` is in seconds since 1970, by the wall clock.
        """
        if lapse := self.lapse(now):
            yield lapse
        if not subject_names(self.identity.certificate):
            yield f'The certificate in "{self.identity.path}" names no host: clients will not trust it.'

    def lapse(self, now: float) -> str | None:
        """Tell what is wrong with the dates of the certificates, or will be `SOON`; None where nothing is."""
        first, last = self._first_to_end, max(self.identity.chain, key=lambda each: each.not_valid_before_utc)
        if self.expires < now:
            return f"{self._named(first)} expired on {first.not_valid_after_utc:%Y-%m-%d}: clients will not trust it."
        if last.not_valid_before_utc.timestamp() > now:
            since = f"{last.not_valid_before_utc:%Y-%m-%d}"
            return f"{self._named(last)} is not valid before {since}: clients will not trust it."
        if self.expires < now + SOON:
            return f"{self._named(first)} expires on {first.not_valid_after_utc:%Y-%m-%d}: renew it, then send SIGHUP."
        return None

    @property
    def _first_to_end(self) -> x509.Certificate:
        return min(self.identity.chain, key=lambda each: each.not_valid_after_utc)

    def _named(self, certificate: x509.Certificate) -> str:
        if certificate is self.identity.certificate:
            return f'The certificate in "{self.identity.path}"'
        return f'The certificate of "{shorten(certificate.subject)}" in "{self.identity.path}"'


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """The certificate and key of a server, and the authorities of its clients: those of the latest files in use."""

    def __init__(self, certificate: str, key: str | None, client_ca: str | None) -> None:
        """Read the files, which are where they are to be found later on as well. Raises `BadCertificate`."""
        self.path = certificate
        self._key = key
        self._client_ca = client_ca
        self.current = self._read()
        """What new sessions are made with."""

    @property
    def expires(self) -> float:
        """Tell when the certificates in use end, or the first of them does, in seconds since 1970."""
        return self.current.expires

    def read_anew(self) -> Credentials:
        """Read the files again, with all the checks of the start; nothing is in use of it yet.

        It blocks, so it is for threads: a pipe or device, which may never have anything to read, is refused. Raises
        `BadCertificate`.
        """
        return self._read(_open_regular)

    def use(self, credentials: Credentials) -> None:
        """Have every handshake that begins from now on use `credentials`; sessions go on with those that they have."""
        self.current = credentials

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Wrap `factory` for a port where all clients speak TLS, and need a certificate if there was a `client_ca`."""
        return ServerSessions(self, isClient=False, wrappedFactory=factory)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """Return the connection of one session. See `IOpenSSLServerConnectionCreator`."""
        return self.current.options.serverConnectionForTLS(protocol)

    def _read(self, opener: Opener | None = None) -> Credentials:
        identity = read_identity(self.path, self._key, opener)
        options = CertificateOptions(
            **identity.options(),
            trustRoot=None if self._client_ca is None else trust(self._client_ca, opener),
            # A session that is resumed shows no certificate: one of an authority that was replaced would be let in.
            enableSessions=False,
            enableSessionTickets=False,
            contextForServerName=self._context_at_hello,
        )
        encrypt_all_at_once(options.getContext())
        return Credentials(identity, options)

    def _context_at_hello(self, _name: bytes | None) -> Context:
        """Return the context that a session goes on with, which may have been made before the files were read anew.

        OpenSSL asks for it at each ClientHello, whether that names a host or not.
        """
        return self.current.options.getContext()


def _open_regular(path: str, flags: int) -> int:
    """Open a file for `open`, without waiting for the other end of a FIFO (POSIX open()). Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file")
