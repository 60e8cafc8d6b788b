"""A certificate authority that the rehearsed machines trust, in place of the public ones."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provision.emulator.lab.system import write

_DAYS = 400
_RENEW_DAYS = 60
_ONE_DAY = datetime.timedelta(days=1)
_making = threading.Lock()


@dataclass(frozen=True)
class Authority:
    """A root certificate with its key; `issue` makes certificates that it vouches for."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The root certificate, which is no secret."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the certificate, in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Certificate and key (mode 0600) for one host name or address, made at the first call."""
        plain = name.replace("/", "_")  # whatever a client calls us, its file stays in the folder
        certificate, key = folder / f"{plain}.crt", folder / f"{plain}.key"
        with _making:
            if not certificate.exists():
                made, secret = self._leaf(name)
                write(key, _private(secret))
                write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
        return certificate, key

    def _leaf(self, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(name, self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName([_named(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        return made.sign(self.key, hashes.SHA256()), key


def find(folder: Path, name: str) -> Authority | None:
    """The authority that `folder` holds; `None` without one."""
    certificate, key = _files(folder, name)
    return _read(certificate, key) if certificate.exists() and key.exists() else None


def keep(folder: Path, name: str) -> Authority:
    """The authority that `folder` holds, made anew when there is none or it ends soon."""
    found = find(folder, name)
    if found is None or _ends_soon(found):
        certificate, key = _files(folder, name)
        _make(certificate, key, name)
        found = _read(certificate, key)
    return found


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.crt", folder / f"{name}.key"


def _ends_soon(authority: Authority) -> bool:
    left = authority.certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left < _RENEW_DAYS * _ONE_DAY


def _read(certificate: Path, key: Path) -> Authority:
    secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
    assert isinstance(secret, ec.EllipticCurvePrivateKey)  # noqa: S101 - our own file
    return Authority(x509.load_pem_x509_certificate(certificate.read_bytes()), secret)


def _make(certificate: Path, key: Path, name: str) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rehearsal: {name}")])
    made = (
        _builder(f"rehearsal: {name}", subject, secret)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS, critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(secret.public_key()), critical=False
        )
        .sign(secret, hashes.SHA256())
    )
    write(key, _private(secret))
    write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)


_SIGNS = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    # RFC 5280 gives a common name 64 characters; bucket names in host names can be longer.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _ONE_DAY)
        .not_valid_after(now + _DAYS * _ONE_DAY)
    )


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
