"""An account that this process serves until somebody tells it to end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from provision.emulator.client import ACCOUNT, Emulated
from provision.emulator.patches import DEBIAN
from provision.emulator.server import serving
from provision.errors import UsageError


@contextlib.contextmanager
def account(regions: Sequence[str], *, faults: bool) -> Iterator[Emulated]:
    """Serve an empty account with these regions ready; raises `UsageError` for an unknown one."""
    with serving(faults=faults) as server:
        for region in regions:
            _make_ready(region)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        yield Emulated(
            server.endpoint, os.getpid(), ACCOUNT, started, tuple(regions), faults, server.door
        )


def _make_ready(region: str) -> None:
    """Load what a region holds from the start, which takes a second: its images."""
    if region not in ec2_backends[ACCOUNT].regions:
        raise UsageError(
            f"AWS has no region {region}", next_step="name one such as eu-west-1 or us-east-1"
        )
    image = ssm_backends[ACCOUNT][region].get_parameter(DEBIAN).value
    assert image in ec2_backends[ACCOUNT][region].amis  # noqa: S101 - or the patches went astray


def until_told() -> None:
    """Wait for the `KeyboardInterrupt` that tells this process to end."""
    while True:
        time.sleep(3600)
