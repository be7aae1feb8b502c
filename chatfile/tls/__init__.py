"""TLS for both ends: certificates from files, the authorities to trust, and reasons in words why a session failed.

The modules that need pyOpenSSL are imported when they are used: chatfile does not need it until TLS is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatfile import errors
from chatfile.tls.addresses import DEFAULT_PORT, Address, parse_address
from chatfile.tls.failures import why_broken, why_none, why_refused

if TYPE_CHECKING:  # the command line is read before Twisted is loaded
    from twisted.internet.interfaces import IStreamClientEndpoint

    from chatfile.tls.server import ServerTLS

__all__ = (
    "Address", "address_endpoint", "client_endpoint", "has_begun", "parse_address", "server_tls", "why_broken",
    "why_none", "why_refused",
)  # fmt: skip


def client_endpoint(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    cafile: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    reactor: Any = None,
) -> IStreamClientEndpoint:
    """Return an endpoint for `connect` that verifies the server's certificate: its chain, and that it is for `host`.

    `cafile` names the authorities to trust instead of the system's: a file, or a folder of `.pem` files.
    `certificate` is the client's own, for a server that wants one, and `key` its key, if that is not in the same file.

    Raises `TlsMissing`, `BadCertificate`, `BadAddress`.
    """
    return address_endpoint(Address(host, port), cafile=cafile, certificate=certificate, key=key, reactor=reactor)


def address_endpoint(
    address: Address,
    *,
    cafile: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    reactor: Any = None,
) -> IStreamClientEndpoint:
    """Return an endpoint as `client_endpoint` does, for an address; arguments override those of the address.

    Raises `TlsMissing`, `BadCertificate`, `BadAddress`.
    """
    _require()
    from chatfile.tls.connecting import endpoint  # noqa: PLC0415 -- it needs pyOpenSSL

    return endpoint(address, cafile=cafile, certificate=certificate, key=key, reactor=reactor)


def server_tls(certificate: str, *, key: str | None = None, client_ca: str | None = None) -> ServerTLS:
    """Read the certificate and key of a server; with `client_ca`, its clients need certificates of these authorities.

    Raises `TlsMissing`, `BadCertificate`.
    """
    _require()
    from chatfile.tls.server import ServerTLS  # noqa: PLC0415 -- it needs pyOpenSSL

    return ServerTLS(certificate, key, client_ca)


_BEFORE = b"before SSL initialization"
"""OpenSSL's name of the state before a whole ClientHello has come."""


def has_begun(transport: object) -> bool:
    """Tell whether the peer has begun its handshake, with a whole ClientHello, at a port that speaks TLS."""
    get_handle = getattr(transport, "getHandle", None)
    return get_handle is not None and get_handle().get_state_string() != _BEFORE


def _require() -> None:
    try:
        import OpenSSL  # noqa: F401, PLC0415 -- it may be missing
        import service_identity  # noqa: F401, PLC0415 -- likewise
    except ImportError as error:
        raise errors.TlsMissing from error
