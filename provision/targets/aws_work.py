"""One command's work on a stack in an account: plan, adopt, apply, sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provision.adapters.cloud.identity import trouble
from provision.adapters.cloud.listing import leftovers
from provision.adapters.cloud.removal import remove
from provision.adapters.cloud.session import Cloud
from provision.adapters.cloud.shared_state import shared_bucket
from provision.adapters.ledger import LedgerFile, Where
from provision.adapters.terraform.door import Terraform
from provision.adapters.terraform.sources import write_adoption
from provision.adapters.terraform.watch import Watch
from provision.errors import RefusedError
from provision.host.user_data import user_data
from provision.model.account import Identity
from provision.model.guards import PROTECTED
from provision.model.leftovers import Found, Listing, Names, Sorted, sort_out
from provision.model.live_view import LiveView, finished, render_lines
from provision.model.outputs import Outputs
from provision.model.plan import Plan
from provision.model.resources import title
from provision.model.schedules import Schedule, schedules, settled
from provision.model.spec import Spec
from provision.model.terraform_events import Event, ResourceEvent
from provision.model.unfinished import KEPT, addresses, unfinished
from provision.model.variables import variables
from provision.targets.aws_record import Access
from provision.targets.base import Progress
from provision.targets.host_delivery import Delivery


@dataclass(frozen=True)
class Planned:
    """A plan in its file, what is to be removed once it was applied, and what was there before.

    Only a teardown fills `listing`.
    """

    plan: Plan
    file: Path
    removals: Sequence[Found] = ()
    listing: Listing = field(default_factory=lambda: Listing(()))

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do at all."""
        return self.plan.is_empty and not self.removals


@dataclass(frozen=True)
class _Made:
    """A plan that was made: its file, whether it changes anything, what was said about it."""

    file: Path
    changes: bool
    planned: tuple[ResourceEvent, ...]

    @property
    def only_creates(self) -> bool:
        """Whether all it does is to create."""
        return {event.action for event in self.planned} == {"create"}


