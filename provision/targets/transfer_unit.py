"""The unit on a server's machine that copies its database: how it is started, and when it is over.

A job tells its result before its unit is gone: the program still ends, and after a `fill` systemd
starts the server. Until the unit is unloaded, no other one of its name can be started.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from provision.adapters.cloud.objects import Bucket

UNIT: Final = "provision-transfer"
BUSY: Final = 75
"""How the lines end that would have to wait for too long."""
_LOOKS_A_SECOND: Final = 2
# A program that has said its last word ends within moments; a really running one does not.
_RUNNING_SECONDS: Final = 10
# What starts the server again waits until it answers.
ENDING_SECONDS: Final = 300
_SHOW: Final = f"systemctl show --property=LoadState,ActiveState {UNIT}.service"


def start_lines(
    action: str, bucket: Bucket, region: str, job: str, details: Mapping[str, Any]
) -> list[str]:
    """What starts a job on the machine as a unit of its own, with the rights of the server.

    One that has told its result is waited for, one that runs makes the lines end with `BUSY`. The
    unit stops the server while rows change under it, and starts it however it ends.
    """
    properties = {
        "User": "mlflow", "Group": "mlflow", "UMask": "0077", "Nice": "10",
        "WorkingDirectory": "/var/lib/provision/server",
    }  # fmt: skip
    variables = {
        "AWS_DEFAULT_REGION": region,
        "AWS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
        "AWS_METADATA_SERVICE_TIMEOUT": "5",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": "/var/lib/provision/server",
    }
    around = {
        "ExecStartPre": "+/usr/bin/systemctl stop mlflow.service",
        "ExecStopPost": "+/usr/bin/systemctl start mlflow.service",
    }
    if action == "fill":
        properties |= around
    words = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}"]
    words += [f"--property={name}={value}" for name, value in properties.items()]
    words += [f"--setenv={name}={value}" for name, value in variables.items()]
    words += ["/opt/provision/venv/bin/python", "-P", "-m", "provision.server.archive.hosted"]
    words += [action, bucket.name, bucket.account, job, json.dumps(details)]
    return [_gone(_RUNNING_SECONDS), shlex.join(words)]


def ended_lines() -> list[str]:
    """What waits until the unit is gone, within `ENDING_SECONDS`; ends with `BUSY` after them."""
    return [_gone(ENDING_SECONDS)]


def _gone(running_seconds: int) -> str:
    """A loop of a POSIX shell: an active unit may take that long to begin to end."""
    looks, active = (n * _LOOKS_A_SECOND for n in (ENDING_SECONDS, running_seconds))
    return (
        f"n=0; while :; do case $({_SHOW}) in *LoadState=not-found*) break;; "
        f"*ActiveState=deactivating*|*ActiveState=inactive*|*ActiveState=failed*) most={looks};; "
        f"*) most={active};; esac; "
        f'n=$((n + 1)); [ "$n" -le "$most" ] || exit {BUSY}; sleep {1 / _LOOKS_A_SECOND}; done'
    )
