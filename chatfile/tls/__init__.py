"""TLS for both ends: certificates from files, whom to trust, and in words why a session did not come about.

What needs pyOpenSSL is imported when it is asked for: chatfile does without, until somebody wants TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatfile import errors
from chatfile.tls.addresses import DEFAULT_PORT, Address, parse_address
from chatfile.tls.failures import why_broken, why_none, why_refused

if TYPE_CHECKING:  # the command line is read before Twisted is loaded
    from twisted.internet.interfaces import IStreamClientEndpoint

    from chatfile.tls.files import ServerTLS

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
    """Make an endpoint for `connect` that is sure of its server: by the chain of the certificate, and by its name.

    `cafile` holds the authorities to trust instead of the system's: a file, or a folder of `.pem` files.
    `certificate` is our own, for a server that wants one, and `key` its key, where that is not in the same file.

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
    """Make the same for an address, whose own arguments count where these are not given. Raises the same."""
    _require()
    from chatfile.tls.connecting import endpoint  # noqa: PLC0415 -- it needs pyOpenSSL

    return endpoint(address, cafile=cafile, certificate=certificate, key=key, reactor=reactor)


def server_tls(certificate: str, *, key: str | None = None, client_ca: str | None = None) -> ServerTLS:
    """Read what a server needs for TLS; `client_ca` holds the authorities of which its clients need a certificate.

    Raises `TlsMissing`, `BadCertificate`.
    """
    _require()
    from chatfile.tls.files import ServerTLS  # noqa: PLC0415 -- it needs pyOpenSSL

    return ServerTLS(certificate, key, client_ca)


_BEFORE = b"before SSL initialization"
"""OpenSSL's name of the state before a whole ClientHello has come."""


def has_begun(transport: object) -> bool:
    """Tell whether the peer has begun its handshake at a port that speaks TLS: a few bytes are no beginning."""
    get_handle = getattr(transport, "getHandle", None)
    return get_handle is not None and get_handle().get_state_string() != _BEFORE


def _require() -> None:
    try:
        import OpenSSL  # noqa: F401, PLC0415 -- it may be missing
        import service_identity  # noqa: F401, PLC0415 -- likewise
    except ImportError as error:
        raise errors.TlsMissing from error
