"""Removes what nothing else can: leftovers that no state knows of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from provision.adapters.cloud import removal_steps
from provision.adapters.cloud.failures import code_of, explained
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError, RefusedError
from provision.model.leftovers import Found, removal_order

Progress = Callable[[Found], None]

# These take minutes: both are started before anything else, so that they go at the same time.
_SLOW: Final = ("aws_instance", "aws_db_instance")
# What a service says while something still lies in what is to be removed.
_IN_USE: Final = {
    "DependencyViolation", "DeleteConflict", "InvalidDBSubnetGroupStateFault",
    "InvalidDBParameterGroupState", "InvalidIPAddress.InUse", "VolumeInUse", "OperationAborted",
    "InvalidDBInstanceState", "IncorrectState", "InvalidDBSnapshotState", "InvalidSnapshot.InUse",
}  # fmt: skip
_GONE: Final = ("NotFound", "NoSuch", "ResourceNotFoundException", "InvalidDocument")
# Which network interfaces lie in a thing, as EC2 filters them.
_INTERFACES: Final = {
    "aws_vpc": "vpc-id",
    "aws_subnet": "subnet-id",
    "aws_security_group": "group-id",
}


class Patience(NamedTuple):
    """How many seconds one thing may stay in use or take to go, and how often AWS is asked."""

    seconds: float = 1200.0
    poll: float = 5.0


_PATIENCE: Final = Patience()


def remove(
    cloud: Cloud,
    found: Iterable[Found],
    *,
    lose_data: bool = False,
    on_progress: Progress = lambda _: None,
    patience: Patience = _PATIENCE,
) -> tuple[Found, ...]:
    """Remove these, children first, and return them once AWS no longer has any of them.

    Asks nobody: what the caller passes has been shown and confirmed. A database (without a final
    snapshot), a disk, a backup or a bucket goes only with `lose_data`, and a bucket only empty.

    Raises `RefusedError` before anything is touched where data would be lost, and `ProvisionError`
    naming what is left.
    """
    ordered = removal_order(found)
    _refuse_data(ordered, lose_data)
    remover = _Remover(cloud, patience)
    slow = [item for item in ordered if item.type in _SLOW]
    for item in slow:
        remover.delete(item)
    for item in ordered:
        if item not in slow:
            remover.delete(item)
        else:
            remover.wait(item)
        on_progress(item)
    return ordered


def _refuse_data(ordered: Sequence[Found], lose_data: bool) -> None:
    held = [item for item in ordered if item.holds_data]
    if held and not lose_data:
        raise RefusedError(
            f"removing {', '.join(map(str, held))} could lose experiments or artifacts",
            next_step="let it be adopted instead, or allow the loss of its data by name",
        )


class _Remover:
    """One removal's patience with AWS."""

    def __init__(self, cloud: Cloud, patience: Patience) -> None:
        self._cloud = cloud
        self._patience = patience

    def delete(self, item: Found) -> None:
        """Ask for it to go, again while something is still in it."""
        step = removal_steps.DELETE.get(item.type)
        if step is None:
            raise ProvisionError(
                f"cannot remove {item}: this version does not know how",
                next_step="remove it in the AWS console, then run this again",
            )
        with explained(self._cloud, f"remove {item}"):
            self._until(item, lambda: _deleted(step, self._cloud, item))

    def wait(self, item: Found) -> None:
        """Wait until it is gone."""
        exists = removal_steps.EXISTS[item.type]
        with explained(self._cloud, f"wait until {item} is gone"):
            self._until(item, lambda: None if not _there(exists, self._cloud, item) else item.type)

    def _until(self, item: Found, attempt: Callable[[], str | None]) -> None:
        """Repeat until `attempt` has no reason left why the thing is still there."""
        deadline = time.monotonic() + self._patience.seconds
        while (reason := attempt()) is not None:
            if time.monotonic() > deadline:
                raise self._stuck(item, reason)
            time.sleep(self._patience.poll)

    def _stuck(self, item: Found, reason: str) -> ProvisionError:
        users = ", ".join(_users(self._cloud, item))
        held = f"; in it: {users}" if users else ""
        return ProvisionError(
            f"{item} is still there after {self._patience.seconds:.0f} s: {reason}{held}",
            next_step="remove what uses it (it was not made by provision), then run this again",
        )


def _users(cloud: Cloud, item: Found) -> list[str]:
    """What keeps a part of a network from going, as far as EC2 shows it."""
    if item.type not in _INTERFACES:
        return []
    within = [{"Name": _INTERFACES[item.type], "Values": [item.id]}]
    listed = cloud.paged("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=within)
    return [f"{i['NetworkInterfaceId']} ({i.get('Description') or 'no name'})" for i in listed]


def _deleted(step: Callable[[Cloud, Found], Any], cloud: Cloud, item: Found) -> str | None:
    """Why it could not be deleted just now; `None` when it was, or was gone already."""
    try:
        step(cloud, item)
    except Exception as error:
        code = code_of(error)
        if code == "BucketNotEmpty":
            raise _not_empty(item) from error
        if is_gone(code):
            return None
        if code in _IN_USE:
            return str(error)
        raise
    return None


def _not_empty(item: Found) -> RefusedError:
    return RefusedError(
        f"the bucket {item.id} holds artifacts, and AWS deletes no bucket with something in it",
        next_step=f"look at them: aws s3 ls --recursive s3://{item.id}; delete them with all their "
        "versions, then run this again",
    )


def _there(exists: Callable[[Cloud, Found], bool], cloud: Cloud, item: Found) -> bool:
    try:
        return exists(cloud, item)
    except Exception as error:
        if is_gone(code_of(error)):
            return False
        raise


def is_gone(code: str) -> bool:
    """Whether a service's code says that the thing is not there (EC2 alone has one per kind)."""
    return any(word in code for word in _GONE)
