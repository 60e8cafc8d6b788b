"""The composition root: the only place that builds adapters and targets.

A command loads what it works with and no more: what only some need is imported where it is built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.adapters import specfile, workspace
from provision.app import lifecycle, stacks
from provision.app.specs import ValidationResult, default_spec, validate
from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.clients import shell_from
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.report import Finding, Report
from provision.model.spec import Spec
from provision.model.status import StatusResult
from provision.settings import Settings, python_executable
from provision.targets.aws_record import AwsPaths, AwsRecord
from provision.targets.base import DownOptions, Holding, Progress, Target

if TYPE_CHECKING:
    from provision.app import unlock as unlocking
    from provision.emulator.client import Emulated

# ruff: noqa: PLC0415 - each command loads only what it works with
_REHEARSAL_REGION = "eu-west-1"


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
        """Look at the endpoint as a client does."""
        from provision.adapters import packages
        from provision.adapters.local_store import LocalFiles
        from provision.adapters.tracking import TrackingClient
        from provision.app.check import check
        from provision.app.check_local import check_local

        if not endpoint.has_server:
            return check_local(endpoint, LocalFiles(), time.perf_counter, on_layer=on_layer)
        return check(
            endpoint,
            TrackingClient.from_endpoint,
            time.perf_counter,
            packages.installed_version("mlflow"),
            environment=self.settings.environment,
            on_layer=on_layer,
        )

    def status(self) -> StatusResult:
        """State, address, size and contents."""
        until = self.spec.lifetime.until
        return lifecycle.status(
            self.target,
            self.spec.name,
            self.spec.target,
            until.isoformat() if until else None,
            ask_server,
        )

    def require_endpoint(self) -> Endpoint:
        """The endpoint; raises `MissingError` before the first `up`."""
        endpoint = self.target.endpoint()
        if endpoint is None:
            raise MissingError(
                f"{self.spec.name} was never brought up from here",
                next_step="provision up (provision list shows the stacks that there are)",
            )
        return endpoint

    def down(
        self,
        options: DownOptions,
        *,
        confirm: Callable[[Sequence[Holding]], None],
        progress: Progress,
    ) -> lifecycle.DownResult:
        """Stop it; with `delete_data` delete its data too, once `confirm` has returned."""
        result = lifecycle.down(
            self.target, self.spec.name, options=options, confirm=confirm, progress=progress
        )
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

    def remember(self, uri: str) -> None:
        """Put the stack on the list."""
        entry = stacks.IndexEntry(self.layout.root, self.spec.name, self.spec.target, uri)
        stacks.remember(workspace, self.settings.index_dir, entry)


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
    if spec.target == "aws":
        return _aws_target(spec, layout, settings, version)
    if spec.target != "local":
        raise MissingError(
            f"this version of provision cannot bring up the target {spec.target} yet",
            next_step="set target: local (or aws) in the spec; the same file moves up later",
        )
    _require_no_account(layout)
    if spec.scenario == "none":
        from provision.targets.serverless import ServerlessTarget

        return ServerlessTarget(spec, settings.spec_file, layout, version, now)
    return _local_target(spec, layout, settings, version)


def _local_target(spec: Spec, layout: Layout, settings: Settings, version: str) -> Target:
    from provision.adapters import packages
    from provision.targets.local import LocalTarget
    from provision.targets.local_settings import Host
    from provision.targets.record import ANY_ADDRESS

    # Names cost look-ups: only a server that others can reach needs them.
    names = packages.own_names() if spec.access.listen in ANY_ADDRESS else ()
    host = Host(python_executable(), version, settings.inherited, names)
    return LocalTarget(spec, settings.spec_file, layout, host, now)


def _aws_target(spec: Spec, layout: Layout, settings: Settings, version: str) -> Target:
    from provision.accounts import Accounts
    from provision.targets.aws import AwsTarget

    folder = AwsPaths.below(layout.root).emulator
    connect = Accounts(folder, python_executable(), settings.environment, spec.aws.region)
    return AwsTarget(spec, settings.spec_file, layout, connect, mlflow_version=version, now=now)


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
    return stacks.stack_list(workspace, settings.index_dir, is_running)


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
    from provision.emulator.client import require_moto

    require_moto()
    from provision.emulator import foreground

    with foreground.account(regions or [_REHEARSAL_REGION], faults=faults) as account:
        yield account


def until_told() -> None:
    """Return when this process is told to end."""
    from provision.emulator import foreground

    foreground.until_told()


def ask_server(endpoint: Endpoint) -> dict[str, Any] | None:
    """The server's own view of itself; `None` when it does not answer in time."""
    from provision.adapters.tracking import TrackingClient

    try:
        with TrackingClient.from_endpoint(endpoint) as client:
            return client.server_status()
    except ProvisionError:
        return None


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
