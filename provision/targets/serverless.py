"""Rung 1: one person, no server. Clients open a SQLite file and an artifact folder themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from provision.adapters import processes, workspace
from provision.model.clients import sqlite_uri
from provision.model.endpoint import Endpoint
from provision.model.layout import Layout
from provision.model.plan_words import PlanWords
from provision.model.spec import Spec
from provision.model.status import State
from provision.server import locations
from provision.server.places import Place
from provision.targets import guards, supervision
from provision.targets.base import (
    DownOptions,
    Holding,
    Progress,
    Snapshot,
    Started,
    Stopped,
    UpOptions,
)
from provision.targets.quiet import stopped
from provision.targets.record import StackRecord

_LOCK_WAIT_SECONDS = 180.0


class ServerlessTarget:
    """A store on disk in the same layout as the local server's, so that a later `up` serves it."""

    def __init__(
        self,
        spec: Spec,
        spec_file: Path,
        layout: Layout,
        mlflow_version: str,
        now: Callable[[], str],
    ) -> None:
        self._spec = spec
        self._spec_file = spec_file
        self._layout = layout
        self._mlflow_version = mlflow_version
        self._now = now

    def up(self, options: UpOptions, progress: Progress) -> Started:
        """Make the folders; stop a server that ran here before and give its artifacts back."""
        layout = self._layout
        workspace.make_folder(layout.root.parent, 0o711, enforce=False)
        workspace.write_ignore_file(layout.root.parent)
        workspace.make_folder(layout.root)
        if options.port is not None:
            progress.note("--port has no effect: there is no server on this rung")
        with workspace.exclusive(
            layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            stored = StackRecord.from_json(workspace.read_json(layout.record))
            guards.require_same_place(stored, self._spec, layout)
            for folder in (layout.data, layout.artifacts):
                workspace.make_folder(folder)
            stopped = self._stop(progress)
            changed = stored is None or self._localise() > 0
            workspace.write_json(layout.record, self._record().to_json())
        notes = ["the server that ran here was stopped"] if stopped else []
        return Started(self._endpoint(), changed=bool(stopped) or changed, notes=notes)

    def plan(self, _options: UpOptions, _progress: Progress) -> PlanWords | None:
        """Nothing is planned here: `UsageError`."""
        raise guards.nothing_to_plan(self._spec)

    def down(self, options: DownOptions, progress: Progress) -> Stopped:
        """Nothing runs on this rung; a server that ran here before is stopped."""
        stopped = Stopped(self._stop(progress))
        options.archive()
        return stopped

    def _stop(self, progress: Progress) -> int:
        root = self._layout.root
        if not processes.marked(root):
            return 0
        with progress.step("stopping the server that ran here before"):
            return processes.stop_stack(root, supervision.STOP_PATIENCE_SECONDS)

    def endpoint(self) -> Endpoint | None:
        """Always there: the first client creates the file."""
        return self._endpoint()

    def snapshot(self) -> Snapshot:
        """Sizes of what is on disk."""
        exists = self._layout.sqlite_file.exists()
        return Snapshot(
            state=State.STOPPED if exists else State.NEVER_STARTED,
            detail="no server on this rung: clients open the store themselves",
            endpoint=self._endpoint(),
            memory=0,
            processes=0,
            uptime=0.0,
            data_bytes=sum(h.bytes for h in self.holdings()),
            free_bytes=workspace.free_bytes(self._layout.root),
            sizing="",
        )

    def logs(self) -> Mapping[str, Path]:
        """There are none without a server."""
        return {}

    def holdings(self) -> Sequence[Holding]:
        """The store and the artifacts with their sizes."""
        candidates = {"database": self._layout.data, "artifacts": self._layout.artifacts}
        sizes = {what: workspace.folder_size(p) for what, p in candidates.items() if p.exists()}
        return [Holding(what, size.path, size.files, size.bytes) for what, size in sizes.items()]

    def delete_data(self) -> None:
        """Delete the store and the artifacts."""
        workspace.remove_folder(self._layout.artifacts)
        workspace.remove_folder(self._layout.root)

    @contextmanager
    def data(self, progress: Progress, *, create: bool = False) -> Iterator[Place]:
        """Its SQLite file and its artifacts, which no server has to serve."""
        layout = self._layout
        if create:
            self.up(UpOptions(), progress)
        guards.require_root(layout.root, self._spec.name)
        with workspace.exclusive(
            layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            yield Place(
                name=self._spec.name,
                database_url=sqlite_uri(layout.sqlite_file),
                artifacts=str(layout.artifacts),
                served=False,
                own_files=True,
            )

    def quiet(self, progress: Progress) -> AbstractContextManager[None]:
        """No server changes anything here."""
        return stopped(self, progress)

    def state_lock(self) -> None:
        """None: Terraform does not work here, and the system frees a killed command's own lock."""

    def remote(self) -> None:
        """None: the server is on this machine."""

    def power(self) -> None:
        """None: `down` and `up` do it here."""

    def _localise(self) -> int:
        if not self._layout.sqlite_file.exists():
            return 0
        with closing(sqlite3.connect(self._layout.sqlite_file, isolation_level=None)) as connection:
            return locations.to_local(connection, self._layout.artifacts)

    def _endpoint(self) -> Endpoint:
        return Endpoint(
            name=self._spec.name,
            uri=sqlite_uri(self._layout.sqlite_file),
            mlflow_version=self._mlflow_version,
            artifact_root=self._layout.artifacts,
        )

    def _record(self) -> StackRecord:
        stored = StackRecord.from_json(workspace.read_json(self._layout.record))
        return StackRecord(
            name=self._spec.name,
            target=self._spec.target,
            scenario=self._spec.scenario,
            spec_file=str(self._spec_file),
            listen="",
            port=stored.port if stored else self._spec.server.port,
            engine="sqlite",
            auth="none",
            artifacts=str(self._layout.artifacts),
            mlflow_version=self._mlflow_version,
            sizing="",
            fingerprint="",
            created_at=(stored.created_at if stored else "") or self._now(),
        )
