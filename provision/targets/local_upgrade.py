"""A local server's move to another MLflow: a copy of the data is migrated and takes its place.

The data as it was is not touched and stays beside it until clients were seen to work; going back is
two renames, whatever happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from provision.adapters import packages, postgres, processes, workspace
from provision.errors import MissingError, RefusedError
from provision.model.clients import sqlite_uri
from provision.model.layout import Layout
from provision.server.places import Place
from provision.targets import boot, guards, supervision
from provision.targets.base import Progress
from provision.targets.record import StackRecord

_LOCK_WAIT_SECONDS: Final = 180.0
_SPARE_BYTES: Final = 200 << 20


@dataclass(frozen=True)
class LocalUpgrade:
    """One stack's. `mlflow_version` is what is installed beside us, `environment` the server's."""

    layout: Layout
    mlflow_version: str
    environment: Mapping[str, str]

    @property
    def _folder(self) -> Path:
        return self.layout.root / "upgrade"

    @property
    def _copy(self) -> Path:
        return self._folder / "data"

    @property
    def _before(self) -> Path:
        """The data as it was, from the moment on at which its copy has taken its place."""
        return self.layout.before_upgrade

    @property
    def _kept(self) -> Mapping[Path, Path]:
        """What the old server was started with, and where a copy of it is."""
        layout = self.layout
        files = (layout.record, layout.settings_file, layout.supervisor_config)
        return {path: self._folder / path.name for path in files}

    def versions(self) -> tuple[str, str]:
        """MLflow's version that the stack was started with, and the one that it would get."""
        return self._record(self.layout.record).mlflow_version, self.mlflow_version

    @property
    def under_way(self) -> str:
        """The version from which an upgrade that was cut off had come; empty without one."""
        if not self._before.exists():
            return ""
        return self._record(self._folder / self.layout.record.name).mlflow_version

    @staticmethod
    def _record(path: Path) -> StackRecord:
        stored = StackRecord.from_json(workspace.read_json(path))
        return guards.require_record(stored, path.parent.name)

    # -- forward --------------------------------------------------------------------------------

    @contextmanager
    def copied(self, progress: Progress) -> Iterator[Mapping[str, Any]]:
        """A copy of the databases of a stack that stands still; PostgreSQL runs on it meanwhile."""
        with self._locked(progress):
            if processes.supervisor_of(self.layout.root) is not None:
                raise RefusedError(
                    "the server runs again: somebody started it meanwhile",
                    next_step="provision upgrade once more",
                )
            self._require_space()
            workspace.remove_folder(self._folder)
            mode = self.layout.root.stat().st_mode & 0o777
            workspace.make_folder(self._folder, mode)
            for path, kept in self._kept.items():
                workspace.write_text(kept, workspace.read_text(path))
            with progress.step("copying the database"):
                workspace.copy_folder(self.layout.data, self._copy)
            with self._place() as place:
                yield place.to_json()

    def _require_space(self) -> None:
        needed = workspace.folder_size(self.layout.data).bytes + _SPARE_BYTES
        free = workspace.free_bytes(self.layout.root)
        if free < needed:
            raise MissingError(
                f"a copy of the database takes {needed >> 20} MiB, and {free >> 20} MiB are free "
                f"on the disk that holds {self.layout.root}",
                next_step="free space there, then run this again; nothing was changed",
            )

    @contextmanager
    def _place(self) -> Iterator[Place]:
        record, layout = self._record(self.layout.record), self.layout
        has_auth = record.auth == "basic"
        if record.engine == "sqlite":
            file, users = self._copy / layout.sqlite_file.name, layout.auth_sqlite_file.name
            users_url = sqlite_uri(self._copy / users) if has_auth else None
            yield Place(record.name, sqlite_uri(file), record.artifacts, users_url)
            return
        cluster = self._copy / layout.cluster.name
        url = postgres.connection_url(record.database_port, layout.pgpass)
        with postgres.running(
            postgres.find_binaries(cluster), cluster, postgres.account_for(self._copy),
            log=layout.logs / "database.log",
            environment={**self.environment, processes.MARK: str(layout.root)},
        ):  # fmt: skip
            yield Place(record.name, url, record.artifacts, url if has_auth else None)

    def switch(self, progress: Progress) -> None:
        """Let the migrated copy take the place of the data; goes on where that was cut off."""
        with self._locked(progress):
            if not self._before.exists():
                self.layout.data.rename(self._before)
            if not self.layout.data.exists():
                self._copy.rename(self.layout.data)

    # -- back, or done --------------------------------------------------------------------------

    def back(self, progress: Progress) -> str:
        """Everything as it was before, running if its MLflow is still there; else what to do.

        What the newer server was logged meanwhile stays in `upgrade/failed`.
        """
        with self._locked(progress), progress.step("bringing the database back as it was"):
            processes.stop_stack(self.layout.root, supervision.STOP_PATIENCE_SECONDS)
            failed = self._folder / "failed"
            workspace.remove_folder(failed)
            if self.layout.data.exists():
                self.layout.data.rename(failed)
            self._before.rename(self.layout.data)
            for path, kept in self._kept.items():
                workspace.write_text(path, workspace.read_text(kept))
        return self.start_old(progress)

    def start_old(self, progress: Progress) -> str:
        """Start the server that was there; returns what to do where its MLflow is gone."""
        record = self._record(self.layout.record)
        if not packages.is_in(record.python, "mlflow", record.mlflow_version):
            return (
                f"MLflow {record.mlflow_version} is not installed any more where it was: install "
                "the version of provision that you had, then provision up"
            )
        program = None
        if record.engine == "postgres":
            program = postgres.find_binaries(self.layout.cluster).program("postgres")
        layout = self.layout
        layout.boot_report.unlink(missing_ok=True)
        processes.start_supervisor(
            layout.root, layout.supervisor_config, layout.logs / "supervisor.log",
            {
                **self.environment,
                **supervision.program_variables(record.python, program),
                "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1",
            },
        )  # fmt: skip
        boot.wait_until_ready(
            layout, progress, lambda: processes.supervisor_of(layout.root) is not None
        )
        return ""

    def keep(self, name: str, progress: Progress) -> Path:
        """Put the data as it was among the backups; what else is left of the upgrade goes."""
        place = self.layout.backups / name
        with self._locked(progress):
            workspace.make_folder(self.layout.backups)
            if self._before.exists():
                self._before.rename(place)
            workspace.remove_folder(self._folder)
        return place

    @contextmanager
    def _locked(self, progress: Progress) -> Iterator[None]:
        with workspace.exclusive(
            self.layout.lock, wait_seconds=_LOCK_WAIT_SECONDS, on_wait=progress.note
        ):
            yield
