"""The composition root: the only place that builds adapters and targets.

A command loads what it works with and no more: what only some need is imported where it is built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from provision.adapters import specfile, workspace
from provision.app import lifecycle, stacks
from provision.app.specs import ValidationResult, default_spec, validate
from provision.errors import MissingError, RefusedError
from provision.model.clients import shell_from
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.report import Finding, Report
from provision.model.spec import Spec
from provision.model.status import Backup, StatusResult
from provision.settings import Settings, python_executable
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.base import DownOptions, Holding, Progress, Remote, Target, UpOptions

if TYPE_CHECKING:
    from provision.accounts import Accounts, Lab
    from provision.adapters.session_manager import Plugin
    from provision.app import unlock as unlocking
    from provision.app.questions import Asked
    from provision.app.serving import Services
    from provision.emulator.client import Emulated
    from provision.model.questions import Question
    from provision.model.usage import Usage
    from provision.targets.local_settings import Host

# ruff: noqa: PLC0415 - each command loads only what it works with
_FRESH_SECONDS = 30.0
PATIENCE_SECONDS = 9.0  # with an account's answers to what a stack needs
IN_AN_ACCOUNT = ("aws", "rehearsal")


@dataclass(frozen=True)
class OpenedStack:
    """A spec with the target that it names, and all that its commands need."""

    spec: Spec
    target: Target
    layout: Layout
    settings: Settings

    @property
    def shell(self) -> str:
        """The user's shell, as a format of `provision env`."""
        return shell_from(self.settings.shell)

    def check(
        self, endpoint: Endpoint, on_layer: Callable[[Finding], None] = lambda _: None
    ) -> Report:
        """Look at the endpoint as a client does, with the patience that a fresh server needs."""
        from provision import wiring_check

        return wiring_check.check(self, endpoint, on_layer, timeout=_FRESH_SECONDS)

    def status(self) -> StatusResult:
        """State, address, size and contents."""
        from provision import looking
        from provision.app.lifetime import with_lifetime

        lifetime = self.spec.lifetime
        seen = lifecycle.status(
            self.target,
            self.spec.name,
            self.spec.target,
            lifetime.until.isoformat() if lifetime.until else None,
            looking.ask_server,
        )
        in_account = self.spec.target in IN_AN_ACCOUNT
        if not in_account:
            seen = replace(seen, backup=self._last_backup())
        return with_lifetime(seen, lifetime, datetime.now(UTC), in_account=in_account)

    def _last_backup(self) -> Backup | None:
        """The newest of those in the stack's folder; `None` before the first `up`."""
        from provision.targets.backup_folder import BackupFolder

        if not self.layout.root.exists():
            return None
        last = BackupFolder(self.layout.backups / "points").last_made()
        return Backup(last, "made here" if last else "none: provision backup makes one")

    def drift(self, progress: Progress) -> Sequence[str]:
        """What Terraform would change, as lines; raises `UsageError` where it does not work."""
        return lifecycle.plan(self.target, self.spec.name, UpOptions(), progress).lines

    def require_endpoint(self) -> Endpoint:
        """The endpoint; raises `MissingError` before the first `up`."""
        endpoint = self.target.endpoint()
        if endpoint is None:
            raise MissingError(
                f"{self.spec.name} was never brought up from here",
                next_step="provision up (provision list shows the stacks that there are)",
            )
        return endpoint

    def require_remote(self) -> Remote:
        """Its machine, somewhere else; raises `MissingError` where the server is on this one."""
        remote = self.target.remote()
        if remote is None:
            raise MissingError(
                f"the server of {self.spec.name} runs on this machine (target: {self.spec.target})",
                next_step="provision status and provision logs look at it; provision up mends it",
            )
        return remote

    def require_plugin(self) -> Plugin:
        """What speaks Session Manager's protocol; raises `MissingError` where it is not here."""
        from provision.adapters.session_manager import find_plugin

        return find_plugin(self.settings.environment)

    def through_tunnel(self, port: int) -> Endpoint:
        """The endpoint at the end of a tunnel to this machine; the server knows its name."""
        return replace(self.require_endpoint(), uri=f"https://localhost:{port}", aliases=())

    def down(
        self,
        options: DownOptions,
        *,
        confirm: Callable[[Sequence[Holding], Usage | None], None],
        progress: Progress,
        archive: Path | None = None,
        receipt: Path | None = None,
    ) -> lifecycle.DownResult:
        """Stop it; with `delete_data` delete its data too, once `confirm` has returned."""
        from provision import wiring_down

        result = wiring_down.down(self, options, confirm, progress, archive, receipt)
        if options.delete_data:
            stacks.forget(workspace, self.settings.index_dir, self.layout.root)
        return result

    def unlock(
        self, *, confirm: Callable[[unlocking.Holder], None], progress: Progress
    ) -> unlocking.UnlockResult:
        """Remove the lock of a state whose owner is gone, once `confirm` has returned."""
        from provision.app import unlock as unlocking

        return unlocking.unlock(
            self.target, self.spec.name, confirm=confirm, progress=progress, now=datetime.now(UTC)
        )

    @property
    def services(self) -> Services:
        """Models beside the server; raises `MissingError` where the stack has no place for them."""
        from provision import wiring_serving

        return wiring_serving.services(self)

    def remember_if_known(self) -> None:
        """Put the stack on the list if clients could reach it."""
        endpoint = self.target.endpoint()
        if endpoint is not None:
            self.remember(endpoint.uri)

    def remember(self, uri: str) -> None:
        """Put the stack on the list."""
        entry = stacks.IndexEntry(self.layout.root, self.spec.name, self.spec.target, uri)
        stacks.remember(workspace, self.settings.index_dir, entry)


