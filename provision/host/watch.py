"""What timers run between bootstraps: a new password for the role, and the looks of each hour."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final

from provision.host import notices
from provision.host.ending import archive_at_end
from provision.host.failures import HostError
from provision.host.machine import own_address
from provision.host.phases.proxy import REQUESTS, UNIT
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
    """Look at certificate, disk and the stack's end; switch off a machine that nobody uses."""
    looks = (look_at_certificate, notices.look_at_disk, archive_at_end, switch_off_if_idle)
    said = [look(host) for look in looks]
    return "; ".join(word for word in said if word)


def switch_off_if_idle(host: Host) -> str:
    """Power off after the hours without a request that the spec allows; empty where it does not.

    EC2 stops a machine that powers itself off (its default for instances from EBS), so that no
    right to stop anything is needed.
    """
    limit = host.settings.idle_hours * 3600.0
    if not limit:
        return ""
    idle = idle_seconds(host)
    if idle < limit:
        return f"the last request came {idle / 3600:.1f} hours ago"
    notices.tell(
        host, notices.IDLE, "nobody uses it, it is off",
        f"The MLflow server {host.settings.name} had no request for {idle / 3600:.0f} hours and "
        "has switched its machine off. provision resume brings it back. Its database stays on.",
    )  # fmt: skip
    host.commands.run("systemctl", "poweroff")
    return "nobody uses it: the machine goes off"


def idle_seconds(host: Host) -> float:
    """Seconds since the last request, or since the machine started."""
    since_boot = host.clock()
    try:
        written = host.places.at(REQUESTS).stat().st_mtime
    except FileNotFoundError:
        return since_boot
    return min(since_boot, time.time() - written)


def look_at_certificate(host: Host) -> str:
    """Restart the proxy where its certificate runs out, as it should have renewed it long ago."""
    left = _hours_left(host, own_address())
    if left is not None and left > LEAST_HOURS:
        return f"the certificate is valid for {left:.1f} hours"
    host.commands.run("systemctl", "restart", UNIT)
    said = notices.tell(
        host, notices.CERTIFICATE, "its certificate was not renewed",
        f"The certificate of the MLflow server {host.settings.name} ran out, or is not one that "
        "clients trust. Its proxy was restarted; provision check says whether that was enough.",
    )  # fmt: skip
    return "; ".join(
        w for w in ("the proxy was restarted, as its certificate had not been renewed", said) if w
    )


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