@dataclass(frozen=True)
class AwsWork:
    """Everything that a command needs, opened. The caller holds the stack's lock.

    `snapshot` is what a database is made from where a plan makes one; "" for an empty one.
    """

    spec: Spec
    access: Access
    me: Identity
    cloud: Cloud
    terraform: Terraform
    ledger: LedgerFile
    run: str
    began: datetime
    snapshot: str = ""

    @property
    def names(self) -> Names:
        """The names that the stack's resources have."""
        return Names.of(self.spec.name, self.me.account, self.me.region)

    @property
    def shared_states(self) -> str:
        """The bucket that holds its state, and those of other stacks; "" where there is none."""
        aws = self.spec.aws
        return shared_bucket(self.me, aws.state_name) if aws.state == "s3" else ""

    @property
    def emulated(self) -> bool:
        """Whether the account is an emulated one."""
        return self.access.emulated

    def where(self) -> Where:
        """What a command is going to work on, for the ledger."""
        names = self.names
        tags = {"provision:stack": self.spec.name, "provision:run": self.run}
        return Where(
            self.spec.name, self.me.account, self.me.region, tags, (names.prefix, names.bucket)
        )

    # -- planning -------------------------------------------------------------------------------

    def plan(
        self,
        progress: Progress,
        *,
        fresh: bool,
        look_around: bool,
        allowed: frozenset[str] = frozenset(),
    ) -> Planned:
        """What `up` would do.

        `fresh`: nothing was ever applied. With `look_around`, what exists in the account and no
        state knows is adopted by that plan, or removed after it. What holds data and
        was cut off while it was made is kept, unless its replacement is `allowed` by name. Raises
        `RefusedError` where the name belongs to another stack.
        """
        write_adoption(self.terraform.root, "")
        if look_around:
            self.terraform.begin_anew()
        made = self._make(progress, "planning")
        if self._keep_unfinished(made, allowed, progress):
            made = self._make(progress, "planning with what is kept")
        listing = self._look(progress) if look_around else None
        if listing is None or not listing.found:
            return Planned(self._read(made, fresh=fresh), made.file)
        document = self.terraform.show(made.file)
        found = self._sorted(listing, document, document)
        if found.imports:
            self._forget_gone({item.address for item in found.imports})
            write_adoption(self.terraform.root, found.to_hcl())
            made = self._make(progress, "planning with what was found")
            document = self.terraform.show(made.file)
        return Planned(Plan.from_json(document), made.file, found.removals)

    def _keep_unfinished(self, made: _Made, allowed: frozenset[str], progress: Progress) -> bool:
        """Take up what Terraform would replace, as it did not see the end of its making."""
        replaced = {event.address for event in made.planned if event.action == "replace"}
        if not replaced:
            return False
        ending = {kind for kind, name in PROTECTED.items() if name in allowed}
        kept = [
            item.address
            for item in unfinished(self.terraform.state())
            if item.address in replaced and item.type in KEPT - ending
        ]
        for address in kept:
            self.terraform.keep(address)
            progress.note(f"kept: {title(address)}, whose making was cut off")
        return bool(kept)

    def _forget_gone(self, adopting: set[str]) -> None:
        """What was destroyed by a run that was killed before it could write that down.

        Terraform leaves an `import` out where its state has the address, gone or not, and would
        make a second one.
        """
        for address in sorted(adopting & addresses(self.terraform.state())):
            self.terraform.forget(address)

    def plan_destroy(self, progress: Progress) -> Planned:
        """What `down` would do: destroy what the state knows, remove what it does not."""
        write_adoption(self.terraform.root, "")
        self.terraform.begin_anew()
        made = self._make(progress, "planning the teardown", destroy=True)
        document = self.terraform.show(made.file)
        listing = self._look(progress)
        found = self._sorted(listing, document, None)
        return Planned(Plan.from_json(document), made.file, found.removals, listing)

    def _make(self, progress: Progress, title: str, *, destroy: bool = False) -> _Made:
        values = variables(
            self.spec, account=self.me.account, run=self.run, user_data=self._user_data(),
            region=self.me.region, schedules=self._schedules(), snapshot=self.snapshot,
        )  # fmt: skip
        file = self.terraform.root / "provision.tfplan"
        planned: list[ResourceEvent] = []

        def hear(event: Event) -> None:
            if isinstance(event, ResourceEvent) and event.kind == "planned":
                planned.append(event)

        with progress.step(title):
            changes = self.terraform.plan(
                self.terraform.write_variables(values), file,
                destroy=destroy, on_event=hear, watch=self._watch(),
            )  # fmt: skip
        return _Made(file, changes, tuple(planned))

    def _schedules(self) -> dict[str, Schedule]:
        """What AWS is to do by itself from now on."""
        standing = Outputs.from_json(self.outputs()).schedules
        planned = {} if standing is None else standing.planned
        return settled(
            schedules(self.spec.name, self.spec.lifetime),
            {name: Schedule.from_json(item) for name, item in planned.items()},
            self.began,
        )

    def _user_data(self) -> str:
        """What the machine runs at its first boot: it needs no more than where its stack lies."""
        names = self.names
        return user_data(name=names.stack, region=self.me.region, bucket=names.bucket)

    def _read(self, made: _Made, *, fresh: bool) -> Plan:
        """The plan; reading its file starts the provider once more, so only where it says more."""
        if not made.changes:
            return Plan()
        if fresh and made.only_creates:
            return Plan.creating(event.address for event in made.planned)
        return Plan.from_json(self.terraform.show(made.file))

    def _look(self, progress: Progress) -> Listing:
        with progress.step("looking for what the account holds of this stack"):
            return leftovers(self.cloud, self.names)

    def _sorted(
        self, listing: Listing, document: Mapping[str, Any], plan: Mapping[str, Any] | None
    ) -> Sorted:
        state = document.get("prior_state")
        found = sort_out(listing.found, run=self.run, names=self.names, state=state, plan=plan)
        if found.foreign:
            raise RefusedError(
                f"account {self.me.account} has a stack {self.spec.name} in {self.me.region} that "
                f"was not made from here: {', '.join(map(str, found.foreign[:3]))}",
                next_step="give this stack another name, or work on that one where it was made "
                "(its folder .provision, or `state: s3` under `aws`)",
            )
        return found

    def _watch(self) -> Watch:
        environment, region = self.access.environment, self.me.region

        def probe() -> str | None:
            return trouble(environment, region, None, now=datetime.now(UTC))

        return Watch(probe)

    # -- doing ----------------------------------------------------------------------------------

    def apply(self, planned: Planned, progress: Progress, beside: Delivery | None = None) -> None:
        """Do exactly what was planned, then remove what was to be removed.

        `beside` hears what is done, and its lines are shown too.
        """
        board = _Board(LiveView.of(planned.plan, emulated=self.emulated), beside)
        try:
            if not planned.plan.is_empty:
                with progress.board(board.lines) as tell:
                    board.tell = tell
                    self.terraform.apply(planned.file, on_event=board.hear, watch=self._watch())
        finally:
            planned.file.unlink(missing_ok=True)
            write_adoption(self.terraform.root, "")
        self.sweep(planned.removals, progress)

    def sweep(self, found: Sequence[Found], progress: Progress, *, lose_data: bool = False) -> None:
        """Remove these; with `lose_data` also what holds data."""
        if not found:
            return
        with progress.step(f"removing {len(found)} things that no state knows"):
            remove(
                self.cloud, found, lose_data=lose_data,
                on_progress=lambda item: progress.note(f"removed {item}"),
            )  # fmt: skip

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs, read from the state: no provider is started for it."""
        return dict((self.terraform.state() or {}).get("outputs") or {})


class _Board:
    """The live view of an apply, fed by events."""

    def __init__(self, view: LiveView, beside: Delivery | None) -> None:
        self._view = view
        self._beside = beside
        self._clock = time.monotonic
        self.tell: Callable[[str], None] = lambda _: None

    def lines(self) -> list[str]:
        """The whole view now."""
        more = self._beside.lines() if self._beside else ()
        return [*render_lines(self._view.at(self._clock())), *(f"  {line}" for line in more)]

    def hear(self, event: Event) -> None:
        """Take one event in, and tell what has ended."""
        if self._beside is not None:
            self._beside.hear(event)
        if not isinstance(event, ResourceEvent):
            return
        self._view = self._view.seen(event, self._clock())
        row = self._view.rows.get((event.address, event.action))
        if row is not None and event.kind in ("done", "failed"):
            self.tell(finished(replace(row)))