def require_free(port: int) -> None:
    """Raise `MissingError` where something on this machine listens on the port already."""
    from provision.adapters import processes

    if not processes.can_listen("127.0.0.1", port):
        holder = processes.holder_of("127.0.0.1", port)
        who = f" by {holder.name}" if holder is not None and holder.name else ""
        raise MissingError(
            f"port {port} of this machine is taken{who}", next_step="name another with --port N"
        )


def open_stack(settings: Settings) -> OpenedStack:
    """Read the spec (or take the default named after the folder) and build its target."""
    spec = read_spec(settings)
    artifacts = spec.artifacts.path
    layout = Layout.below(
        settings.state_dir,
        spec.name,
        (settings.spec_file.parent / artifacts).resolve() if artifacts else None,
    )
    return OpenedStack(spec, _target(spec, layout, settings), layout, settings)


def read_spec(settings: Settings) -> Spec:
    """The spec that counts here."""
    if settings.spec_required or settings.spec_file.exists():
        return specfile.load_spec(settings.spec_file)
    return default_spec(settings.spec_file.parent.name)


def _target(spec: Spec, layout: Layout, settings: Settings) -> Target:
    from provision.adapters import packages

    version = packages.installed_version("mlflow") or ""
    if spec.target in IN_AN_ACCOUNT:
        return aws_target(spec, layout, settings, version)
    _require_no_account(layout)
    if spec.target == "compose":
        from provision import wiring_compose

        # Whole: it says where the engine is. Nothing of it reaches a container.
        host = _host(spec, version, settings.environment)
        return wiring_compose.target(spec, layout, settings, host, now)
    if spec.scenario == "none":
        from provision.targets.serverless import ServerlessTarget

        return ServerlessTarget(spec, settings.spec_file, layout, version, now)
    return _local_target(spec, layout, settings, version)


def _local_target(spec: Spec, layout: Layout, settings: Settings, version: str) -> Target:
    from provision.targets.local import LocalTarget

    host = _host(spec, version, settings.inherited)
    return LocalTarget(spec, settings.spec_file, layout, host, now)


def _host(spec: Spec, version: str, environment: Mapping[str, str]) -> Host:
    from provision.adapters import packages
    from provision.targets.local_settings import Host
    from provision.targets.record import ANY_ADDRESS

    # Names cost look-ups: only a server that others can reach needs them.
    names = packages.own_names() if spec.access.listen in ANY_ADDRESS else ()
    return Host(python_executable(), version, environment, names)


