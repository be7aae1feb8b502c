"""The client's side: an endpoint that verifies its server's certificate, and tells in words what is wrong with it."""

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
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors
from chatfile.tls.addresses import Address
from chatfile.tls.files import read_identity, shorten, subject_names, trust
from chatfile.tls.sessions import ClientTLSEndpoint

Verify = Callable[[Connection, X509, int, int, int], bool]

_MOST_NAMES = 5

# Of X509_V_ERR_..., see X509_STORE_CTX_get_error(3).
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_UNKNOWN_AUTHORITY = (2, 19, 20, 21)
_WRONG_PURPOSE = 26


def endpoint(
    address: Address, *, cafile: str | None, certificate: str | None, key: str | None, reactor: Any
) -> IStreamClientEndpoint:
    """Return the endpoint of `chatfile.tls.address_endpoint`; `reactor` is the installed one if it is None."""
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
        creator = PinnedHostVerifier(host, optionsForClientTLS(host, trusted, extraCertificateOptions=own))
        return ClientTLSEndpoint(creator, _plain(reactor, address, arguments))
    except Exception as error:  # an impossible host or endpoint; each kind of endpoint has errors of its own
        raise errors.BadAddress(server=address.host, why=str(error).rstrip(".")) from error


def _plain(reactor: Any, address: Address, arguments: dict[str, str]) -> IStreamClientEndpoint:
    """Return the endpoint beneath TLS: that of the argument `endpoint`, if there is one, else that of the host.

    With such an argument, the host is only the one that the certificate must be for.
    """
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
class PinnedHostVerifier:
    """Verifies the chain of a server's certificate and that it is for one host, and tells in words what is wrong."""

    def __init__(self, host: str, creator: IOpenSSLClientConnectionCreator) -> None:
        """Verify sessions with `host`, a name or an address, on connections that `creator` makes."""
        self._host = host
        self._wanted: ServiceID = IPAddress_ID(host) if isIPAddress(host) or isIPv6Address(host) else DNS_ID(host)
        self._creator = creator

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """Return the connection of one session. See `IOpenSSLClientConnectionCreator`."""
        connection = self._creator.clientConnectionForTLS(protocol)

        def give_up(why: str) -> bool:
            protocol.failVerification(Failure(errors.TlsFailed(why=why)))
            return False

        connection.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, self._verification(give_up))
        return connection

    def _verification(self, give_up: Callable[[str], bool]) -> Verify:
        """Return the callback for each certificate of the chain, from the authority's down, and for each of its faults.

        Twisted's own accepts a certificate that names no host at all.
        """

        def verify(_: Connection, certificate: X509, fault: int, depth: int, is_good: int) -> bool:
            try:
                if not is_good:
                    return give_up(_why_untrusted(certificate, fault, depth))
                return depth > 0 or self._is_wanted(certificate) or give_up(_names_others(certificate, self._host))
            except Exception as error:  # OpenSSL knows only yes or no
                return give_up(f"its certificate can't be understood ({str(error).rstrip('.')})")

        return verify

    def _is_wanted(self, certificate: X509) -> bool:
        patterns = extract_patterns(certificate)
        try:
            return bool(patterns) and bool(verify_service_identity(patterns, [self._wanted], []))
        except VerificationError:
            return False


def _why_untrusted(certificate: X509, fault: int, depth: int) -> str:
    """Tell why OpenSSL does not trust a certificate: the server's (`depth` 0) or one above it in the chain."""
    shown = certificate.to_cryptography()
    whose = "its certificate" if depth == 0 else f'the certificate of its authority "{shorten(shown.subject)}"'
    if fault == _EXPIRED:
        return f"{whose} expired on {shown.not_valid_after_utc:%Y-%m-%d}; whoever runs the server has to renew it"
    if fault == _NOT_YET_VALID:
        return f"{whose} is not valid before {shown.not_valid_before_utc:%Y-%m-%d}, unless the clock here is wrong"
    if fault == _SELF_SIGNED:
        return "its certificate is signed by nobody but itself; to trust a copy that you have, name it with --cafile"
    if fault in _UNKNOWN_AUTHORITY:
        issuer = shorten(shown.issuer)
        return f'its certificate was issued by "{issuer}", which is not trusted here; use --cafile to trust it'
    if fault == _WRONG_PURPOSE:
        return f"{whose} is not meant for that: a server's was wanted"
    return f"{whose} can't be verified (OpenSSL's error {fault})"


def _names_others(certificate: X509, host: str) -> str:
    """Tell which hosts a certificate is for, if `host` is none of them."""
    names = subject_names(certificate.to_cryptography())
    if not names:
        return f"its certificate names no host, and so not {host}; whoever runs the server has to renew it"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"its certificate is for {', '.join(names[:_MOST_NAMES])}{more}, not for {host}"
