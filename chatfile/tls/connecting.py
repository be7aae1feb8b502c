"""The client's side: an endpoint that knows whom it wants to talk to, and says why it does not talk to this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL.crypto import X509
from OpenSSL.SSL import VERIFY_FAIL_IF_NO_PEER_CERT, VERIFY_PEER, Connection
from service_identity import VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    clientFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors
from chatfile.tls.addresses import Address
from chatfile.tls.files import read_identity, trust
from chatfile.tls.verdicts import names_others, why_untrusted

Verify = Callable[[Connection, X509, int, int, int], bool]


def endpoint(
    address: Address, *, cafile: str | None, certificate: str | None, key: str | None, reactor: Any
) -> IStreamClientEndpoint:
    """As `chatfile.tls.address_endpoint`, with the reactor that was chosen where none is given."""
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 -- the caller may have chosen one
    arguments = dict(address.arguments)
    cafile = arguments.get("trustRoots") if cafile is None else cafile
    if certificate is None:
        certificate, key = arguments.get("certificate"), arguments.get("privateKey")
    own = None if certificate is None else read_identity(certificate, key).options()
    trusted = None if cafile is None else trust(cafile)
    try:
        host = address.host.partition("%")[0]  # the zone is our own name of the way there, and in no certificate
        creator = Verifying(host, optionsForClientTLS(host, trusted, extraCertificateOptions=own))
        return wrapClientTLS(creator, _plain(reactor, address, arguments))
    except Exception as error:  # what no host is called, or no endpoint either, and each kind has errors of its own
        raise errors.BadAddress(server=address.host, why=str(error).rstrip(".")) from error


def _plain(reactor: Any, address: Address, arguments: dict[str, str]) -> IStreamClientEndpoint:
    """What is beneath: another endpoint, where the host is only whom to expect there."""
    if "endpoint" in arguments:
        beneath: IStreamClientEndpoint = clientFromString(reactor, arguments["endpoint"])
        return beneath
    timeout = float(arguments.get("timeout", "30"))
    bind_address = (arguments["bindAddress"], 0) if "bindAddress" in arguments else None
    if isIPAddress(address.host):
        return TCP4ClientEndpoint(reactor, address.host, address.port, timeout, bind_address)
    if isIPv6Address(address.host):  # looked up as if it were a name, it would lose its zone
        return TCP6ClientEndpoint(reactor, address.host, address.port, timeout, bind_address)
    return HostnameEndpoint(reactor, address.host, address.port, timeout, bind_address)


@implementer(IOpenSSLClientConnectionCreator)
class Verifying:
    """Verifies a server's certificate, chain and name, and tells in words what is wrong with it."""

    def __init__(self, host: str, creator: IOpenSSLClientConnectionCreator) -> None:
        """`creator` makes the connections."""
        self._host = host
        self._wanted: ServiceID = IPAddress_ID(host) if isIPAddress(host) or isIPv6Address(host) else DNS_ID(host)
        self._creator = creator

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """The connection of one session."""
        connection = self._creator.clientConnectionForTLS(protocol)

        def give_up(why: str) -> bool:
            protocol.failVerification(Failure(errors.TlsFailed(why=why)))
            return False

        connection.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, self._verification(give_up))
        return connection

    def _verification(self, give_up: Callable[[str], bool]) -> Verify:
        """Called for each certificate of the chain, from the authority's down, and for each fault that it has.

        Twisted's own takes a certificate that names nobody at all for one that names whom it wants.
        """

        def verify(_: Connection, certificate: X509, fault: int, depth: int, is_good: int) -> bool:
            try:
                if not is_good:
                    return give_up(why_untrusted(certificate, fault, depth))
                return depth > 0 or self._is_wanted(certificate) or give_up(names_others(certificate, self._host))
            except Exception as error:  # OpenSSL knows only yes or no
                return give_up(f"its certificate can't be understood ({str(error).rstrip('.')})")

        return verify

    def _is_wanted(self, certificate: X509) -> bool:
        patterns = extract_patterns(certificate)
        try:
            return bool(patterns) and bool(verify_service_identity(patterns, [self._wanted], []))
        except VerificationError:
            return False
