"""A private authority and what it signs: PEM files, each with a certificate and its key."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID, NameOID

TODAY = datetime.now(timezone.utc)
GARBLED = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"garbage")
"""Says nothing that can be read."""
MISNAMED = x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")])
"""Has an address for a name, as is easily done."""


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def hosts(*names: str) -> x509.SubjectAlternativeName:
    """Whom a certificate is for."""
    return x509.SubjectAlternativeName(map(_host, names))


HERE = hosts("localhost", "127.0.0.1", "::1")


class Authority:
    """One that signs; its own certificate is the file `NAME.pem` in `folder`."""

    def __init__(self, folder: Path, name: str, *, days: tuple[float, float] = (-2, 60)) -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = self._write(name, self._key, self._signed(name, self._key, days, None, authority=True))

    def issue(
        self, name: str, whose: x509.ExtensionType | None = HERE, *, days: tuple[float, float] = (-1, 30)
    ) -> Path:
        """A certificate that is valid between so many days from now and so many; its file is `NAME.pem` too."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, key, self._signed(name, key, days, whose))

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        days: tuple[float, float],
        whose: x509.ExtensionType | None,
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        made = x509.CertificateBuilder(self._name, _name(name), key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(TODAY + timedelta(days[0])).not_valid_after(TODAY + timedelta(days[1]))
        made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if whose is not None:
            made = made.add_extension(whose, critical=False)
        return made.sign(self._key, hashes.SHA256())

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
        path = self._folder / f"{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path


class Papers:
    """Two authorities, `ours` and `theirs`, and a certificate of each kind, by what is to be said of it."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
        self.ours, self.theirs = ours.path, theirs.path
        self.good = ours.issue("good")
        self.kinds = {
            "expired": ours.issue("expired", days=(-3, -1)),
            "future": ours.issue("future", days=(1, 3)),
            "elsewhere": ours.issue("elsewhere", hosts("a.example", "*.b.example", "192.0.2.1")),
            "nameless": ours.issue("nameless", None),
            "misnamed": ours.issue("misnamed", MISNAMED),
            "garbled": ours.issue("garbled", GARBLED),
            "unknown": theirs.issue("unknown"),
            "self-signed": theirs.path,
        }
        self.client = ours.issue("client", None)
        self.strangers = {
            "expired": ours.issue("expired client", None, days=(-3, -1)),
            "unknown": theirs.issue("unknown client", None),
            "self-signed": theirs.path,
        }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
