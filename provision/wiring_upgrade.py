"""The composition root for an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from provision import wiring_data
from provision.adapters.packages import installed_version
from provision.app.upgrade import Upgrade, UpgradeResult
from provision.errors import MissingError
from provision.targets.base import Progress
from provision.targets.local import LocalTarget
from provision.targets.local_upgrade import LocalUpgrade
from provision.wiring import IN_AN_ACCOUNT, OpenedStack


def upgrade(
    stack: OpenedStack, confirm: Callable[[str, str], None], progress: Progress
) -> UpgradeResult:
    """Move the stack to the MLflow that is installed here, once `confirm` has returned."""
    result = of(stack, progress).run(confirm)
    stack.remember_if_known()
    return result


def of(stack: OpenedStack, progress: Progress) -> Upgrade:
    """The stack's upgrade; raises `MissingError` where it has no server on this machine."""
    _require_server_here(stack)
    version = installed_version("mlflow") or ""
    switch = LocalUpgrade(stack.layout, version, stack.settings.inherited)
    work = wiring_data.work(stack, progress)
    now = datetime.now(UTC)
    return Upgrade(stack.spec.name, stack.target, switch, work, stack.check, now, progress)


def _require_server_here(stack: OpenedStack) -> None:
    if isinstance(stack.target, LocalTarget):
        return
    kind = stack.spec.target
    if kind in IN_AN_ACCOUNT:
        where = "is in an account"
        step = (
            "provision backup, then provision up, which brings this version's MLflow to its "
            "machine and migrates; provision restore --from-backup NAME brings the database back"
        )
    elif kind == "compose":
        where = "runs in containers"
        step = "provision up --upgrade-database, which writes a dump of the database first"
    else:
        where, step = "has no server", "provision up --upgrade-database"
    raise MissingError(
        f"{stack.spec.name} {where}, where this version upgrades nothing by itself", next_step=step
    )
