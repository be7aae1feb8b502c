"""The reasons in words why there is no TLS session, or no more, from OpenSSL's errors."""

from __future__ import annotations

import sys

from chatfile import errors

_LIKE_NO_TLS = ("wrong version number", "http request", "https proxy request", "packet length too long",
                "record layer failure", "unexpected message")  # fmt: skip

# Parts of OpenSSL's messages, and what these mean to a client. The first that fits counts.
_TO_CLIENT = (
    (("certificate required",), "it requires a client certificate; pass yours with --cert and --key"),
    (("alert unknown ca",), "it does not accept your certificate: it trusts another authority"),
    (("alert certificate expired",), "it does not accept your certificate, which has expired"),
    (("alert certificate revoked",), "it does not accept your certificate, which was revoked"),
    (("alert unsupported certificate",), "it does not accept your certificate, which is not meant for clients"),
    (("alert bad certificate", "alert certificate unknown", "alert access denied", "alert decrypt error"),
     "it does not accept your certificate"),
    (("alert handshake failure",), "it broke off the TLS handshake; if it wants a certificate, give --cert and --key"),
    (("alert protocol version", "unsupported protocol", "version too low"), "it speaks no TLS of version 1.2 or 1.3"),
    (_LIKE_NO_TLS, "it does not speak TLS; remove tls: from the address"),
)  # fmt: skip

# Parts of OpenSSL's messages, and what these mean to a server.
_TO_SERVER = (
    (("did not return a certificate",), "it showed no certificate"),
    (("certificate verify failed",), "its certificate is not of an authority of --client-ca, or out of date"),
    (("alert unknown ca",), "it does not trust the authority of our certificate"),
    (("alert certificate expired",), "it finds that our certificate has expired"),
    (("alert bad certificate", "alert certificate unknown"), "it does not accept our certificate"),
    (("unsupported protocol", "version too low", "alert protocol version"), "it speaks no TLS of version 1.2 or 1.3"),
    (_LIKE_NO_TLS, "it does not speak TLS"),
)


def why_none(error: BaseException | None) -> str | None:
    """Tell why a client has no TLS session; return None if TLS is not the reason."""
    if isinstance(error, errors.TlsFailed):
        return error.why
    return _meaning(_said(error), _TO_CLIENT)


def why_refused(error: BaseException | None) -> str:
    """Tell why a server refused a client that has not finished its handshake."""
    return (
        _meaning(_said(error), _TO_SERVER)
        or "it did not finish the TLS handshake; maybe it does not trust the certificate"
    )


def why_broken(error: BaseException | None) -> str | None:
    """Tell why a TLS session has ended; return None if TLS is not the reason."""
    said = _said(error)
    return f"TLS failed ({said})" if said else None


def _meaning(said: str, meanings: tuple[tuple[tuple[str, ...], str], ...]) -> str | None:
    for words, meaning in meanings:
        if any(word in said for word in words):
            return meaning
    return f"the TLS handshake failed ({said})" if said else None


def _said(error: BaseException | None) -> str:
    """Return OpenSSL's own words; an empty text if `error` is not one of OpenSSL's."""
    openssl = sys.modules.get("OpenSSL.SSL")  # if it was never imported, the error is none of its
    if openssl is None or not isinstance(error, openssl.Error):
        return ""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(reason[-1]) for reason in reasons) or "without a reason"
