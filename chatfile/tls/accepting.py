"""The server's side: who it is, and whom it lets in."""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory

from chatfile.tls.files import read_identity, trust
from chatfile.tls.verdicts import subject_names


class Listening:
    """A server's certificate, and the authorities of its clients, once read and then kept."""

    def __init__(self, certificate: str, key: str | None, client_ca: str | None) -> None:
        """Raises `BadCertificate`."""
        identity = read_identity(certificate, key)
        self._options = CertificateOptions(
            **identity.options(), trustRoot=None if client_ca is None else trust(client_ca)
        )
        fault = identity.lapse() or (None if subject_names(identity.certificate) else "names no host")
        self.warning = fault and f'The certificate "{certificate}" {fault}: clients will not trust it.'
        """What the operator should know, if there is anything."""

    def over_tls(self, factory: IProtocolFactory) -> IProtocolFactory:
        """`factory` for a port at which everyone speaks TLS, and has a certificate where that is asked for."""
        return TLSMemoryBIOFactory(self._options, isClient=False, wrappedFactory=factory)
