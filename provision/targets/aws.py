"""The AWS rung: a machine, a database and a bucket in an account, real or emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from provision.adapters import workspace
from provision.errors import MissingError, RefusedError
from provision.model.backups import Backup
from provision.model.endpoint import Endpoint
from provision.model.guards import Home, require_home
from provision.model.layout import Layout
from provision.model.leftovers import Names
from provision.model.outputs import Outputs
from provision.model.plan_words import PlanWords, words
from provision.model.spec import Spec
from provision.server.places import Place
from provision.targets import aws_data, aws_kept
from provision.targets.aws_account import Opening
from provision.targets.aws_backups import AwsBackups
from provision.targets.aws_by_tag import ByTag
from provision.targets.aws_folders import make_folders
from provision.targets.aws_host import AwsHost
from provision.targets.aws_lock import AwsLock
from provision.targets.aws_look import BY_TUNNEL, AwsLook
from provision.targets.aws_opening import Opener
from provision.targets.aws_power import AwsPower
from provision.targets.aws_preflight import Ask, planned_to_last
from provision.targets.aws_record import Access, AwsPaths, AwsRecord, Connect
from provision.targets.aws_remote import AwsRemote
from provision.targets.aws_rewind import Rewind, require_none_under_way
from provision.targets.aws_teardown import Teardown
from provision.targets.aws_work import AwsWork, Planned
from provision.targets.base import (
    DownOptions,
    Holding,
    Progress,
    Snapshot,
    Started,
    Stopped,
    UpOptions,
    nothing,
)
from provision.targets.host_delivery import Delivery

_LOCK_WAIT_SECONDS = 180.0
_NOBODY_BOOTS = (
    "nothing answers there: no machine boots in an account that is emulated alone (target: "
    "rehearsal boots one)"
)
_UNKNOWN_HERE = (
    "nothing is known of it here; if it exists all the same, provision down --by-tag --delete-data "
    "finds it in the account"
)


class AwsTarget:
    """One stack in one account. What is known about it is on disk and in the account."""

    def __init__(  # noqa: PLR0913 - the last five are passed by name
        self,
        spec: Spec,
        spec_file: Path,
        layout: Layout,
        connect: Connect,
        *,
        host: AwsHost,
        now: Callable[[], str],
        ask: Ask,
        written: str = "",
        month: float = 0.0,
    ) -> None:
        self._spec = spec
        self._paths = AwsPaths.below(layout.root)
        self._connect = connect
        self._opener = Opener(spec, self._paths, now)
        self._host = host
        self._now = now
        self._ask = ask
        self._now = now
        self._look = AwsLook(
            host.entrance, self._paths, connect, spec_file=spec_file, written=written,
            mlflow_version=host.mlflow_version, month=month, now=now,
        )  # fmt: skip

    # -- the commands ---------------------------------------------------------------------------

    def plan(self, options: UpOptions, progress: Progress) -> PlanWords | None:
        """What `up` would change, in words; `None` where nothing would."""
        with self._opened(self._is_emulated(options), progress) as work:
            planned = work.plan(
                progress, fresh=self._is_fresh(), look_around=self._is_suspicious(work)
            )
            planned.file.unlink(missing_ok=True)
        return None if planned.nothing else words(planned.plan)

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Plan, show, ask, write the intent down, apply that very plan, remember.

        Raises `RefusedError` for what a guard refuses, `MissingError` for what is missing, and
        Terraform's failures with their cause and next step. Run again, it takes up what exists.
        """
        if options.port is not None:
            progress.note("--port has no effect here: the server listens on 443")
        require_none_under_way(self._look.stored())
        with self._opened(self._is_emulated(options), progress, moves=True) as work:
            fresh, cut_off = self._is_fresh(), self._is_suspicious(work)
            self._wake(work, progress)
            ask = None if options.unasked else self._ask
            planned = planned_to_last(
                work, options.allowed, progress, ask, fresh=fresh, cut_off=cut_off
            )
            if not planned.nothing:
                options.approve(words(planned.plan))
                self._remember(work, outputs={})
            delivery = self._deliver(work, planned)
            self._apply(work, planned, delivery, progress)
            record = self._remember(work, work.outputs())
        return self._started(record, work, planned, delivery, progress)

    def _wake(self, work: AwsWork, progress: Progress) -> None:
        """RDS changes no database that is stopped. Raises `RefusedError` after the last day."""
        known = self._look.known()
        outputs = Outputs.from_json(known.outputs if known is not None else {})
        self._power(Opening(work.access, work.me, work.cloud), outputs).wake(progress)

    def _is_emulated(self, options: UpOptions) -> bool:
        """A rehearsal never leads to a real account, whatever the credentials are."""
        return options.emulated or self._look.facts.rehearses

    def _deliver(self, work: AwsWork, planned: Planned) -> Delivery | None:
        """Begin to bring the host what it starts with, where there will be one."""
        if not work.access.boots:
            return None
        made = self._host.delivery(work.cloud, work.me, planned.plan)
        made.start()
        return made

    def _apply(
        self, work: AwsWork, planned: Planned, delivery: Delivery | None, progress: Progress
    ) -> None:
        if planned.nothing:
            return
        try:
            with work.ledger.command("up", work.run, work.where()):
                work.apply(planned, progress, delivery)
        except BaseException:
            if delivery is not None:
                delivery.cancel()
            raise

    def _started(
        self,
        record: AwsRecord,
        work: AwsWork,
        planned: Planned,
        delivery: Delivery | None,
        progress: Progress,
    ) -> Started:
        """Wait for the host, fetch what clients need, and see that it answers from here."""
        outputs = Outputs.from_json(record.outputs)
        changed: tuple[str, ...] = ()
        if delivery is None:
            notes, serving = [_NOBODY_BOOTS], False
        else:
            with progress.step("bringing the server's program to the bucket"):
                changed = delivery.finish()
            self._host.bring_up(work.cloud, outputs, changed, progress)
            self._host.entrance.fetch_keys(work.cloud, outputs)
            ask, serving = self._host.require_inside, self._look.facts.is_open
            notes = [] if serving else [ask(work.cloud, outputs, progress), BY_TUNNEL]
        endpoint = self._look.endpoint_of(record)
        if endpoint is None:
            raise MissingError(
                f"{self._spec.name} has no server although everything was applied",
                next_step="provision plan shows what is missing; provision up makes it",
            )
        if serving:
            self._host.require_reached(endpoint, progress)
        return Started(endpoint, not planned.nothing or bool(changed), notes, serving)

    def down(self, options: DownOptions, progress: Progress) -> Stopped:
        """Destroy everything and prove that nothing is left.

        Raises `RefusedError` without `delete_data`: nothing here can be stopped and kept yet.
        """
        if options.by_tag:
            self._require_consent(options)
            if options.archive is not nothing and self._look.known() is None:
                raise _no_way_to_archive(self._spec.name)
            return self._by_tag().run(options, progress)
        record = self._look.known()
        if record is None and not self._paths.ledger.exists():
            return Stopped(0, [_UNKNOWN_HERE])
        self._require_consent(options)
        if self._look.emulation_is_over(record):
            return Stopped(0, ["the emulated account had ended already, with all that it held"])
        if options.archive is not nothing and self._kept(progress) is None:
            still = partial(aws_data.with_server_still, self.remote, options.archive, progress)
            options = replace(options, archive=still)
        opened = partial(self._opened, False, progress)
        return Teardown(opened, self._now).run(options, progress)

    def _by_tag(self) -> ByTag:
        make_folders(self._paths)
        stored, account = self._look.stored(), self._look.account
        own = self._spec.target == "rehearsal" or (stored is not None and stored.owns_account)
        access = self._connect.emulated(start=False) if own else self._connect.real()
        return ByTag(self._spec, account, account.look(access), self._locked, self._now)

    def _locked(self) -> AbstractContextManager[None]:
        return workspace.exclusive(
            self._paths.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=lambda _: None
        )

    def _require_consent(self, options: DownOptions) -> None:
        if not options.delete_data:
            by_tag = "--by-tag " if options.by_tag else ""
            raise RefusedError(
                f"down ends the machine, the database and the bucket of {self._spec.name}, with "
                "all runs and artifacts in them; nothing was changed",
                next_step=f"provision down {by_tag}--delete-data, which shows what goes and asks",
            )

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` before the first `up`."""
        return self._look.endpoint()

    def snapshot(self) -> Snapshot:
        """Machine and database as AWS sees them now."""
        return self._look.snapshot()

    def logs(self) -> Mapping[str, Path]:
        """None on this machine: see `remote`."""
        return {}

    def remote(self) -> AwsRemote:
        """The server's machine. Raises `MissingError` before `up`, and where none boots."""
        opening, outputs = self._reached()
        if not opening.access.boots:
            raise MissingError(
                f"{self._spec.name} has no machine: {_NOBODY_BOOTS}",
                next_step="set target: rehearsal in the spec, or leave --emulated out",
            )
        return AwsRemote(self._host, opening, outputs)

    def backups(self) -> AwsBackups:
        """The points that it can go back to. Raises `MissingError` before `up`."""
        opening, outputs = self._reached()
        return self._backups(opening, outputs)

    def rewind(self, backup: Backup, progress: Progress, *, program: bool = False) -> list[str]:
        """Bring it back to a backup, and wait until it serves; what there is to know about it.

        With `program`, its machine's program too. Raises what is in the way before the first
        change; afterwards the same call goes on.
        """
        with self._opened(False, progress) as work:
            record = self._look.stored() or self._remember(work, {})
            outputs = Outputs.from_json(work.outputs())
            opening = Opening(work.access, work.me, work.cloud)
            if not record.rewinding:
                self._power(opening, outputs).wake(progress)
            return Rewind(
                work, self._backups(opening, outputs), self._host, self._paths,
                datetime.fromisoformat(self._now()),
                partial(self._remember, work, mlflow=backup.mlflow_version if program else ""),
            ).to(backup, record, progress, program=program)  # fmt: skip

    def _backups(self, opening: Opening, outputs: Outputs) -> AwsBackups:
        record, me = self._look.stored(), opening.me
        version = record.mlflow_version if record is not None else ""
        names = Names.of(self._spec.name, me.account, me.region)
        return AwsBackups(opening.cloud, names, outputs, version)

    def power(self) -> AwsPower:
        """Machine and database, to be switched off and on. Raises `MissingError` before `up`."""
        return self._power(*self._reached())

    def _power(self, opening: Opening, outputs: Outputs) -> AwsPower:
        now = datetime.fromisoformat(self._now())
        return AwsPower(self._spec, self._host, opening, outputs, now)

    def _reached(self) -> tuple[Opening, Outputs]:
        record = self._look.known()
        if record is None or not record.applied_at:
            raise MissingError(
                f"{self._spec.name} was never brought up from here", next_step="provision up"
            )
        opening = self._look.account.look(self._look.access(record))
        return opening, Outputs.from_json(record.outputs)

    def holdings(self) -> Sequence[Holding]:
        """None on this machine: what goes in the account is shown by the plan of `down`."""
        return []

    def delete_data(self) -> None:
        """Forget the stack, whose resources are gone."""
        self._connect.end_emulated()
        workspace.remove_folder(self._paths.root)
        workspace.remove_empty_folder(self._paths.root.parent)

    def data(self, progress: Progress, *, create: bool = False) -> AbstractContextManager[Place]:
        """Its bucket, and copies of its databases. Raises `MissingError` before the first `up`."""
        if not create and (ferry := self._kept(progress)) is not None:
            return aws_kept.opened(ferry, self._paths)
        return aws_data.opened(self.remote(), self._paths, progress, fill=create)

    def _kept(self, progress: Progress) -> aws_data.Ferry | None:
        """What its machine archived before its account took it down."""
        return aws_kept.kept(AwsRemote(self._host, *self._reached()), progress)

    def collecting(self, progress: Progress) -> AbstractContextManager[aws_data.Collect]:
        """What looks through MLflow's trash on the machine. Raises like `data`."""
        return aws_data.collecting(self.remote(), self._paths, progress)

    def quiet(self, _progress: Progress) -> AbstractContextManager[None]:
        """Nothing to do: the machine stops its own server while rows change under it."""
        return nullcontext()

    def state_lock(self) -> AwsLock:
        """The lock of its Terraform state."""
        return AwsLock(self._spec, self._paths, self._opener, self._connect)

    # -- opening --------------------------------------------------------------------------------

    @contextmanager
    def _opened(
        self, emulated: bool, progress: Progress, *, moves: bool = False
    ) -> Iterator[AwsWork]:
        make_folders(self._paths)
        with workspace.exclusive(
            self._paths.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            stored = self._require_same_kind(emulated, progress)
            own = emulated or (stored is not None and stored.owns_account)
            access = self._begun(progress) if own else self._connect.real()
            opening = self._look.account.look(access)
            here = Home(opening.me.account, opening.me.region)
            recorded = None if stored is None else Home(stored.account, stored.region)
            account = None if own else self._spec.aws.account
            require_home(self._spec.name, here, recorded=recorded, account=account)
            kind = " (emulated on this machine)" if opening.access.emulated else ""
            progress.note(f"{here}{kind or f' as {opening.me.arn}'}")
            yield self._opener.open(opening, progress, moves=moves)

    def _begun(self, progress: Progress) -> Access | None:
        """The emulated account, started where there is none, which may take its time."""
        with progress.step("making the emulated account ready"):
            return self._connect.emulated(start=True, say=progress.note)

    def _require_same_kind(self, emulated: bool, progress: Progress) -> AwsRecord | None:
        stored = self._look.stored()
        if stored is not None and emulated and not stored.owns_account and stored.applied_at:
            raise RefusedError(
                f"{stored.name} is up in account {stored.account}; it cannot become an emulated "
                "one",
                next_step="leave --emulated out, or give the emulated stack another name",
            )
        if self._look.emulation_is_over(stored):
            progress.note("the emulated account had ended, with all that it held: it begins anew")
            workspace.remove_folder(self._paths.terraform)
            for path in (self._paths.record, self._paths.ledger):
                path.unlink(missing_ok=True)
            return replace(stored, outputs={}, applied_at="") if stored else None
        return stored

    def _is_fresh(self) -> bool:
        stored = self._look.stored()
        return stored is None or not stored.applied_at

    @staticmethod
    def _is_suspicious(work: AwsWork) -> bool:
        """Whether a run was cut off: the account may hold what no state knows."""
        return bool(work.ledger.read().suspicious)

    def _remember(
        self, work: AwsWork, outputs: Mapping[str, Any], *, mlflow: str = ""
    ) -> AwsRecord:
        record = self._look.record(Opening(work.access, work.me, work.cloud), outputs)
        record = replace(record, mlflow_version=mlflow or record.mlflow_version)
        workspace.write_json(self._paths.record, record.to_json())
        return record


def _no_way_to_archive(name: str) -> RefusedError:
    return RefusedError(
        f"{name} cannot be archived from here: where its database and its bucket are stands in its "
        "record and its state, and neither is here; nothing was changed",
        next_step="provision archive DIR where it was brought up, or with its shared state (aws: "
        "state: s3). Where both are lost: aws rds create-db-snapshot --db-instance-identifier "
        f"provision-{name} --db-snapshot-identifier {name}-last, which stays, and aws s3 sync of "
        "its bucket; then leave --archive out",
    )
