"""Trying doors from outside: a port of a host, or what an address says to a stranger over HTTPS."""

from __future__ import annotations

import http.client
import socket
from typing import Final
from urllib.parse import urlsplit

_PATIENCE_SECONDS: Final = 2.0
# Longer than a packet is under way, and short enough for a person who waits: a dropped one says
# nothing at all.


def port_answers(host: str, port: int) -> str:
    """The address that accepted a connection; "" where none did within two seconds."""
    try:
        with socket.create_connection((host, port), _PATIENCE_SECONDS) as connected:
            return f"accepts connections at {connected.getpeername()[0]}"
    except OSError:
        return ""


def shows_itself(address: str) -> str:
    """What an HTTPS address shows a stranger with no account; "" where it refuses."""
    url = urlsplit(address)
    connection = http.client.HTTPSConnection(url.netloc, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", f"{url.path or '/'}?{url.query}")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    return f"HTTP {status} for a stranger" if status == 200 else ""
