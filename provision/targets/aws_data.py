"""The data of a stack in an account: its artifacts in the bucket, its databases by way of it.

The database is private, so the server's own machine copies it (`provision.server.archive.hosted`),
told by Run Command; both sides meet in a part of the stack's bucket that ends with the command.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from provision.adapters import workspace
from provision.adapters.cloud.commands import run_on_machine
from provision.adapters.cloud.emptying import empty_bucket
from provision.adapters.cloud.objects import Bucket, has_object, read_object
from provision.adapters.data_program import result_of
from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.transfer import Display
from provision.server.places import Place
from provision.targets.aws_record import AwsPaths
from provision.targets.aws_remote import AwsRemote
from provision.targets.base import Progress
from provision.targets.transfer_unit import BUSY, ENDING_SECONDS, UNIT, ended_lines, start_lines

PREFIX: Final = "provision/transfer/"
_DATABASE: Final = "mlflow.db"
_USERS: Final = "users.db"
_FILLED: Final = f"filled/{_DATABASE}"
_ADMIN: Final = "admin"
_POLL_SECONDS: Final = 0.5
_SILENT_SECONDS: Final = 30.0
_LOCK_WAIT_SECONDS: Final = 180.0
# What an older version says when it is asked, and when it is told more than it knew of.
_OLDER: Final = ("No module named provision.server.archive.hosted", "too many values to unpack")

Collect = Callable[[Mapping[str, Any]], dict[str, Any]]


@contextmanager
def opened(
    remote: AwsRemote, paths: AwsPaths, progress: Progress, *, fill: bool
) -> Iterator[Place]:
    """Where the data is, as a program on this machine reaches it; see `Target.data`.

    With `fill`, what the block has put into the databases is in them once it has ended: then the
    server stands still while the rows change, and answers again.
    """
    scratch = paths.root / "scratch"
    with _ferry(remote, paths, progress) as ferry:
        workspace.remove_folder(scratch)
        workspace.make_folder(scratch)
        try:
            ferry.work("export")
            yield ferry.place(scratch, paths.password)
            if fill and ferry.is_filled:
                ferry.work("fill")
        finally:
            workspace.remove_folder(scratch)


@contextmanager
def collecting(remote: AwsRemote, paths: AwsPaths, progress: Progress) -> Iterator[Collect]:
    """What looks through MLflow's trash on the machine, told how; see `archive.collecting`."""
    with _ferry(remote, paths, progress) as ferry:
        yield partial(ferry.work, "collect")


@contextmanager
def _ferry(remote: AwsRemote, paths: AwsPaths, progress: Progress) -> Iterator[Ferry]:
    with workspace.exclusive(paths.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note):
        ferry = Ferry(remote, progress)
        try:
            yield ferry
        finally:
            ferry.end()


def with_server_still(
    remote: Callable[[], AwsRemote], archive: Callable[[], None], progress: Progress
) -> None:
    """Archive what is about to go while nobody logs; when that fails, the server is back."""
    machine = remote()
    with progress.step("stopping the server, so that nothing is logged after the archive"):
        machine.run(["systemctl stop mlflow.service"])
    try:
        archive()
    except BaseException:
        machine.run(["systemctl start mlflow.service"])
        raise


