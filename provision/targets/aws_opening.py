"""From a spec and a way to an account to everything that a command works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from provision.adapters import workspace
from provision.adapters.cloud.emptying import empty_bucket
from provision.adapters.cloud.identity import identity_of
from provision.adapters.cloud.server import server_view
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.shared_state import read_shared, shared_bucket
from provision.adapters.cloud.state_bucket import state_bucket
from provision.adapters.ledger import LedgerFile
from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.program import find_program
from provision.adapters.terraform.sources import lay_out
from provision.errors import MissingError
from provision.model import boot_view
from provision.model.account import Identity, ServerView
from provision.model.boot import BootReport
from provision.model.emptied import Emptied
from provision.model.ledger import is_run
from provision.model.outputs import Outputs
from provision.model.spec import Spec
from provision.model.status import State
from provision.model.terraform_lock import LockInfo, lock_from
from provision.targets.aws_host import AwsHost
from provision.targets.aws_record import Access, AwsPaths
from provision.targets.aws_work import AwsWork
from provision.targets.base import Progress

_STATES: Final = {
    "running": State.STARTING,
    "failed": State.FAILED,
    "ready": State.RUNNING,
}


@dataclass(frozen=True)
class Opening:
    """A way to an account that was tried: who we are there."""

    access: Access
    me: Identity
    cloud: Cloud


def make_folders(paths: AwsPaths) -> None:
    """The stack's own folders, private and out of git."""
    stack = paths.root.parent
    workspace.make_folder(stack.parent, 0o711, enforce=False)
    workspace.write_ignore_file(stack.parent)
    workspace.make_folder(stack)
    workspace.make_folder(paths.root)


class Opener:
    """Opens one stack's account and Terraform's folder."""

    def __init__(self, spec: Spec, paths: AwsPaths, now: Callable[[], str]) -> None:
        self._spec = spec
        self._paths = paths
        self._now = now

    def look(self, access: Access | None) -> Opening:
        """Ask AWS who we are. Raises `MissingError` naming what is missing or expired."""
        if access is None:
            raise MissingError(
                "the emulated account of this stack has ended",
                next_step="provision up --emulated starts another, empty one",
            )
        cloud = Cloud(access.environment, self._spec.aws.region)
        return Opening(access, identity_of(cloud), cloud)

    def open(self, opening: Opening, progress: Progress) -> AwsWork:
        """Lay the configuration out, turn Terraform to the state, know the stack's run."""
        terraform = self.terraform(opening, progress)
        ledger = LedgerFile(self._paths.ledger, self._now)
        run = ledger.read().run or self._shared_run(opening) or ledger.run()
        return AwsWork(
            self._spec, opening.access, opening.me, opening.cloud, terraform, ledger, run
        )

    def terraform(self, opening: Opening, progress: Progress) -> Terraform:
        """Terraform in the stack's folder, turned to its state. The caller holds the lock."""
        access = opening.access
        program = find_program(access.environment)
        root = lay_out(self._paths.terraform, access.override)
        fetching = Terraform(program, root, access.fetching, on_note=progress.note)
        for note in fetching.notes:
            progress.note(note)
        with progress.step("preparing Terraform"):
            fetching.init(self._backend(opening))
        return Terraform(program, root, access.environment, on_note=progress.note)

    def _backend(self, opening: Opening) -> Mapping[str, Any] | None:
        aws = self._spec.aws
        if aws.state != "s3":
            return None
        bucket = state_bucket(opening.cloud, opening.me, aws.state_name, aws.kms_key)
        return {**bucket.backend(self._spec.name), **opening.access.backend}

    def shared_outputs(self, opening: Opening) -> dict[str, Any]:
        """The outputs in a state that others share; empty where there is none."""
        return dict((self._shared(opening, "") or {}).get("outputs") or {})

    def shared_lock(self, opening: Opening) -> LockInfo | None:
        """Who holds the lock of a state that others share; it lies beside it in the bucket."""
        value = self._shared(opening, ".tflock")
        return None if value is None else lock_from(value)

    def lock_place(self, opening: Opening) -> str:
        """Where that lock lies."""
        bucket = shared_bucket(opening.me, self._spec.aws.state_name)
        return f"s3://{bucket}/{self._key}.tflock"

    @property
    def _key(self) -> str:
        return f"{self._spec.name}/terraform.tfstate"

    def _shared(self, opening: Opening, suffix: str) -> dict[str, Any] | None:
        name = self._spec.aws.state_name
        return read_shared(opening.cloud, opening.me, name, f"{self._key}{suffix}")

    def is_ended_elsewhere(self, access: Access | None) -> bool:
        """Whether a state that others share holds nothing any more."""
        if self._spec.aws.state != "s3" or access is None:
            return False
        return not self.shared_outputs(self.look(access))

    def _shared_run(self, opening: Opening) -> str | None:
        if self._spec.aws.state != "s3":
            return None
        run = Outputs.from_json(self.shared_outputs(opening)).run
        return run if is_run(run) else None

    def empty(self, work: AwsWork, bucket: str, progress: Progress) -> None:
        """Delete all that is in the stack's bucket: it cannot be destroyed otherwise."""

        title, gone = f"emptying the bucket {bucket}", Emptied()

        def told(now: Emptied) -> None:
            nonlocal gone
            gone = now

        with progress.board(lambda: [f"{title}: {gone}"]) as tell:
            tell(f"{title} ...")
            gone = empty_bucket(work.cloud, bucket, work.me.account, told)
        if not gone.is_nothing:
            progress.note(f"deleted for good: {gone}")

    def seen(self, access: Access | None, outputs: Outputs, host: AwsHost) -> tuple[State, str]:
        """Machine and database as AWS sees them now, and how far the machine says it is."""
        if access is None or outputs.server is None or outputs.database is None:
            return State.FAILED, "not everything is there: provision up"
        cloud = Cloud(access.environment, self._spec.aws.region)
        with ThreadPoolExecutor(1) as beside:
            report = beside.submit(host.report, cloud, outputs) if access.boots else None
            view = server_view(cloud, outputs.server.instance_id, outputs.database.identifier)
            told = report.result() if report else None
        return _state_of(view, told), _detail_of(view, told)


def _state_of(view: ServerView, report: BootReport | None) -> State:
    if view.machine is None or view.database is None:
        return State.FAILED
    if view.machine.state in ("stopped", "stopping"):
        return State.STOPPED
    # Without the machine's own word, nothing can be said to run.
    return State.STARTING if report is None else _STATES[report.state]


def _detail_of(view: ServerView, report: BootReport | None) -> str:
    machine = f"machine {view.machine.state}" if view.machine else "the machine is gone"
    database = f"database {view.database.status}" if view.database else "the database is gone"
    own = f", {boot_view.summary(report)}" if report is not None else ""
    return f"{machine}, {database}{own}"
