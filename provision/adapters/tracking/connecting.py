"""Addresses, passwords, certificates, and what the system's errors mean."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from provision.errors import MissingError, UsageError
from provision.model.secrets import Secret
from provision.model.tracking import ErrorKind, TrackingError

_VALIDITY: Final = ("notBefore", "notAfter")

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h) behind "certificate verify failed".
_VERIFY_REASONS: Final[Mapping[int, str]] = {
    9: "not-yet-valid",
    10: "expired",
    18: "unknown-ca",
    19: "unknown-ca",
    20: "unknown-ca",
    21: "unknown-ca",
    62: "wrong-name",
    64: "wrong-name",
}


def parse_uri(uri: str) -> SplitResult:
    """The parts of a tracking URI; raises UsageError, which does not repeat it."""
    try:
        url = urlsplit(uri)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None:
        raise UsageError(
            "the tracking URI is not of the form http(s)://host:port, without credentials in it",
            next_step="give it as `provision status` prints it",
        )
    return url


def basic(username: str, password: Secret) -> str:
    """The value of a header `Authorization`, in UTF-8 as MLflow's client sends it."""
    both = f"{username}:{password.reveal()}".encode()
    return "Basic " + base64.b64encode(both).decode("ascii")


def read_password(path: Path) -> Secret:
    """The password in a file; raises MissingError."""
    try:
        return Secret(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise MissingError(
            f"{path}: the password file cannot be read ({error.strerror})",
            next_step="run `provision up`, which writes it again, as the user who owns the stack",
        ) from error


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust what MLflow's client trusts: the given CA alone, or else certifi's bundle.

    MLflow hands MLFLOW_TRACKING_SERVER_CERT_PATH to requests as `verify`; without it requests uses
    certifi (requests/certs.py), never the system's store, in which a private CA may well be.
    """
    bundle = ca_file or _certifi_bundle()
    try:
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        message = f"{bundle}: not a readable file of PEM certificates ({error})"
        raise TrackingError(ErrorKind.TLS, message, reason="ca-file") from error


def _certifi_bundle() -> Path | None:
    found = importlib.util.find_spec("certifi")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("cacert.pem")


def tls_error(error: Exception) -> TrackingError:
    """Why a TLS connection did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFY_REASONS.get(error.verify_code, "failed")
        return TrackingError(ErrorKind.TLS, error.verify_message, reason=reason)
    wrong = isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
    )
    silent = isinstance(error, TimeoutError | ConnectionError | ssl.SSLEOFError)
    reason = "not-tls" if wrong or silent else "failed"
    return TrackingError(ErrorKind.TLS, str(error) or type(error).__name__, reason=reason)


def exchange_error(what: str, error: Exception) -> TrackingError:
    """Why a request `what` got no answer on a connection that was there."""
    message = f"{what}: {error or type(error).__name__}"
    if isinstance(error, TimeoutError):
        return TrackingError(ErrorKind.SILENT, message)
    if isinstance(error, OSError | http.client.IncompleteRead):
        return TrackingError(ErrorKind.CLOSED, message)
    # A TLS alert record: the program expects TLS, and was sent a plain request.
    reason = "speaks-tls" if "\x15\x03" in str(error) else ""
    return TrackingError(ErrorKind.NOT_HTTP, f"{what}: {error!r}", reason=reason)


def certificate_of(connected: object) -> dict[str, Any]:
    """`certificate_ends` (ISO 8601 day), `certificate_hours` (left), `certificate_valid_hours`
    (in all), of a connection with TLS; nothing of another.
    """
    certificate = connected.getpeercert() if isinstance(connected, ssl.SSLSocket) else None
    if not certificate:
        return {}
    first, last = (ssl.cert_time_to_seconds(str(certificate[name])) for name in _VALIDITY)
    return {
        "certificate_ends": datetime.fromtimestamp(last, UTC).date().isoformat(),
        "certificate_hours": round((last - time.time()) / 3600, 1),
        "certificate_valid_hours": round((last - first) / 3600, 1),
    }
