"""`down` of a stack in an account: what goes is shown, agreed to, archived, ended, looked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from provision.errors import RefusedError
from provision.model.guards import PROTECTED, require_allowed
from provision.model.outputs import Outputs
from provision.model.plan_words import words
from provision.model.spec import Spec
from provision.targets.aws_opening import Opener
from provision.targets.aws_work import AwsWork, Planned
from provision.targets.base import DownOptions, Progress, Stopped, nothing

_ALL_DATA = frozenset(PROTECTED.values())

Opened = Callable[[], AbstractContextManager[AwsWork]]
"""Holds the stack's lock while it lasts."""


@dataclass(frozen=True)
class Teardown:
    """The end of one stack that Terraform knows."""

    spec: Spec
    opener: Opener
    opened: Opened

    def run(self, options: DownOptions, progress: Progress) -> Stopped:
        """Destroy everything and prove that nothing is left.

        Raises `RefusedError` where something may not go, or is still there, and what `options`
        raise; until those have agreed, nothing is changed.
        """
        with ExitStack() as held:
            work = held.enter_context(self.opened())
            planned = self._agreed(work, options, progress)
            if options.archive is not nothing:
                held.close()
                options.archive()
                work = held.enter_context(self.opened())
            return self._destroy(work, planned, progress)

    def _agreed(self, work: AwsWork, options: DownOptions, progress: Progress) -> Planned:
        planned = work.plan_destroy(progress)
        require_allowed(planned.plan, _ALL_DATA)
        if not planned.nothing:
            options.approve(words(planned.plan))
        return planned

    def _destroy(self, work: AwsWork, planned: Planned, progress: Progress) -> Stopped:
        if not planned.nothing:
            bucket = Outputs.from_json(work.outputs()).artifacts
            with work.ledger.command("down", work.run, work.where()):
                if bucket is not None:
                    self.opener.empty(work, bucket.bucket, progress)
                work.apply(replace(planned, removals=()), progress)
                work.sweep(planned.removals, progress, lose_data=True)
        with progress.step("making sure that nothing is left"):
            left = work.left()
        if left.removals:
            raise RefusedError(
                f"still there: {', '.join(map(str, left.removals))}",
                next_step="run provision down --delete-data again: it removes what is left",
            )
        gone = len(planned.plan.changes) + len(planned.removals)
        notes = [
            f"{gone} resources destroyed; nothing that carries the tag "
            f"provision:stack={self.spec.name} is left in account {work.me.account}, "
            f"{work.me.region}"
        ]
        notes += [f"kept on purpose: {item}" for item in left.kept]
        return Stopped(0, notes)
