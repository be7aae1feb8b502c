"""Certificates and keys in PEM files, and what may be wrong with these."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from glob import escape, glob
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates

from chatfile import errors

_LARGEST = 4 * 1024 * 1024
"""Bytes of a PEM file that are read; the certificates of every authority that the world trusts take a tenth."""
LONGEST_NAME = 100
"""Characters of a name in a certificate that are shown."""

T = TypeVar("T")
Opener = Callable[[str, int], int]
"""Opens a path with flags, for the built-in `open`; returns the descriptor, or raises OSError."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, and the certificates that lead from it to its authority."""

    path: str
    certificate: x509.Certificate
    key: Any
    between: tuple[x509.Certificate, ...]

    def options(self) -> dict[str, Any]:
        """Return the arguments of `CertificateOptions`."""
        return {"privateKey": self.key, "certificate": self.certificate, "extraCertChain": list(self.between)}

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Return all certificates that a peer is shown."""
        return self.certificate, *self.between


def read_identity(certificate: str, key: str | None, opener: Opener | None = None) -> Identity:
    """Read a certificate with its key, which may be in the same file (then `key` is None). Raises `BadCertificate`."""
    first, *between = read_certificates(certificate, opener)
    path = certificate if key is None else key
    hint = "; --key names it" if key is None else ""
    private = _parsed(path, _private_key, f"it holds no private key in PEM format{hint}", opener)
    if not _signs(private):
        raise errors.BadCertificate(path=path, why="its key is damaged")
    if private.public_key() != first.public_key():
        raise errors.BadCertificate(path=path, why=f'its key is not that of the certificate in "{certificate}"')
    identity = Identity(certificate, first, private, tuple(between))
    try:
        CertificateOptions(**identity.options()).getContext()
    except SSL.Error as error:
        why = ", ".join(str(reason) for *_, reason in error.args[0])
        raise errors.BadCertificate(path=certificate, why=f"OpenSSL refuses it ({why})") from error
    return identity


def read_certificates(path: str, opener: Opener | None = None) -> list[x509.Certificate]:
    """Read all certificates of a file, of which there is at least one. Raises `BadCertificate`."""
    return _parsed(path, x509.load_pem_x509_certificates, "it holds no certificate in PEM format", opener)


def subject_names(certificate: x509.Certificate) -> list[str]:
    """Return the hosts that a certificate is for, each cut to what is shown."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # there is none, or what there is can't be read
        return []
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return [str(name)[:LONGEST_NAME] for name in (*hosts, *addresses)]


def shorten(name: x509.Name) -> str:
    """Return whom a certificate is for, or from, as text (RFC 4514), cut to what is shown."""
    return name.rfc4514_string()[:LONGEST_NAME]


def trust(path: str, opener: Opener | None = None) -> Any:
    """Read the authorities of a file, or of a folder, for `CertificateOptions`. Raises `BadCertificate`."""
    paths = sorted(glob(os.path.join(escape(path), "*.pem"))) if os.path.isdir(path) else [path]
    if not paths:
        raise errors.BadCertificate(path=path, why="it is a folder without .pem files")
    found = [certificate for each in paths for certificate in read_certificates(each, opener)]
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(each)) for each in found])


def _private_key(data: bytes) -> Any:
    # To validate an RSA key of 4096 bits takes a second, in which the interpreter does nothing else: `_signs` will do.
    return load_pem_private_key(data, None, unsafe_skip_rsa_key_validation=True)


def _signs(private: Any) -> bool:
    """Tell whether what a private key signs is of its public key; all keys but those of RSA are validated already."""
    if not isinstance(private, RSAPrivateKey):
        return True
    how = PKCS1v15(), SHA256()
    try:
        private.public_key().verify(private.sign(b"", *how), b"", *how)
    except (InvalidSignature, ValueError):
        return False
    return True


def _parsed(path: str, parse: Callable[[bytes], T], otherwise: str, opener: Opener | None) -> T:
    try:
        with open(path, "rb", opener=opener) as file:
            return parse(file.read(_LARGEST))
    except OSError as error:
        raise errors.BadCertificate(path=path, why=errors.reason(error)) from error
    except TypeError as error:  # raised if the key needs a password
        why = 'its key is encrypted; "openssl pkey" writes one that is not, for a file that only you can read'
        raise errors.BadCertificate(path=path, why=why) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise errors.BadCertificate(path=path, why=otherwise) from error
