"""The composition root for what a stack holds: archive, restore, move, and MLflow's trash."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from provision.adapters.data_program import DataProgram
from provision.app import data
from provision.errors import MissingError, UsageError
from provision.settings import python_executable
from provision.targets.base import Progress
from provision.wiring import IN_AN_ACCOUNT, OpenedStack

if TYPE_CHECKING:
    from provision.targets.aws import AwsTarget

_IN_A_BUCKET = (
    "artifacts can be brought back in the bucket, and cost there, for the days of aws: settings: "
    "artifact_noncurrent_days",
)


def work(stack: OpenedStack, progress: Progress) -> data.DataWork:
    """What does the work, in a process of its own."""
    program = DataProgram(python_executable(), stack.settings.inherited)
    return data.DataWork(program, progress)


def archive(
    stack: OpenedStack, folder: Path, progress: Progress, *, users: bool, user: str = ""
) -> data.CopyResult:
    """Everything, or what belongs to one `user`, into a folder that needs no server of ours."""
    for own in (stack.layout.root, stack.layout.artifacts):
        if folder.resolve().is_relative_to(own):
            raise UsageError(
                f"{folder} lies in the stack's own folder {own}, and would go with it",
                next_step="choose a folder elsewhere",
            )
    return work(stack, progress).archive(
        stack.target, stack.spec.name, folder, users=users, user=user
    )


def restore(
    stack: OpenedStack, folder: Path, options: data.RestoreOptions, progress: Progress
) -> data.CopyResult:
    """An archive or an mlruns folder into this stack, which is then on the list."""
    if options.into_existing:
        _require_mixing(stack)
    result = work(stack, progress).restore(stack.target, stack.spec.name, folder, options)
    stack.remember_if_known()
    return result


def _require_mixing(stack: OpenedStack) -> None:
    """Raise `MissingError` where the database that is filled is a copy of the stack's."""
    if stack.spec.target in IN_AN_ACCOUNT:
        raise MissingError(
            f"{stack.spec.name} is in an account, where nothing is mixed: what is filled there is "
            "a copy of its database, and what people log meanwhile would be lost",
            next_step="provision archive it into a folder, restore both into a stack on this "
            "machine with --into-existing, and move that into a new stack on AWS",
        )


def move(
    stack: OpenedStack,
    other: OpenedStack,
    progress: Progress,
    *,
    users: bool,
    into_existing: bool = False,
) -> data.CopyResult:
    """Everything of this stack into another one, which is then on the list."""
    if into_existing:
        _require_mixing(other)
    if other.layout.root == stack.layout.root:
        raise UsageError(
            f"both specs name the same stack ({stack.layout.root})",
            next_step="give the new stack another name",
        )
    mover, name = work(stack, progress), other.spec.name
    result = mover.move(stack.target, other.target, name, users=users, into_existing=into_existing)
    other.remember_if_known()
    return result


def gc(
    stack: OpenedStack,
    older_than: int,
    *,
    confirm: Callable[[data.GcResult], None],
    progress: Progress,
) -> data.GcResult:
    """Delete what MLflow's trash holds, once `confirm` has returned."""
    notes = _IN_A_BUCKET if stack.spec.target in IN_AN_ACCOUNT else ()
    copying = work(stack, progress)
    collecting = _collecting(stack, copying, progress)
    return copying.gc(data.Trash(stack.spec.name, older_than, notes), collecting, confirm)


def _collecting(
    stack: OpenedStack, work: data.DataWork, progress: Progress
) -> AbstractContextManager[data.Collect]:
    if stack.spec.target not in IN_AN_ACCOUNT:
        return work.collecting(stack.target)
    # The database is private, and the server's own machine near the bucket.
    return cast("AwsTarget", stack.target).collecting(progress)
