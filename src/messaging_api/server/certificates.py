"""Certificates for development: a private authority, and the certificates that it signs (X.509, RFC 5280)."""

import datetime as dt
import os
import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SKEW = dt.timedelta(hours=1)
"""How far the clock of a client may be behind when it checks a new certificate."""
_LABEL = "[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


class CertificateFiles(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def save(self, certificate: Path, key: Path) -> None:
        """Write both in PEM; only the owner can read the key. Raises FileExistsError if a file exists."""
        pem = serialization.Encoding.PEM
        form, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        _write_new(key, self.key.private_bytes(pem, form, clear), 0o600)
        _write_new(certificate, self.certificate.public_bytes(pem), 0o644)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "CertificateFiles":
        """Load the files that `save` wrote. Raises OSError, ValueError."""
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("not a key for elliptic curves")  # noqa: TRY004 the file is wrong, not the call
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)


def make_authority(now: dt.datetime, days: int) -> CertificateFiles:
    """Return a new authority with a self-signed certificate. `now` has a time zone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messaging_api development authority")])
    builder = (
        _builder(key, name, name, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    return CertificateFiles(builder.sign(key, hashes.SHA256()), key)


def issue(authority: CertificateFiles, names: Iterable[str], now: dt.datetime, days: int) -> CertificateFiles:
    """Return a new certificate for a server or client with these names or addresses. Raises ValueError."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [_alternative(name) for name in names]
    issuer = authority.certificate.subject
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(alternatives[0].value)[:64])])
    builder = (
        _builder(key, subject, issuer, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return CertificateFiles(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Return the key usage: certificates for an authority, handshakes for others (RFC 5280, section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        if not _HOST.fullmatch(name) or len(name) > 253:
            raise ValueError(f"{name} is neither a host's name nor an address") from None
        return x509.DNSName(name)


def _write_new(path: Path, text: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask says
        file.write(text)
