"""`down` of a stack in an account: what goes is shown, agreed to, archived, ended, looked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from provision.adapters.cloud.database_end import end_with_snapshot, has_snapshot
from provision.adapters.cloud.removal import remove
from provision.errors import ProvisionError
from provision.model.emptied import Emptied
from provision.model.farewell import Going, farewell
from provision.model.guards import PROTECTED, require_allowed
from provision.model.plan import Action
from provision.model.plan_words import words
from provision.targets.aws_ending import Ending, price_table
from provision.targets.aws_receipts import compact, receipted, stopped
from provision.targets.aws_work import AwsWork, Planned
from provision.targets.base import DownOptions, Progress, Stopped, nothing

_ALL_DATA = frozenset(PROTECTED.values())

Opened = Callable[[], AbstractContextManager[AwsWork]]
"""Holds the stack's lock while it lasts."""


@dataclass(frozen=True)
class Teardown:
    """The end of one stack that Terraform knows."""

    opened: Opened
    now: Callable[[], str]

    def run(self, options: DownOptions, progress: Progress) -> Stopped:
        """Destroy everything and prove that nothing is left.

        Raises `RefusedError` where something may not go, or is still there, and what `options`
        raise; until those have agreed, nothing is changed.
        """
        with ExitStack() as held:
            work = held.enter_context(self.opened())
            ending = self._ending(work)
            planned, going = self._agreed(work, ending, options, progress)
            if options.archive is not nothing:
                held.close()
                options.archive()
                work = held.enter_context(self.opened())
            receipt = ending.receipt(going, self.now())
            with receipted(receipt, options) as keep:
                if not planned.nothing:
                    gone = self._destroy(work, ending, planned, going, progress)
                    receipt = replace(receipt, emptied=gone)
                    keep(receipt)
                ended = ending.swept(replace(receipt, ended_at=self.now()), options, progress)
                keep(replace(ended, ended_at=self.now()))
        return stopped(ended)

    def _ending(self, work: AwsWork) -> Ending:
        return Ending(
            work.cloud, work.me, work.names, work.run, work.emulated, price_table(),
            work.shared_states,
        )  # fmt: skip

    def _agreed(
        self, work: AwsWork, ending: Ending, options: DownOptions, progress: Progress
    ) -> tuple[Planned, Going]:
        planned = work.plan_destroy(progress)
        going = ending.going(planned.listing, options)
        ending.require_possible(going, options)
        require_allowed(planned.plan, _ALL_DATA, unlocked=options.lift_protection)
        if not planned.nothing or (options.delete_backups and going.kept):
            options.approve(farewell(going, words(planned.plan)))
        return planned, going

    def _destroy(
        self,
        work: AwsWork,
        ending: Ending,
        planned: Planned,
        going: Going,
        progress: Progress,
    ) -> Emptied:
        with work.ledger.command("down", work.run, work.where()):
            ending.unlock(going, progress)
            planned = self._with_its_snapshot(work, planned, progress)
            gone = ending.empty(going, progress)
            try:
                work.apply(replace(planned, removals=()), progress)
            except ProvisionError:
                # The server writes until it has gone; with something in it the bucket stays.
                written = ending.empty(going, progress)
                if written.is_nothing:
                    raise
                gone += written
                work.apply(replace(work.plan_destroy(progress), removals=()), progress)
            work.sweep(planned.removals, progress, lose_data=True)
        return gone

    def _with_its_snapshot(self, work: AwsWork, planned: Planned, progress: Progress) -> Planned:
        """End the database before all else where the name of its last snapshot is taken."""
        ends = [c for c in planned.plan.changes if c.action is Action.DESTROY and c.keeps]
        taken = [c for c in ends if has_snapshot(work.cloud, c.keeps)]
        databases = [f for f in planned.listing.found if f.type == "aws_db_instance"]
        if not taken or not databases:
            return planned
        name = f"{taken[0].keeps}-{compact(self.now())}"
        with progress.step(f"ending the database; its last snapshot is {name}"):
            end_with_snapshot(work.cloud, databases[0].id, name)
            remove(work.cloud, databases[:1], lose_data=True)
        return replace(work.plan_destroy(progress), removals=planned.removals)