@dataclass
class Ferry:
    """One job's part of the bucket, and what the machine does with it."""

    remote: AwsRemote
    progress: Progress
    job: str = field(default_factory=lambda: uuid4().hex)
    _under_way: bool = False

    @property
    def bucket(self) -> Bucket:
        """The stack's. Raises `MissingError` where it has none."""
        outputs = self.remote.outputs
        if outputs.artifacts is None or outputs.account_id is None:
            raise MissingError("the stack has no bucket", next_step="provision up makes it")
        return Bucket(outputs.artifacts.bucket, outputs.account_id)

    @property
    def _cloud(self) -> Any:
        return self.remote.opening.cloud

    def _key(self, name: str) -> str:
        return f"{PREFIX}{self.job}/{name}"

    def place(self, scratch: Path, password: Path) -> Place:
        """The stack's data, with the databases that the machine has put here."""
        access, outputs = self.remote.opening.access, self.remote.outputs
        bucket = self.bucket
        users = has_object(self._cloud, bucket, self._key(_USERS))
        where = f"s3://{bucket.name}/{self._key('')}"
        return Place(
            name=self.remote.host.spec.name,
            database_url=where + _DATABASE,
            artifacts=outputs.artifacts.uri if outputs.artifacts else "",
            users_url=where + _USERS if users else None,
            admin=_ADMIN if users else "",
            admin_password_file=str(password) if users else "",
            region=outputs.region or "",
            owner=bucket.account,
            environment=_aws_part(access.environment) if access.emulated else {},
            scratch=str(scratch),
        )

    @property
    def is_filled(self) -> bool:
        """Whether the block has put something here for the machine."""
        return has_object(self._cloud, self.bucket, self._key(_FILLED))

    # -- the machine's part ---------------------------------------------------------------------

    def work(self, action: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Let the machine do one thing, show how far it is, and return what came of it."""
        self._forget_said()
        self._start(action, details or {})
        self._under_way = True
        shown = Display(self.progress.note)
        with self.progress.board(lambda: [shown.line]) as tell:
            event = self._heard(shown, tell)
        self._until_ended()
        return result_of(event)

    def _until_ended(self) -> None:
        """A job ends with its unit: only then another may begin, and the server is back."""
        ran = self._run(ended_lines(), seconds=ENDING_SECONDS + 60)
        if ran.code == BUSY:
            raise ProvisionError(
                "the job on the server's machine told its result and did not end",
                next_step="provision logs transfer and provision logs server say more",
            )
        self._under_way = False

    def _start(self, action: str, details: Mapping[str, Any]) -> None:
        region = self._cloud.region
        ran = self._run(start_lines(action, self.bucket, region, self.job, details))
        if ran.code == BUSY:
            raise RefusedError(
                "another command copies data on the server's machine",
                next_step="wait until it has ended; provision ssh -- systemctl stop "
                f"{UNIT} ends one that was left behind",
            )
        if ran.code:
            raise _not_started(ran.err or ran.out)

    def _run(self, lines: list[str], seconds: float = 2 * ENDING_SECONDS) -> Any:
        return run_on_machine(self._cloud, self.remote.instance, lines, seconds=seconds)

    def _heard(self, shown: Display, tell: Any) -> Mapping[str, Any]:
        """The last event of the job; raises `ProvisionError` when it ended without one."""
        before, since = "", time.monotonic()
        while True:
            said = self._said()
            if said != before:
                before, since = said, time.monotonic()
                event: dict[str, Any] = json.loads(said)
                if event["event"] != "progress":
                    return event
                shown.hear(event, tell)
            elif time.monotonic() - since > _SILENT_SECONDS:
                self._require_running()
                since = time.monotonic()
            time.sleep(_POLL_SECONDS)

    def _require_running(self) -> None:
        look = f"systemctl is-active --quiet {UNIT} || journalctl -u {UNIT} -n 15 -o cat"
        said = self._run([look]).out.strip()
        # Between two looks it may have ended well.
        if said and json.loads(self._said() or "{}").get("event") in (None, "progress"):
            raise _not_started(said)

    def _said(self) -> str:
        return (read_object(self._cloud, self.bucket, self._key("said.json")) or b"").decode()

    def _forget_said(self) -> None:
        empty_bucket(self._cloud, *self.bucket, prefix=self._key("said.json"))

    def end(self) -> None:
        """Stop what was left under way, and leave no version of it in the bucket."""
        if self._under_way:
            self._run([f"systemctl stop {UNIT}.service || true"])
        empty_bucket(self._cloud, *self.bucket, prefix=self._key(""))


def _aws_part(environment: Mapping[str, str]) -> dict[str, str]:
    """What leads to an emulated account; the keys in it are made up."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("AWS_") or name.upper().endswith("_PROXY")
    }


def _not_started(said: str) -> ProvisionError:
    if any(words in said for words in _OLDER):
        return RefusedError(
            "the server's machine runs an older version of provision, which cannot do this",
            next_step="provision up brings it up to date; then run this again",
        )
    return ProvisionError(
        f"the machine did not copy the data: {said[-800:]}",
        next_step="provision repair, then run the same command again",
    )
