"""The machine's rights, its names and its clock: without them nothing else can work."""

from __future__ import annotations

import socket
import time
from typing import Final
from urllib.parse import urlsplit

from provision.host.aws import clock_off
from provision.host.failures import HostError
from provision.host.run import Host, Step

_PATIENCE_SECONDS: Final = 300.0
# S3 refuses requests that are 15 minutes off, IAM's other services 5.
_CLOCK_SECONDS: Final = 240.0
_TRANSIENT: Final = ("no-role", "no-metadata", "aws-unreachable", "no-names", "clock-off")


def run(host: Host, step: Step) -> None:
    """Wait for the role's keys, the resolver and a clock that AWS accepts."""
    host.patiently(lambda: _check(host), _PATIENCE_SECONDS, _TRANSIENT, step)
    step.detail(f"{host.instance} with the role {host.aws.role()} in {host.aws.region}")


def _check(host: Host) -> None:
    host.aws.role()
    _check_clock(host)
    _check_names(urlsplit(host.aws.host("s3")).hostname or "")


def _check_clock(host: Host) -> None:
    theirs = host.aws.server_time()
    off = 0.0 if theirs is None else time.time() - theirs
    if abs(off) > _CLOCK_SECONDS:
        # Debian's images for AWS run chrony, which steps only at its start.
        host.commands.succeeds("chronyc", "makestep")
        ahead = "ahead" if off > 0 else "behind"
        raise clock_off(f"it is {abs(off):.0f} s {ahead} of the metadata service's")


def _check_names(name: str) -> None:
    try:
        socket.getaddrinfo(name, 443)
    except OSError as error:
        raise HostError(
            "no-names",
            f"the machine cannot resolve {name}: {error}",
            next_step="switch on DNS support in the network (VPC); the machine tries again "
            "every minute",
        ) from error
