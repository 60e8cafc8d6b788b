"""The local rung: a durable MLflow server on this machine, supervised, with its own database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provision.adapters import postgres, processes, workspace
from provision.errors import MissingError, ProvisionError, UserInterruptError
from provision.model import sizing
from provision.model.clients import sqlite_uri
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.plan_words import PlanWords
from provision.model.spec import Spec
from provision.model.status import State
from provision.server.places import Place
from provision.targets import boot, guards, local_data, supervision
from provision.targets import local_settings as settings
from provision.targets.base import (
    DownOptions,
    Holding,
    Progress,
    Snapshot,
    Started,
    Stopped,
    UpOptions,
)
from provision.targets.model_services import ModelServices, server_part
from provision.targets.quiet import stopped
from provision.targets.record import StackRecord

_LOCK_WAIT_SECONDS = 180.0


@dataclass(frozen=True)
class _Plan:
    """Everything that a start needs, worked out before anything is touched."""

    record: StackRecord
    sizing: sizing.Sizing
    binaries: postgres.Binaries | None
    account: postgres.Account


class LocalTarget:
    """One stack on this machine. All state is on disk and in the process table, none in here."""

    def __init__(
        self,
        spec: Spec,
        spec_file: Path,
        layout: Layout,
        host: settings.Host,
        now: Callable[[], str],
    ) -> None:
        self._spec = spec
        self._spec_file = spec_file
        self._layout = layout
        self._host = host
        self._now = now

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Start what is not running, restart what runs with other settings, wait until it serves.

        Raises `MissingError` (port, disk, PostgreSQL), `RefusedError` (does not fit, locked) and
        whatever the server itself reports, each with its next step.
        """
        self._make_root()
        lock = workspace.exclusive(
            self._layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        )
        with lock:
            guards.require_same_place(self._stored(), self._spec, self._layout)
            self._make_folders()
            plan = self._plan(options)
            if self._runs_already(plan.record):
                self._wait(progress)
                self.models().resume(self.models_server())
                return Started(self._endpoint_of(self._stored() or plan.record), changed=False)
            return self._restart(plan, options, progress)

    def plan(self, _options: UpOptions, _progress: Progress) -> PlanWords | None:
        """Nothing is planned here: `UsageError`."""
        raise guards.nothing_to_plan(self._spec)

    def down(self, options: DownOptions, progress: Progress) -> Stopped:
        """Stop every process of the stack, orphans included; the data stays.

        It is archived when nothing can be logged any more.
        """
        stopped = self._stop(progress)
        options.archive()
        return stopped

    def _stop(self, progress: Progress) -> Stopped:
        root = self._layout.root
        if not root.exists():
            return Stopped(0)
        with (
            workspace.exclusive(
                self._layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
            ),
            progress.step("stopping the server"),
        ):
            return Stopped(processes.stop_stack(root, supervision.STOP_PATIENCE_SECONDS))

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` before the first `up`."""
        record = self._stored()
        return None if record is None else self._endpoint_of(record)

    def snapshot(self) -> Snapshot:
        """State, memory, disk and age, read from the process table and the boot report."""
        record = self._stored()
        state, detail = self._state(record)
        usage = processes.usage(self._layout.root)
        return Snapshot(
            state=state,
            detail=detail,
            endpoint=None if record is None else self._endpoint_of(record),
            memory=usage.memory,
            processes=usage.processes,
            uptime=usage.uptime,
            data_bytes=sum(h.bytes for h in self.holdings()),
            free_bytes=workspace.free_bytes(self._layout.root),
            sizing=record.sizing if record else "",
        )

    def logs(self) -> Mapping[str, Path]:
        """The server's log first."""
        names = ("server", "database", "supervisor")
        own = {name: self._layout.logs / f"{name}.log" for name in names}
        return {**own, **self.models().logs()}

    def holdings(self) -> Sequence[Holding]:
        """Database, artifacts, backups and logs with their sizes."""
        candidates = {
            "database": self._layout.data,
            "artifacts": self._layout.artifacts,
            "backups": self._layout.backups,
            "logs": self._layout.logs,
        }
        sizes = {what: workspace.folder_size(p) for what, p in candidates.items() if p.exists()}
        return [Holding(what, size.path, size.files, size.bytes) for what, size in sizes.items()]

    def delete_data(self) -> None:
        """Delete the stack's folder, and the artifacts where they lie elsewhere."""
        workspace.remove_folder(self._layout.artifacts)
        workspace.remove_folder(self._layout.root)

    def models(self) -> ModelServices:
        """The models that run as services beside the server."""
        return ModelServices(self._layout, self._host.python, self._host.environment)

    def models_server(self) -> Mapping[str, Any]:
        """What a model's service takes over from the server; raises `MissingError` without one."""
        record = self._stored()
        if record is None or self._state(record)[0] is not State.RUNNING:
            raise MissingError(
                f"the tracking server of {self._spec.name} does not run, and knows the models",
                next_step="provision up",
            )
        names = settings.allowed_hosts(self._spec, self._host, record.port)
        endpoint = self._endpoint_of(record)
        return server_part(self._layout, endpoint, record.listen, names, self._host.python)

    @contextmanager
    def data(self, progress: Progress, *, create: bool = False) -> Iterator[Place]:
        """Its databases and artifacts; a stopped PostgreSQL runs meanwhile."""
        if create:
            self._make_root()
        guards.require_root(self._layout.root, self._spec.name)
        lock = workspace.exclusive(
            self._layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        )
        with lock:
            if create:
                self._make(progress)
            record = guards.require_record(self._stored(), self._spec.name)
            with local_data.opened(record, self._layout, self._host.environment, progress) as place:
                yield place

    def _make(self, progress: Progress) -> None:
        """Everything that `up` makes before it starts something; a stack that is there stays."""
        guards.require_same_place(self._stored(), self._spec, self._layout)
        self._make_folders()
        if self._stored() is None:
            options = UpOptions()
            self._write(self._prepare_database(self._plan(options), progress), options)

    def quiet(self, progress: Progress) -> AbstractContextManager[None]:
        """Its server is stopped meanwhile: SQLite's clients would wait for minutes."""
        return stopped(self, progress)

    def state_lock(self) -> None:
        """None: Terraform does not work here, and the system frees a killed command's own lock."""

    # -- planning -------------------------------------------------------------------------------

    def remote(self) -> None:
        """None: the server is on this machine."""

    power = remote  # none: `down` and `up` switch it off and on

    def _make_root(self) -> None:
        root = self._layout.root
        workspace.make_folder(root.parent, 0o711, enforce=False)
        workspace.write_ignore_file(root.parent)
        workspace.make_folder(root, self._folder_mode())

    def _folder_mode(self) -> int:
        # PostgreSQL under root runs as another user, who must be able to walk to its folder.
        foreign = self._spec.database.engine == "postgres" and os.geteuid() == 0
        return 0o711 if foreign else 0o700

    def _make_folders(self) -> None:
        layout = self._layout
        workspace.make_folder(layout.data, self._folder_mode())
        private = (layout.artifacts, layout.logs, layout.run, layout.secrets, layout.backups)
        for folder in private:
            workspace.make_folder(folder)

    def _plan(self, options: UpOptions) -> _Plan:
        guards.require_mlflow(self._host.mlflow_version)
        wanted = sizing.size(settings.wishes(self._spec), processes.machine())
        binaries, account = None, postgres.Account()
        if self._spec.database.engine == "postgres":
            binaries = postgres.find_binaries(self._layout.cluster)
            account = postgres.account_for(self._layout.data)
        return _Plan(self._record(options, wanted), wanted, binaries, account)

    def _record(self, options: UpOptions, wanted: sizing.Sizing) -> StackRecord:
        spec, stored = self._spec, self._stored()
        record = StackRecord(
            name=spec.name,
            target=spec.target,
            scenario=spec.scenario,
            spec_file=str(self._spec_file),
            listen=str(spec.access.listen),
            port=settings.port_for(spec, options.port, stored),
            engine=spec.database.engine,
            auth=spec.access.auth,
            artifacts=str(self._layout.artifacts),
            mlflow_version=self._host.mlflow_version,
            python=self._host.python,
            sizing=str(wanted),
            fingerprint="",
            database_port=stored.database_port if stored else 0,
            created_at=(stored.created_at if stored else "") or self._now(),
        )
        return replace(record, fingerprint=settings.fingerprint(record, wanted, spec, self._host))

    def _runs_already(self, record: StackRecord) -> bool:
        stored = self._stored()
        same = stored is not None and stored.fingerprint == record.fingerprint
        healthy = boot.read(self._layout.boot_report).state is not boot.BootState.FAILED
        return same and healthy and processes.supervisor_of(self._layout.root) is not None

    # -- starting -------------------------------------------------------------------------------

    def _restart(self, plan: _Plan, options: UpOptions, progress: Progress) -> Started:
        root = self._layout.root
        if processes.marked(root):
            with progress.step("stopping the server that runs with other settings"):
                processes.stop_stack(root, supervision.STOP_PATIENCE_SECONDS)
        self._require_space()
        self._require_port(plan.record)
        plan = self._prepare_database(plan, progress)
        self._write(plan, options)
        try:
            self._launch(plan)
            self._wait(progress)
            self.models().resume(self.models_server())
        except (KeyboardInterrupt, ProvisionError) as error:
            processes.stop_stack(root, supervision.STOP_PATIENCE_SECONDS)
            if isinstance(error, KeyboardInterrupt):
                raise UserInterruptError(
                    "interrupted; the server was stopped again and nothing was lost",
                    next_step="provision up",
                ) from None
            raise
        return Started(self._endpoint_of(plan.record), changed=True, notes=[str(plan.sizing)])

    def _require_space(self) -> None:
        free, least = workspace.free_bytes(self._layout.root), settings.LEAST_FREE_BYTES
        if free < least:
            raise MissingError(
                f"only {free // sizing.MIB} MiB are free on the disk that holds "
                f"{self._layout.root}; the server needs {least // sizing.MIB} MiB",
                next_step="free space there, or choose another disk with --state-dir DIR; "
                "nothing was lost",
            )

    def _require_port(self, record: StackRecord) -> None:
        holder = processes.holder_of(record.listen, record.port)
        if holder is None:
            return
        who = f"{holder.name} (process {holder.pid})" if holder.pid else holder.name
        free = processes.free_port(record.listen, record.port + 1)
        raise MissingError(
            f"port {record.port} is taken by {who}",
            next_step=f"provision up --port {free}, or stop that process",
        )

    def _prepare_database(self, plan: _Plan, progress: Progress) -> _Plan:
        if plan.binaries is None:
            return plan
        password = workspace.ensure_secret(self._layout.secrets / "database-password")
        workspace.write_text(self._layout.pgpass, postgres.passfile_line(password))
        with progress.step("preparing PostgreSQL"):
            postgres.create_cluster(
                plan.binaries, self._layout.cluster, plan.account, role_password=password
            )
            port = plan.record.database_port
            if not port or not processes.can_listen("127.0.0.1", port):
                port = processes.any_free_port("127.0.0.1")
            postgres.write_server_config(
                self._layout.cluster,
                plan.account,
                port=port,
                max_connections=plan.sizing.max_connections,
            )
        return replace(plan, record=replace(plan.record, database_port=port))

    def _write(self, plan: _Plan, options: UpOptions) -> None:
        """Everything on disk before the first process starts: the intent is never lost."""
        layout = self._layout
        if plan.record.auth == "basic":
            workspace.ensure_secret(layout.admin_password)
            workspace.ensure_secret(layout.session_key)
        workspace.ensure_secret(layout.gateway_passphrase)
        config = supervision.supervisor_config(
            as_root=os.geteuid() == 0,
            database=plan.binaries is not None,
            database_user=plan.account.name,
        )
        workspace.write_text(layout.supervisor_config, config)
        wanted = settings.Wanted(plan.record, plan.sizing, self._spec, self._host, layout)
        server = settings.server_settings(wanted, self._databases(plan, options))
        server.save(layout.settings_file)
        workspace.write_json(layout.record, plan.record.to_json())
        layout.boot_report.unlink(missing_ok=True)

    def _databases(self, plan: _Plan, options: UpOptions) -> settings.Databases:
        layout = self._layout
        if plan.binaries is None:
            return settings.Databases(
                store=sqlite_uri(layout.sqlite_file),
                users=sqlite_uri(layout.auth_sqlite_file),
                pg_dump=None,
                upgrade=options.upgrade_database,
            )
        url = postgres.connection_url(plan.record.database_port, layout.pgpass)
        program = str(plan.binaries.program("pg_dump"))
        return settings.Databases(url, url, program, options.upgrade_database)

    def _launch(self, plan: _Plan) -> None:
        program = plan.binaries.program("postgres") if plan.binaries else None
        environment = {
            **self._host.environment,
            **supervision.program_variables(self._host.python, program),
            # Two arenas instead of eight per core: threads that come and go keep less memory.
            "MALLOC_ARENA_MAX": "2",
            "PYTHONUNBUFFERED": "1",
        }
        layout = self._layout
        processes.start_supervisor(
            layout.root, layout.supervisor_config, layout.logs / "supervisor.log", environment
        )

    def _wait(self, progress: Progress) -> None:
        boot.wait_until_ready(
            self._layout, progress, lambda: processes.supervisor_of(self._layout.root) is not None
        )

    # -- reading --------------------------------------------------------------------------------

    def _stored(self) -> StackRecord | None:
        return StackRecord.from_json(workspace.read_json(self._layout.record))

    def _state(self, record: StackRecord | None) -> tuple[State, str]:
        if record is None:
            return State.NEVER_STARTED, "provision up starts it"
        if processes.supervisor_of(self._layout.root) is None:
            return State.STOPPED, "provision up starts it again; the data is there"
        report = boot.read(self._layout.boot_report)
        return {
            boot.BootState.READY: (State.RUNNING, ""),
            boot.BootState.FAILED: (State.FAILED, report.message),
            boot.BootState.STARTING: (State.STARTING, report.phase),
        }[report.state]

    def _endpoint_of(self, record: StackRecord) -> Endpoint:
        others = settings.aliases(self._spec, self._host, record)
        return settings.endpoint_of(record, self._layout, others)