def aws_target(
    spec: Spec, layout: Layout, settings: Settings, version: str, lab: Lab | None = None
) -> Target:
    """A stack in an account; a rehearsal may bring its own lab."""
    from provision.accounts import connect, lab_of
    from provision.adapters.wheels import WheelCache
    from provision.looking import written
    from provision.targets.aws import AwsTarget
    from provision.targets.aws_host import AwsHost

    paths = AwsPaths.below(layout.root)
    cache = WheelCache(settings.cache_dir / "wheels", python_executable(), settings.environment)
    if lab is None and spec.target == "rehearsal":
        lab = lab_of(spec.aws.region, paths, settings)
    trouble = lab.trouble if lab else _no_trouble
    return AwsTarget(
        spec,
        settings.spec_file,
        layout,
        connect(spec.target, spec.aws.region, paths, settings, lab),
        host=AwsHost(spec, paths, cache, version, trouble=trouble),
        now=now,
        ask=ask_beside,
        written=written(settings),
        month=_month(spec, settings),
    )


def _month(spec: Spec, settings: Settings) -> float:
    """A month of the spec at list price, as `provision cost` has it."""
    from provision.app.cost import cost
    from provision.model.cost import Use
    from provision.targets.aws_ending import price_table

    table, environment = price_table(), settings.environment
    region = spec.aws.region or environment.get("AWS_REGION") or table.base_region
    return cost(spec, region, table, Use(), None).estimate.month


def ways_to_accounts(spec: Spec, layout: Layout, settings: Settings) -> Accounts:
    """How the accounts that the stack may live in are reached."""
    from provision.accounts import connect

    return connect(spec.target, spec.aws.region, AwsPaths.below(layout.root), settings)


def ask_beside(questions: Sequence[Question]) -> Asked:
    """Begin to ask what an `up` must know, while it does something else."""
    from provision.app.questions import ask

    return ask(questions, time.monotonic, 2 * PATIENCE_SECONDS)


def _no_trouble() -> str:
    """AWS does not end."""
    return ""


def _require_no_account(layout: Layout) -> None:
    """Raise `RefusedError` where the stack is up in an account, and would be forgotten there."""
    record = _in_account(layout.root)
    if record is not None:
        raise RefusedError(
            f"{record.name} is in account {record.account}, {record.region}, and costs money "
            "there; the spec now says another target",
            next_step="set target: aws and provision down --delete-data first, or give the stack "
            "on this machine another name",
        )


def validate_spec(settings: Settings) -> ValidationResult:
    """Whether the spec is right today; raises `SpecError` with every problem."""
    return validate(settings.spec_file, datetime.now(UTC).astimezone().date(), specfile.read_spec)


def list_stacks(settings: Settings) -> stacks.StackList:
    """All stacks of this user."""
    from provision import wiring_compose

    def running(root: Path) -> bool:
        return is_running(root) or wiring_compose.is_running(root, settings)

    return stacks.stack_list(workspace, settings.index_dir, running)


def is_running(root: Path) -> bool:
    """Whether a stack's supervisor lives, or something of it is in an account."""
    from provision.adapters import processes

    return _in_account(root) is not None or processes.supervisor_of(root) is not None


def _in_account(root: Path) -> AwsRecord | None:
    # Written before the first call and gone after the last: also a run that failed left something.
    return AwsRecord.from_json(workspace.read_json(AwsPaths.below(root).record))


@contextmanager
def emulated_account(regions: Sequence[str] | None, *, faults: bool) -> Iterator[Emulated]:
    """An emulated AWS account in this process; needs the extra `rehearsal` (`MissingError`)."""
    from provision.accounts import REHEARSAL_REGION
    from provision.emulator.client import require_moto

    require_moto()
    from provision.emulator import foreground

    with foreground.account(regions or [REHEARSAL_REGION], faults=faults) as account:
        yield account


def until_told() -> None:
    """Return when this process is told to end."""
    from provision.emulator import foreground

    foreground.until_told()


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
