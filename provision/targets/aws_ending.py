"""What both ways of taking a stack down share: what is looked at before, and proven after."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from provision.adapters import packages
from provision.adapters.cloud.contents import contents
from provision.adapters.cloud.database_end import lift_protection
from provision.adapters.cloud.emptying import empty_bucket
from provision.adapters.cloud.guests import guests
from provision.adapters.cloud.listing import leftovers
from provision.adapters.cloud.removal import remove
from provision.adapters.cloud.session import Cloud
from provision.errors import RefusedError
from provision.model.account import Identity
from provision.model.emptied import Emptied
from provision.model.farewell import Going
from provision.model.leftovers import BACKUPS, PROTECTED, Found, Listing, Names, Sorted, sort_out
from provision.model.prices import Prices
from provision.model.receipt import Receipt, Thing
from provision.model.usage import Usage
from provision.targets.base import DownOptions, Progress

_SECONDS: Final = 900.0
_POLL: Final = 5.0


def price_table() -> Prices:
    """The prices that come with the package."""
    return Prices.from_json(json.loads(packages.data_file("prices.json")))


@dataclass(frozen=True)
class Ending:
    """One stack's end in one account. `shared` is the bucket that holds the states of several."""

    cloud: Cloud
    me: Identity
    names: Names
    run: str | None
    emulated: bool
    prices: Prices
    shared: str = ""

    # -- before ---------------------------------------------------------------------------------

    def look(self, progress: Progress) -> Listing:
        """All that the account holds of the stack."""
        with progress.step("looking for what the account holds of this stack"):
            return leftovers(self.cloud, self.names)

    def going(self, listing: Listing, options: DownOptions) -> Going:
        """What of it would go."""
        found = self._sorted(listing)
        going = Going(listing.found, found.kept, found.foreign, options.delete_backups)
        return replace(going, usage=self._usage(going, options))

    def _sorted(self, listing: Listing) -> Sorted:
        return sort_out(listing.found, run=self.run, names=self.names, state=None, plan=None)

    def require_possible(self, going: Going, options: DownOptions) -> None:
        """Raise `RefusedError` for what would stop the teardown half-way."""
        locked = [item for item in going.ending if item.note == PROTECTED]
        if locked and not options.lift_protection:
            raise RefusedError(
                f"AWS guards {locked[0]} against deletion, as its profile asks for: nothing was "
                "changed",
                next_step="add --lift-protection if it is to go (a last snapshot is kept), or "
                "leave it",
            )
        others = guests(self.cloud, going.ending)
        if others:
            raise RefusedError(
                "in the stack's network lies what provision did not make, and the network cannot "
                f"go before it does: {'; '.join(others)}",
                next_step="move or remove it (its owner knows what it is), then run this again; "
                "nothing was changed",
            )

    def _usage(self, going: Going, options: DownOptions) -> Usage:
        """What the server said, and what the account says of the bucket."""
        known = options.usage or Usage()
        bucket = next((i for i in going.ending if i.type == "aws_s3_bucket"), None)
        if bucket is None:
            return known
        return known.with_bucket(contents(self.cloud, bucket.id, self.me.account))

    def receipt(self, going: Going, at: str) -> Receipt:
        """The receipt of a teardown that begins."""
        return Receipt(
            stack=self.names.stack,
            account=self.me.account,
            region=self.me.region,
            emulated=self.emulated,
            by=self.me.arn,
            run=self.run or "",
            begun_at=at,
            existed=tuple(Thing.of(item) for item in going.ending),
            usage=going.usage,
        )

    # -- doing ----------------------------------------------------------------------------------

    def unlock(self, going: Going, progress: Progress) -> None:
        """Take the lock against deletion off the databases that have one. The user has agreed."""
        for item in going.ending:
            if item.type == "aws_db_instance" and lift_protection(self.cloud, item.id):
                progress.note(f"the lock against deletion is off: {item}")

    def empty(self, going: Going, progress: Progress) -> Emptied:
        """Delete all that is in the stack's buckets: they cannot go otherwise."""
        gone = Emptied()
        for item in going.ending:
            if item.type == "aws_s3_bucket":
                gone += self._empty(item.id, progress)
        return gone

    def _empty(self, bucket: str, progress: Progress) -> Emptied:
        title, gone = f"emptying the bucket {bucket}", Emptied()

        def told(now: Emptied) -> None:
            nonlocal gone
            gone = now

        with progress.board(lambda: [f"{title}: {gone}"]) as tell:
            tell(f"{title} ...")
            gone = empty_bucket(self.cloud, bucket, self.me.account, told)
        if not gone.is_nothing:
            progress.note(f"deleted for good: {gone}")
        return gone

    # -- after ----------------------------------------------------------------------------------

    def swept(self, receipt: Receipt, options: DownOptions, progress: Progress) -> Receipt:
        """Look, remove what is there, and look again until nothing is; in the receipt either way.

        AWS lists some things for a while after their end, and makes others while something ends.
        """
        deadline = time.monotonic() + _SECONDS
        while True:
            with progress.step("making sure that nothing is left"):
                listing = leftovers(self.cloud, self.names)
            left = self._left(listing, options)
            if not left or time.monotonic() > deadline:
                return self._final(receipt, listing, left)
            with progress.step(f"removing {len(left)} things that are still there"):
                remove(
                    self.cloud, left, lose_data=True,
                    on_progress=lambda item: progress.note(f"removed {item}"),
                )  # fmt: skip
            time.sleep(0 if self.emulated else _POLL)

    def _left(self, listing: Listing, options: DownOptions) -> tuple[Found, ...]:
        found = self._sorted(listing)
        too = [k for k in found.kept if options.delete_backups and k.type in BACKUPS]
        return (*found.removals, *too)

    def _final(self, receipt: Receipt, listing: Listing, left: Sequence[Found]) -> Receipt:
        sorted_out = self._sorted(listing)
        kept = [item for item in sorted_out.kept if item not in left]
        by_others = "another run or somebody by hand made it"
        foreign = [replace(item, note=by_others) for item in sorted_out.foreign]
        return replace(
            receipt.ended(
                receipt.ended_at, left=left, kept=[*kept, *foreign, *self._state_bucket()],
                prices=self.prices, unknown=listing.strangers,
            ),
            blind=tuple(listing.blind),
        )  # fmt: skip

    def _state_bucket(self) -> list[Found]:
        if not self.shared:
            return []
        held = contents(self.cloud, self.shared, self.me.account)
        note = "it holds the states of all stacks that share it"
        arn = f"arn:{self.me.partition}:s3:::{self.shared}"
        size = held.bytes / 2**30
        return [
            Found("aws_s3_bucket", self.shared, arn, self.shared, None, size_gib=size, note=note)
        ]
