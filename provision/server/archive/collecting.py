"""MLflow's trash and artifacts that belong to nothing: found, weighed, and deleted when told to.

As `mlflow gc` does it (mlflow/cli/__init__.py, `_gc_tracking_resources`), with MLflow's own hard
deletes, but for three things: it needs no server to reach the artifacts, it keeps what a registered
model's version lies in, and it finds folders whose run or model is gone.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.server.archive import accounts, stores
from provision.server.archive.artifacts import spread
from provision.server.archive.reporting import Reporter
from provision.server.archive.shelves import Shelf, made_by_mlflow, shelf_of, weight
from provision.server.archive.stores import Tables
from provision.server.archive.troubles import explained
from provision.server.places import Place
from provision.server.schemas import TRACKING


@dataclass
class Heap:
    """Things of one kind that go: their ids, and the folders of their artifacts."""

    what: str
    ids: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def add(self, id_: str, folder: str | None) -> None:
        """One more, with its artifacts if they are in the store's own part."""
        self.ids.append(id_)
        if folder is not None:
            self.folders.append(folder)


@dataclass
class Trash:
    """All that goes, and how many things stay although they were deleted."""

    runs: Heap = field(default_factory=lambda: Heap("deleted runs"))
    models: Heap = field(default_factory=lambda: Heap("deleted models of runs"))
    experiments: Heap = field(default_factory=lambda: Heap("deleted experiments"))
    orphans: Heap = field(default_factory=lambda: Heap("artifact folders of nothing"))
    kept: int = 0

    def heaps(self) -> tuple[Heap, ...]:
        """In the order in which they are deleted."""
        return (self.runs, self.models, self.experiments, self.orphans)

    def to_json(self, shelf: Shelf) -> list[dict[str, Any]]:
        """How many of each kind, and how much their artifacts take; each file counts once."""
        items: list[dict[str, Any]] = []
        counted: set[str] = set()
        for heap in self.heaps():
            files, size = weight(shelf, heap.folders, counted)
            items.append(
                {"what": heap.what, "number": len(heap.ids), "files": files, "bytes": size}
            )
            counted.update(heap.folders)
        return items


def collect(place: Place, reporter: Reporter, job: Mapping[str, Any]) -> dict[str, Any]:
    """Find what was deleted `older_than` seconds ago or earlier; with `delete`, delete it for good.

    A second job for what the first one found gives its `before` back instead.
    """
    with explained(f"looking for what {place.name} does not need"):
        reporter.phase("looking for what is not needed")
        engine = stores.engine_for(place.database_url)
        stores.require_current(engine, TRACKING, place.name)
        before = int(job.get("before") or (time.time() - int(job["older_than"])) * 1000)
        shelf = shelf_of(place)
        trash = _find(place, shelf, before)
        items = trash.to_json(shelf)
        if job["delete"]:
            _delete(place, shelf, trash, reporter)
    return {"items": items, "kept": trash.kept, "before": before, "deleted": bool(job["delete"])}


# -- finding --------------------------------------------------------------------------------------


def _find(place: Place, shelf: Shelf, before: int) -> Trash:
    # The folders first: what appears in the database meanwhile is then known to belong there.
    folders = list(made_by_mlflow(shelf))
    engine = stores.engine_for(place.database_url)
    known = stores.tables_of(engine, TRACKING)
    trash = Trash()
    with stores.snapshot(engine) as reading:
        finder = _Finder(reading, known, shelf, before, _sources(reading, known["model_versions"]))
        finder.fill(trash)
        _orphans(reading, known, folders, trash)
    return trash


def _sources(reading: Connection, versions: Table) -> set[str]:
    """Where the versions of registered models lie, and the runs and models that they name."""
    query = sqlalchemy.select(versions.c.source, versions.c.storage_location, versions.c.run_id)
    return {str(item) for row in reading.execute(query) for item in row if item}


