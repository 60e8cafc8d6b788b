"""The composition root for stacks in containers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from provision.adapters import workspace
from provision.errors import ProvisionError, UsageError
from provision.model.layout import Layout
from provision.model.spec import Spec
from provision.settings import Settings
from provision.targets.base import Logs, Target
from provision.targets.compose import ComposeTarget
from provision.targets.local_settings import Host
from provision.targets.record import StackRecord

if TYPE_CHECKING:
    from provision.wiring import OpenedStack


def target(
    spec: Spec, layout: Layout, settings: Settings, host: Host, now: Callable[[], str]
) -> Target:
    """The stack in containers."""
    return ComposeTarget(spec, settings.spec_file, layout, host, now)


def composed(stack: OpenedStack) -> ComposeTarget:
    """A stack's target as the one in containers; raises `UsageError` where it is something else."""
    if isinstance(stack.target, ComposeTarget):
        return stack.target
    name, kind = stack.spec.name, stack.spec.target
    raise UsageError(
        f"--render-only is for target: compose, and {name} has target: {kind}",
        next_step="leave it out, or set target: compose in the spec",
    )


def foreign_logs(stack: OpenedStack) -> Logs | None:
    """Logs that are no files of this machine; `None` where they are."""
    if isinstance(stack.target, ComposeTarget):
        return stack.target.log_source()
    return stack.target.remote()


def is_running(root: Path, settings: Settings) -> bool:
    """Whether containers of the stack in this folder run; no where the engine does not answer."""
    record = StackRecord.from_json(workspace.read_json(root / "stack.json"))
    if record is None or record.target != "compose":
        return False
    from provision.adapters.containers import open_project  # noqa: PLC0415 - loads YAML
    from provision.targets.compose_folder import folder  # noqa: PLC0415

    try:
        place = folder(Layout.below(root.parent, root.name))
        found = open_project(place, settings.environment).containers()
    except ProvisionError:
        return False
    return any(container.state == "running" for container in found)
