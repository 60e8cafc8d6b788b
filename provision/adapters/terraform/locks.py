"""Locks of a state: who holds one, whether he lives, and how one of a killed process goes."""

from __future__ import annotations

import socket
from pathlib import Path

from provision.adapters.terraform import owner
from provision.errors import RefusedError
from provision.model.terraform_lock import LockInfo, parse_lock

# Beside a local state; Terraform removes it when it frees the lock.
LOCAL_LOCK = ".terraform.tfstate.lock.info"


def local_lock(root: Path) -> LockInfo | None:
    """Who holds the lock of the local state in `root`, or held it when he was killed."""
    try:
        return parse_lock((root / LOCAL_LOCK).read_bytes())
    except FileNotFoundError:
        return None


def owner_lives(root: Path, lock: LockInfo) -> bool | None:
    """Whether the process that took `lock` still runs; `None` when that cannot be seen from here.

    It can be seen when the lock was taken on this machine by one of our commands in `root`.
    """
    if lock.host != socket.gethostname():
        return None
    owners = [found for found in owner.find(root) if found.is_here]
    return any(found.lives for found in owners) if owners else None


def remove_local(root: Path, identity: str) -> bool:
    """Remove the lock file of a local state; False when there is none with this id.

    The system frees the lock itself with its process, so that the file only informs, and
    `terraform force-unlock` refuses local states. Raises `RefusedError` while its owner lives.
    """
    lock = local_lock(root)
    if lock is None or lock.id != identity:
        return False
    if owner_lives(root, lock):
        raise RefusedError(
            f"{lock.who} still works on this stack ({lock.operation} since {lock.created})",
            next_step="wait until that command has ended, or stop it with Ctrl-C; "
            "provision unlock shows whether it still lives",
        )
    (root / LOCAL_LOCK).unlink(missing_ok=True)
    owner.forget_dead(root)
    return True
