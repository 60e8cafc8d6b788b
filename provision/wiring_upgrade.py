"""The composition root for an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from provision import wiring_data
from provision.adapters.packages import installed_version
from provision.app.upgrade import AccountUpgrade, Upgrade, UpgradeResult
from provision.errors import MissingError
from provision.targets.aws import AwsTarget
from provision.targets.base import Progress, UpOptions
from provision.targets.local import LocalTarget
from provision.targets.local_upgrade import LocalUpgrade
from provision.wiring import OpenedStack


def upgrade(
    stack: OpenedStack, confirm: Callable[[str, str], None], progress: Progress
) -> UpgradeResult:
    """Move the stack to the MLflow that is installed here, once `confirm` has returned."""
    if isinstance(stack.target, AwsTarget):
        result = in_account(stack, stack.target, progress).run(confirm)
    else:
        result = of(stack, progress).run(confirm)
    stack.remember_if_known()
    return result


def of(stack: OpenedStack, progress: Progress) -> Upgrade:
    """The upgrade of a server here; raises `MissingError` where the stack has none."""
    _require_server_here(stack)
    version = installed_version("mlflow") or ""
    switch = LocalUpgrade(stack.layout, version, stack.settings.inherited)
    work = wiring_data.work(stack, progress)
    now = datetime.now(UTC)
    return Upgrade(stack.spec.name, stack.target, switch, work, stack.check, now, progress)


def in_account(stack: OpenedStack, target: AwsTarget, progress: Progress) -> AccountUpgrade:
    """The upgrade of a stack in an account; what `up` would change is told, not asked."""
    version = installed_version("mlflow") or ""
    options = UpOptions(approve=lambda words: progress.note(str(words)))
    now = datetime.now(UTC)
    return AccountUpgrade(stack.spec.name, target, version, stack.check, options, now, progress)


def _require_server_here(stack: OpenedStack) -> None:
    if isinstance(stack.target, LocalTarget):
        return
    kind = stack.spec.target
    if kind == "compose":
        where = "runs in containers"
        step = "provision up --upgrade-database, which writes a dump of the database first"
    else:
        where, step = "has no server", "provision up --upgrade-database"
    raise MissingError(
        f"{stack.spec.name} {where}, where this version upgrades nothing by itself", next_step=step
    )
