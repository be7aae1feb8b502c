"""In words, why a certificate proves nothing to a client."""

from __future__ import annotations

from cryptography import x509
from OpenSSL.crypto import X509

_MOST_NAMES = 5
_LONGEST_NAME = 100

# Of X509_V_ERR_..., see X509_STORE_CTX_get_error(3).
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_UNKNOWN_AUTHORITY = (2, 19, 20, 21)
_WRONG_PURPOSE = 26


def why_untrusted(certificate: X509, fault: int, depth: int) -> str:
    """What OpenSSL holds against a certificate, the server's (depth 0) or one of those above it."""
    shown = certificate.to_cryptography()
    whose = "its certificate" if depth == 0 else f'the certificate of its authority "{_name(shown.subject)}"'
    if fault == _EXPIRED:
        return f"{whose} expired on {shown.not_valid_after_utc:%Y-%m-%d}; whoever runs the server has to renew it"
    if fault == _NOT_YET_VALID:
        return f"{whose} is not valid before {shown.not_valid_before_utc:%Y-%m-%d}, unless the clock here is wrong"
    if fault == _SELF_SIGNED:
        return "its certificate is signed by nobody but itself; to trust a copy that you have, name it with --cafile"
    if fault in _UNKNOWN_AUTHORITY:
        return (
            f'its certificate leads to "{_name(shown.issuer)}", which is not trusted here; --cafile names whom to trust'
        )
    if fault == _WRONG_PURPOSE:
        return f"{whose} is not meant for that: a server's was wanted"
    return f"{whose} can't be verified (OpenSSL's error {fault})"


def names_others(certificate: X509, host: str) -> str:
    """For whom a certificate is, which is not `host`."""
    names = subject_names(certificate.to_cryptography())
    if not names:
        return f"its certificate names no host, and so not {host}; whoever runs the server has to renew it"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"its certificate is for {', '.join(names[:_MOST_NAMES])}{more}, not for {host}"


def subject_names(certificate: x509.Certificate) -> list[str]:
    """The hosts that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # there is none, or what there is can't be read
        return []
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return [str(name)[:_LONGEST_NAME] for name in (*hosts, *addresses)]


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()[:_LONGEST_NAME]