@dataclass
class _Finder:
    """Looks through the tables for what was deleted before a moment (milliseconds)."""

    reading: Connection
    known: Tables
    shelf: Shelf
    before: int
    sources: set[str]

    def fill(self, trash: Trash) -> None:
        """Runs and models first: an experiment goes only with everything that is in it."""
        stays = self._runs(trash) | self._models(trash) | self._living()
        experiments = self.known["experiments"]
        columns = experiments.c.experiment_id, experiments.c.artifact_location
        deleted = self._deleted(experiments, columns, "last_update_time")
        going = {number: location for number, location in deleted if number not in stays}
        trash.kept += len(deleted) - len(going)
        others = self._folders_but(experiments, going)
        for number, location in going.items():
            folder = self._folder(location)
            # Somebody may have given two experiments one folder, or one inside the other's.
            shared = any(f"{other}/".startswith(f"{folder}/") for other in others)
            trash.experiments.add(str(number), None if shared else folder)

    def _folders_but(self, experiments: Table, going: Collection[int]) -> list[str]:
        columns = experiments.c.experiment_id, experiments.c.artifact_location
        rows = self.reading.execute(sqlalchemy.select(*columns))
        found = (self._folder(location) for number, location in rows if number not in going)
        return [folder for folder in found if folder]

    def _runs(self, trash: Trash) -> set[int]:
        runs = self.known["runs"]
        columns = runs.c.run_uuid, runs.c.artifact_uri, runs.c.experiment_id
        stays = set()
        for id_, location, number in self._deleted(runs, columns, "deleted_time"):
            if id_ in self.sources or self._used(location):
                stays.add(number)
                trash.kept += 1
            else:
                trash.runs.add(id_, self._folder(location, above="artifacts"))
        return stays

    def _models(self, trash: Trash) -> set[int]:
        models = self.known["logged_models"]
        columns = models.c.model_id, models.c.artifact_location, models.c.experiment_id
        stays = set()
        for id_, location, number in self._deleted(models, columns, "last_updated_timestamp_ms"):
            if f"models:/{id_}" in self.sources or self._used(location):
                stays.add(number)
                trash.kept += 1
            else:
                trash.models.add(id_, self._folder(location, above="artifacts"))
        return stays

    def _deleted(self, table: Table, columns: Iterable[Any], when: str) -> list[Any]:
        query = sqlalchemy.select(*columns).where(
            table.c.lifecycle_stage == "deleted", table.c[when] <= self.before
        )
        return list(self.reading.execute(query))

    def _living(self) -> set[int]:
        """Experiments with a run that is not for deletion, or a model that somebody registered."""
        runs, models = self.known["runs"], self.known["logged_models"]
        alive = sqlalchemy.or_(
            runs.c.lifecycle_stage != "deleted", runs.c.deleted_time > self.before
        )
        query = sqlalchemy.select(runs.c.experiment_id).distinct().where(alive)
        found = set(self.reading.execute(query).scalars())
        columns = models.c.model_id, models.c.artifact_location, models.c.experiment_id
        for id_, location, number in self.reading.execute(sqlalchemy.select(*columns)):
            if f"models:/{id_}" in self.sources or self._used(location):
                found.add(number)
        return found

    def _used(self, location: str | None) -> bool:
        if not location:
            return False
        return any(
            source == location or source.startswith(location + "/") for source in self.sources
        )

    def _folder(self, location: str | None, above: str = "") -> str | None:
        """The folder behind a location, if it is a real part of the store's own."""
        name = self.shelf.name_of(location or "")
        parent, _, last = (name or "").rpartition("/")
        return parent or None if above and last == above else name


def _orphans(
    reading: Connection, known: Tables, found: Iterable[tuple[str, str, str]], trash: Trash
) -> None:
    columns = {"runs": "run_uuid", "logged_models": "model_id", "trace_info": "request_id"}
    for kind, id_, folder in found:
        table = known[kind]
        query = sqlalchemy.select(sqlalchemy.literal(1)).select_from(table)
        if reading.execute(query.where(table.c[columns[kind]] == id_)).first() is None:
            trash.orphans.add(id_, folder)


# -- deleting -------------------------------------------------------------------------------------


def _delete(place: Place, shelf: Shelf, trash: Trash, reporter: Reporter) -> None:
    # Rows before files, as a row whose files are gone is worse than files whose row is gone: the
    # next time finds those as folders of nothing.
    root = place.artifacts if place.in_bucket else Path(place.artifacts).as_uri()
    store = import_module("mlflow.store.tracking.sqlalchemy_store").SqlAlchemyStore(
        place.database_url, root
    )
    steps = (
        (trash.runs, store._hard_delete_run),
        (trash.models, store._hard_delete_logged_model),
        (trash.experiments, store._hard_delete_experiment),
        (trash.orphans, lambda _: None),
    )
    # Before their numbers are free.
    accounts.forget_experiments(place, trash.experiments.ids)
    reporter.phase("deleting", sum(len(heap.ids) for heap, _ in steps), "items")
    for heap, delete in steps:
        for id_ in heap.ids:
            delete(id_)
            reporter.advance(1)
        for _ in spread(shelf.remove, heap.folders, shelf.at_once):
            pass
