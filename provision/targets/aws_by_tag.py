"""`down --by-tag`: a stack whose record and state are lost, found by its tags and taken away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from provision.adapters.cloud.database_end import end_with_snapshot
from provision.adapters.cloud.removal import remove
from provision.errors import RefusedError
from provision.model.by_tag import run_of
from provision.model.farewell import Going, farewell
from provision.model.guards import Home, require_home
from provision.model.leftovers import PARTS, PROTECTED, Found, Names
from provision.model.receipt import Receipt
from provision.model.spec import Spec
from provision.targets.aws_account import AwsAccount, Opening
from provision.targets.aws_ending import Ending, price_table
from provision.targets.aws_receipts import compact, receipted, stopped
from provision.targets.base import DownOptions, Progress, Stopped


@dataclass(frozen=True)
class ByTag:
    """The end of one stack of which nothing is known but its name.

    `locked` holds the stack's lock on this machine.
    """

    spec: Spec
    account: AwsAccount
    opening: Opening
    locked: Callable[[], AbstractContextManager[None]]
    now: Callable[[], str]

    @property
    def stack(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def keeps(self) -> bool:
        """Whether the spec wants a last snapshot of the database, as the profile `team` does."""
        chosen = self.spec.aws.settings.final_snapshot
        return self.spec.aws.profile == "team" if chosen is None else chosen

    def run(self, options: DownOptions, progress: Progress) -> Stopped:
        """Show what carries the stack's tag, and remove it once `options` agreed.

        Raises `RefusedError` where several stacks have the name, where somebody is at work on it,
        and where something is still there in the end.
        """
        me = self.opening.me
        here, account = Home(me.account, me.region), self.spec.aws.account
        require_home(self.stack, here, recorded=None, account=account)
        with self.locked():
            ending, going = self._agreed(options, progress)
        options.archive()
        with self.locked():
            receipt = ending.receipt(going, self.now())
            with receipted(receipt, options) as keep:
                receipt = self._removed(ending, going, receipt, progress)
                ended = ending.swept(replace(receipt, ended_at=self.now()), options, progress)
                keep(replace(ended, ended_at=self.now()))
            self.account.forget_shared(self.opening)
        return stopped(ended)

    def _agreed(self, options: DownOptions, progress: Progress) -> tuple[Ending, Going]:
        self._require_nobody_at_work()
        ending = self._ending(None)
        listing = ending.look(progress)
        # Where nothing belongs to any run, no run's things are ours: no tag of a run is empty.
        ending = self._ending(run_of(listing.found, self.stack, options.run) or "")
        going = ending.going(listing, options)
        ending.require_possible(going, options)
        if going.ending:
            options.approve(farewell(going))
        return ending, going

    def _ending(self, run: str | None) -> Ending:
        me, opening = self.opening.me, self.opening
        names = Names.of(self.stack, me.account, me.region)
        shared = self.account.existing_shared(opening)
        return Ending(opening.cloud, me, names, run, opening.access.emulated, price_table(), shared)

    def _require_nobody_at_work(self) -> None:
        shared = self.account.existing_shared(self.opening)
        lock = self.account.shared_lock(self.opening) if shared else None
        if lock is not None:
            raise RefusedError(
                f"somebody is at work on {self.stack}: {lock.who}",
                next_step="wait for its end; provision unlock removes the lock of one who is gone",
            )

    def _removed(
        self, ending: Ending, going: Going, receipt: Receipt, progress: Progress
    ) -> Receipt:
        guarded = [item for item in going.ending if item.note == PROTECTED]
        ending.unlock(going, progress)
        databases = [item for item in going.ending if item.type == "aws_db_instance"]
        for item in databases:
            if guarded or self.keeps:
                name = f"{item.id}-final-{compact(self.now())}"
                progress.note(f"the database's last snapshot: {name}")
                end_with_snapshot(ending.cloud, item.id, name)
        # The server writes until it has gone, and the bucket goes when it is empty.
        buckets = [item for item in going.ending if item.type == "aws_s3_bucket"]
        self._remove(ending, [i for i in going.ending if i not in buckets], progress)
        gone = ending.empty(going, progress)
        self._remove(ending, buckets, progress)
        return replace(receipt, emptied=gone)

    def _remove(self, ending: Ending, found: Sequence[Found], progress: Progress) -> None:
        chosen = [item for item in found if item.type not in PARTS]
        if not chosen:
            return
        with progress.step(f"removing {len(chosen)} things"):
            remove(
                ending.cloud, chosen, lose_data=True,
                on_progress=lambda item: progress.note(f"removed {item}"),
            )  # fmt: skip
