"""Commands and sessions on the machine through Systems Manager: no port is open for them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, ProvisionError
from provision.model.remote_session import RemoteSession
from provision.model.secrets import Secret

_SHELL: Final = "AWS-RunShellScript"
_DELIVERY_SECONDS: Final = 60  # the machine's agent picks a command up within, or it is given up
_RUNNING: Final = frozenset({"Pending", "InProgress", "Delayed"})
_NO_AGENT: Final = frozenset({"InvalidInstanceId", "TargetNotConnected"})
_NOT_YET: Final = "InvocationDoesNotExist"


class Ran(NamedTuple):
    """How a command on the machine ended; of each stream, 24,000 characters are kept."""

    code: int
    out: str
    err: str


def run_on_machine(
    cloud: Cloud, instance: str, commands: Sequence[str], *, seconds: float = 120.0
) -> Ran:
    """Run lines of a shell as root on the machine, and wait for their end.

    Raises `MissingError` where the machine's agent is not connected, `ProvisionError` where the
    command does not end within `seconds`.
    """
    with explained(cloud, f"run a command on {instance}"):
        ssm = cloud.client("ssm")
        try:
            sent = ssm.send_command(
                InstanceIds=[instance],
                DocumentName=_SHELL,
                Parameters={"commands": list(commands)},
                TimeoutSeconds=_DELIVERY_SECONDS,
                Comment="provision",
            )
            where = {"CommandId": sent["Command"]["CommandId"], "InstanceId": instance}
            return _ended(ssm, where, time.monotonic() + seconds)
        except Exception as error:
            if code_of(error) in _NO_AGENT:
                raise not_connected(instance) from error
            raise


def _ended(ssm: Any, where: Mapping[str, str], deadline: float) -> Ran:
    pause = 0.2
    while time.monotonic() < deadline:
        found = _invocation(ssm, where)
        if found is not None and found["Status"] not in _RUNNING:
            code = int(found.get("ResponseCode", -1))
            return Ran(code, found["StandardOutputContent"], found["StandardErrorContent"])
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
    raise ProvisionError(
        f"a command on {where['InstanceId']} did not end in time",
        next_step="provision status shows how the machine is; then run this again",
    )


def _invocation(ssm: Any, where: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = ssm.get_command_invocation(**where)
    except Exception as error:
        if code_of(error) == _NOT_YET:
            return None
        raise
    return found


def open_session(
    cloud: Cloud, instance: str, document: str | None, parameters: Mapping[str, Sequence[str]]
) -> RemoteSession:
    """Open a session of Session Manager: with a document, or a shell without one.

    Raises `MissingError` where the machine's agent is not connected.
    """
    request: dict[str, Any] = {"Target": instance}
    if document is not None:
        request |= {
            "DocumentName": document,
            "Parameters": {k: list(v) for k, v in parameters.items()},
        }
    with explained(cloud, f"open a session on {instance}"):
        ssm = cloud.client("ssm")
        try:
            answer = ssm.start_session(**request)
        except Exception as error:
            if code_of(error) in _NO_AGENT:
                raise not_connected(instance) from error
            raise
    kept = {name: answer[name] for name in ("SessionId", "StreamUrl", "TokenValue")}
    return RemoteSession(
        Secret(json.dumps(kept)), json.dumps(request), cloud.region, str(ssm.meta.endpoint_url)
    )


def not_connected(instance: str) -> MissingError:
    """The error for a machine that Systems Manager does not know, or has lost."""
    return MissingError(
        f"Systems Manager has no connection to the machine {instance}: its agent does not run, "
        "or cannot reach AWS",
        next_step="provision logs boot shows how far the machine came; when it runs and stays "
        f"silent, restart it: aws ec2 reboot-instances --instance-ids {instance}",
    )
