"""The Compose rung: the same server in containers, with PostgreSQL, an object store and HTTPS.

What runs is what lies in the stack's folder `compose`, which can be read, kept and run by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from provision.adapters import processes, workspace
from provision.adapters.containers import Container, Project, open_project
from provision.errors import MissingError, ProvisionError, UserInterruptError
from provision.model import compose, sizing
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.plan_words import PlanWords
from provision.model.spec import Spec
from provision.model.status import State
from provision.server.places import Place
from provision.targets import compose_data, compose_folder, guards
from provision.targets import local_settings as settings
from provision.targets.base import (
    DownOptions,
    Holding,
    Progress,
    Rendered,
    Snapshot,
    Started,
    Stopped,
    UpOptions,
)
from provision.targets.quiet import stopped
from provision.targets.record import StackRecord

_LOCK_WAIT_SECONDS: Final = 180.0


class ComposeTarget:
    """One stack in containers on this machine. Its state is on disk and with the engine."""

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

    def render(self, options: UpOptions, progress: Progress) -> Rendered:
        """Write the folder and run nothing."""
        with self._locked(progress):
            self._write(options)
        place = compose_folder.folder(self._layout)
        files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
        command = f"docker compose --project-directory {place} up --build --wait"
        return Rendered(self._spec.name, place, files, command)

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Write the folder, build what is new, and start it until every health check is content.

        Raises `MissingError` without an engine (the folder is there then), and what keeps a
        container from working with its last lines.
        """
        with self._locked(progress):
            before = self._stored()
            record, chosen = self._write(options)
            project = self._project()
            if before == record and self._works(project):
                return Started(self._endpoint_of(record), changed=False)
            self._start(project, record, options, progress)
            workspace.write_json(self._layout.record, record.to_json())
            return Started(self._endpoint_of(record), changed=True, notes=[str(chosen)])

    def plan(self, _options: UpOptions, _progress: Progress) -> PlanWords | None:
        """Nothing is planned here: `UsageError`."""
        raise guards.nothing_to_plan(self._spec)

    def down(self, options: DownOptions, progress: Progress) -> Stopped:
        """Remove the containers; the volumes, which hold the data, stay."""
        stopped = self._removed(progress)
        options.archive()
        return stopped

    def _removed(self, progress: Progress) -> Stopped:
        if self._stored() is None:
            return Stopped(0)
        with self._locked(progress), progress.step("stopping the containers"):
            project = self._project()
            running = [c for c in project.containers() if c.state == "running"]
            project.remove()
            return Stopped(len(running))

    def endpoint(self) -> Endpoint | None:
        """How clients get in; `None` before the first `up`."""
        record = self._stored()
        return None if record is None else self._endpoint_of(record)

    def snapshot(self) -> Snapshot:
        """State and health as the engine has them."""
        record = self._stored()
        state, detail, containers = self._state(record)
        return Snapshot(
            state=state,
            detail=detail,
            endpoint=None if record is None else self._endpoint_of(record),
            memory=0,
            processes=0,
            uptime=0.0,
            data_bytes=0,
            free_bytes=0,
            sizing=record.sizing if record else "",
            place=f"{len(containers)} containers of {compose_folder.project(self._layout)}"
            if containers
            else "",
        )

    def logs(self) -> Mapping[str, Path]:
        """None are files: the engine keeps them (`log_source`)."""
        return {}

    def log_source(self) -> ComposeLogs:
        """The logs of the containers."""
        guards.require_record(self._stored(), self._spec.name)
        return ComposeLogs(self._project())

    def holdings(self) -> Sequence[Holding]:
        """The volumes; the engine does not tell their size."""
        if self._stored() is None:
            return []
        prefix = f"{compose_folder.project(self._layout)}_"
        return [
            Holding(f"volume {prefix}{name} ({what})", self._layout.root, 0, 0)
            for name, what in compose.VOLUMES.items()
        ]

    def delete_data(self) -> None:
        """Delete the volumes, the images that were built, and the stack's folder."""
        if self._stored() is not None:
            self._project().remove(volumes=True)
        workspace.remove_folder(self._layout.root)

    @contextmanager
    def data(self, progress: Progress, *, create: bool = False) -> Iterator[Place]:
        """Its database and its object store, on ports of this machine; they run meanwhile."""
        if not create:
            guards.require_root(self._layout.root, self._spec.name)
        with self._locked(progress):
            if create and self._stored() is None:
                record, _ = self._write(UpOptions())
                workspace.write_json(self._layout.record, record.to_json())
            record = guards.require_record(self._stored(), self._spec.name)
            with compose_data.opened(record, self._layout, self._project(), progress) as place:
                yield place

    def quiet(self, progress: Progress) -> AbstractContextManager[None]:
        """Its server is stopped meanwhile."""
        return stopped(self, progress)

    def state_lock(self) -> None:
        """None: Terraform does not work here."""

    def power(self) -> None:
        """None: `down` and `up` do it here."""

    def remote(self) -> None:
        """None: the containers are on this machine."""

    # -- starting -------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, progress: Progress) -> Iterator[None]:
        root = self._layout.root
        workspace.make_folder(root.parent, 0o711, enforce=False)
        workspace.write_ignore_file(root.parent)
        workspace.make_folder(root)
        with workspace.exclusive(
            self._layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            yield

    def _write(self, options: UpOptions) -> tuple[StackRecord, sizing.Sizing]:
        """Everything on disk; the record says what of it is run."""
        guards.require_mlflow(self._host.mlflow_version)
        guards.require_same_place(self._stored(), self._spec, self._layout)
        chosen = sizing.size(settings.wishes(self._spec), processes.machine())
        record = self._record(options, chosen)
        wanted = compose_folder.Wanted(
            record, chosen, self._spec, self._host, options.upgrade_database
        )
        digest = compose_folder.write(wanted, self._layout)
        return replace(record, fingerprint=digest), chosen

    def _record(self, options: UpOptions, chosen: sizing.Sizing) -> StackRecord:
        spec, stored = self._spec, self._stored()
        return StackRecord(
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
            sizing=str(chosen),
            fingerprint="",
            created_at=(stored.created_at if stored else "") or self._now(),
        )

    def _project(self) -> Project:
        return open_project(compose_folder.folder(self._layout), self._host.environment)

    def _works(self, project: Project) -> bool:
        found = {c.service: c.works for c in project.containers()}
        return all(found.get(service, False) for service in compose.SERVICES)

    def _start(
        self, project: Project, record: StackRecord, options: UpOptions, progress: Progress
    ) -> None:
        running = {c.service for c in project.containers() if c.state == "running"}
        if "proxy" not in running:
            self._require_port(record)
        try:
            with progress.step("building the images (a few minutes the first time)"):
                project.build()
            if options.upgrade_database and "database" in running:
                with progress.step("backing the database up"):
                    project.once("backup", "backup.sh", "now")
            with progress.step("starting the containers, until each health check is content"):
                project.start()
            self._keep_authority(project)
        except KeyboardInterrupt:
            raise UserInterruptError(
                "interrupted; containers that started go on, and nothing was lost",
                next_step="provision up goes on, provision down stops them",
            ) from None
        except ProvisionError as error:
            raise _explained(error, project) from error

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

    def _keep_authority(self, project: Project) -> None:
        text = project.read("proxy", compose.CA_FILE)
        workspace.write_text(compose_folder.ca_file(self._layout), text, mode=0o644)

    # -- reading --------------------------------------------------------------------------------

    def _stored(self) -> StackRecord | None:
        return StackRecord.from_json(workspace.read_json(self._layout.record))

    def _state(self, record: StackRecord | None) -> tuple[State, str, list[Container]]:
        if record is None:
            return State.NEVER_STARTED, "provision up starts it", []
        try:
            found = self._project().containers()
        except ProvisionError as error:
            return State.UNKNOWN, error.message, []
        state, detail = judged(found)
        return state, detail, found

    def _endpoint_of(self, record: StackRecord) -> Endpoint:
        plain = settings.aliases(self._spec, self._host, record)
        others = tuple(uri.replace("http://", "https://", 1) for uri in plain)
        endpoint = settings.endpoint_of(record, self._layout, others)
        return replace(endpoint, ca_file=compose_folder.ca_file(self._layout))


class ComposeLogs:
    """What the containers have written, by the names of their services."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def log_names(self) -> Sequence[str]:
        """The server's first."""
        return compose.SERVICES

    def log(self, name: str, lines: int) -> list[str]:
        """The last lines of one."""
        return self._project.logs(name, lines)


def judged(containers: Sequence[Container]) -> tuple[State, str]:
    """What the containers of a stack amount to."""
    if not any(c.state == "running" for c in containers):
        return State.STOPPED, "provision up starts it again; the data is there"
    found = {c.service: c for c in containers}
    missing = [name for name in compose.SERVICES if name not in found]
    broken = [
        f"{name} is {found[name].health or found[name].state}"
        for name in compose.SERVICES
        if name in found and not found[name].works
    ]
    problems = [*broken, *(f"{name} is not there" for name in missing)]
    if not problems:
        return State.RUNNING, ""
    starting = all(c.works or c.health == "starting" for c in containers) and not missing
    return (State.STARTING if starting else State.FAILED), "; ".join(problems)


def _explained(error: ProvisionError, project: Project) -> ProvisionError:
    """With the last lines of the container that keeps the stack from working."""
    if isinstance(error, MissingError):
        return error
    try:
        bad = next(
            c
            for name in ("database", "store", "server", "proxy", "backup")
            for c in project.containers()
            if c.service == name and not c.works and c.state != "created"
        )
        lines = project.logs(bad.service, 6)
    except (StopIteration, ProvisionError):
        return error
    said = "\n  ".join(lines)
    return ProvisionError(
        f"the container of {bad.service} is {bad.health or bad.state}; its last lines:\n  {said}",
        next_step=f"provision logs {bad.service} shows more; provision up tries again",
    )
