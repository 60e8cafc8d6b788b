"""The composition root for time: pause, resume, a later end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from provision.adapters import specfile, workspace
from provision.app import extend as extending
from provision.app import lifecycle, power
from provision.model.endpoint import Endpoint
from provision.settings import Settings
from provision.targets.base import Approve, Progress, UpOptions
from provision.wiring import IN_AN_ACCOUNT, OpenedStack, open_stack


def pause(stack: OpenedStack, progress: Progress) -> power.PauseResult:
    """Switch it off until `resume`."""
    return power.pause(stack.target, stack.spec.name, progress)


def resume(
    stack: OpenedStack, progress: Progress, paste: Callable[[Endpoint], str]
) -> lifecycle.UpResult:
    """Switch it on, and see that a client can use it."""
    return power.resume(stack.target, stack.spec.name, stack.check, progress, paste=paste)


def extend(
    settings: Settings, day: date, approve: Approve, progress: Progress
) -> extending.ExtendResult:
    """A later last day in the spec, and in the account where the stack is in one."""
    source = specfile.read_spec(settings.spec_file)
    old = workspace.read_text(settings.spec_file)
    today = datetime.now(UTC).astimezone().date()
    texts = old, extending.extended(source, old, day, today)

    def write(text: str) -> None:
        mode = settings.spec_file.stat().st_mode & 0o777
        workspace.write_text(settings.spec_file, text, mode)

    return extending.extend(source, texts, day, write, lambda: _tell(settings, approve, progress))


def _tell(settings: Settings, approve: Approve, progress: Progress) -> bool:
    """Apply the new day where the stack is in an account already."""
    stack = open_stack(settings)
    if stack.spec.target in IN_AN_ACCOUNT and stack.target.endpoint() is not None:
        options = UpOptions(approve=approve)
        lifecycle.up(stack.target, options, stack.check, progress, paste=lambda _: "")
        return True
    return False
