"""What timers run between bootstraps: a new password for the role, a look at the certificate."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final

from provision.host.failures import HostError
from provision.host.machine import own_address
from provision.host.phases.proxy import UNIT
from provision.host.role_program import RoleProgram, database_of
from provision.host.run import Host
from provision.host.server_file import names

LEAST_HOURS: Final = 2.0
"""Caddy's certificates are valid for 12 hours and renewed when a third of that is left."""


def renew_password(host: Host) -> str:
    """Give the server's role a new password; returns what happened.

    Raises HostError `renewal-failed`; the old password then still works.
    """
    program = RoleProgram(host, *database_of(host))
    program.recover()
    answer = program.renew()
    if answer.problem:
        raise HostError(
            "renewal-failed",
            f"the password of the server's role could not be renewed: {answer.problem}",
            next_step="the old one still works; the machine tries again by itself",
        )
    return "the role has a new password"


def watch(host: Host) -> str:
    """Restart the proxy where its certificate runs out, as it should have renewed it long ago."""
    left = _hours_left(host, own_address())
    if left is not None and left > LEAST_HOURS:
        return f"the certificate is valid for {left:.1f} hours"
    host.commands.run("systemctl", "restart", UNIT)
    return "the proxy was restarted, as its certificate had not been renewed"


def _hours_left(host: Host, address: str, port: int = 443) -> float | None:
    """How long the certificate is still valid; None for one that clients would refuse."""
    trusted = None if host.settings.domain else str(host.places.public_ca)
    context = ssl.create_default_context(cafile=trusted)
    name = names(host.settings)[0]
    try:
        with (
            socket.create_connection((address, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            ends = str((secure.getpeercert() or {})["notAfter"])
    except (OSError, KeyError):
        return None
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 3600
