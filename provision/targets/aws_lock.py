"""The lock of a Terraform state: a file beside a local one, an object beside a shared one."""

from __future__ import annotations

from provision.adapters import workspace
from provision.adapters.terraform import locks
from provision.adapters.terraform.sources import root_of
from provision.errors import RefusedError
from provision.model.facts import Facts
from provision.model.spec import Spec
from provision.model.terraform_lock import LockInfo
from provision.targets.aws_account import AwsAccount, Opening
from provision.targets.aws_folders import make_folders
from provision.targets.aws_opening import Opener
from provision.targets.aws_record import AwsPaths, AwsRecord, Connect
from provision.targets.base import Held, Progress

_LOCK_WAIT_SECONDS = 1.0


class AwsLock:
    """What `targets.base.StateLock` asks for.

    A local state's lock is looked at without a call to AWS, and removed without Terraform; a shared
    one is removed by Terraform, which makes sure that it is still the same.
    """

    def __init__(self, spec: Spec, paths: AwsPaths, opener: Opener, connect: Connect) -> None:
        self._spec = spec
        self._paths = paths
        self._opener = opener
        self._account = AwsAccount(Facts.of(spec))
        self._connect = connect
        self._root = root_of(paths.terraform)

    def holder(self) -> Held | None:
        """Who holds it; raises `MissingError` where a shared state cannot be reached."""
        lock = locks.local_lock(self._root)
        if lock is not None:
            return self._held(lock, str(self._root / locks.LOCAL_LOCK))
        if self._spec.aws.state != "s3":
            return None
        opening = self._look()
        shared = self._account.shared_lock(opening)
        return None if shared is None else self._held(shared, self._account.lock_place(opening))

    def remove(self, held: Held, progress: Progress) -> None:
        """Remove that very lock.

        Raises `RefusedError` while its owner lives, while another command works here, and where
        somebody else holds it by now. One that has gone by itself is fine.
        """
        make_folders(self._paths)
        with workspace.exclusive(
            self._paths.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            now = self.holder()
            if now is None:
                return
            _require_same(held, now)
            if not locks.remove_local(self._root, now.lock.id):
                self._opener.terraform(self._look(), progress).force_unlock(now.lock.id)

    def _held(self, lock: LockInfo, place: str) -> Held:
        return Held(lock, locks.owner_lives(self._root, lock), place)

    def _look(self) -> Opening:
        record = AwsRecord.from_json(workspace.read_json(self._paths.record))
        own = None
        if record is None or record.owns_account:
            own = self._connect.emulated(start=False)
        is_own = own is not None or (record is not None and record.owns_account)
        is_own = is_own or self._spec.target == "rehearsal"  # which never leads to a real account
        return self._account.look(own if is_own else self._connect.real())


def _require_same(held: Held, now: Held) -> None:
    if now.lock.id != held.lock.id:
        raise RefusedError(
            f"another command has taken the lock meanwhile: {now.lock.who} ({now.lock.operation})",
            next_step="provision unlock shows who it is",
        )
    if now.lives:
        raise RefusedError(
            f"{now.lock.who} still works on this stack ({now.lock.operation} since "
            f"{now.lock.created})",
            next_step="wait until that command has ended, or stop it with Ctrl-C",
        )
