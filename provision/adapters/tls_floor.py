"""Which versions of TLS a server speaks, tried by shaking hands with it."""

from __future__ import annotations

import socket
import ssl
import warnings
from typing import Final

_SECONDS: Final = 5.0
_OLD: Final = {"TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1}
_NEW: Final = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


def versions(host: str, port: int) -> tuple[list[str], list[str]]:
    """The old versions and the new ones that the server accepts.

    Certificates are not looked at: `provision check` does that. Raises `OSError` where nothing
    answers at all.
    """
    with socket.create_connection((host, port), timeout=_SECONDS):
        pass
    old = [name for name, version in _OLD.items() if _accepts(host, port, version)]
    new = [name for name, version in _NEW.items() if _accepts(host, port, version)]
    return old, new


def _accepts(host: str, port: int, version: ssl.TLSVersion) -> bool:
    try:
        with (
            socket.create_connection((host, port), timeout=_SECONDS) as plain,
            _context(version).wrap_socket(plain, server_hostname=host),
        ):
            return True
    except (ssl.SSLError, ConnectionError, TimeoutError):
        return False


def _context(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # OpenSSL's own default refuses the old ones; here they are to be offered.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context
