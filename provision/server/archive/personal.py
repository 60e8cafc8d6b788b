"""One person's own part of a store: what may leave in their hands, and nobody else's rows.

Theirs are the experiments and registered models that their account manages (MLflow grants that to
whoever creates one), with everything in them, and their runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Column, ColumnElement, Connection, Select, Table, false, or_, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from provision.errors import MissingError
from provision.server import locations
from provision.server.archive import stores
from provision.server.archive.artifacts import Artifact, Origin
from provision.server.archive.rewriting import Change
from provision.server.archive.stores import Tables
from provision.server.places import Place
from provision.server.schemas import AUTH, State

Columns = ReadOnlyColumnCollection[str, Column[Any]]

_DEFAULT_EXPERIMENT = 0
_MANAGE = "MANAGE"
# Of an experiment, with a column of that name or by way of one that has it.
_OF_EXPERIMENTS = frozenset(
    {"datasets", "experiment_tags", "issues", "label_schemas", "online_scoring_configs",
     "review_queues", "scorers", "trace_info"}
)  # fmt: skip
_OF_RUNS = frozenset({"latest_metrics", "metrics", "params", "tags"})
_OF_TRACES = {
    "trace_tags": "request_id", "trace_request_metadata": "request_id",
    "trace_metrics": "request_id", "span_metrics": "trace_id", "spans": "trace_id",
    "assessments": "trace_id",
}  # fmt: skip
_OF_OTHERS = {
    "review_queue_items": ("queue_id", "review_queues"),
    "review_queue_label_schemas": ("queue_id", "review_queues"),
    "logged_model_metrics": ("model_id", "logged_models"),
    "logged_model_params": ("model_id", "logged_models"),
    "logged_model_tags": ("model_id", "logged_models"),
    "scorer_versions": ("scorer_id", "scorers"),
}


@dataclass(frozen=True)
class Part:
    """What belongs to one person. Experiments and models are those that the account manages."""

    user: str
    known: Tables
    experiments: tuple[int, ...]
    models: tuple[str, ...]

    # -- the rows -------------------------------------------------------------------------------

    def where(self, table: Table) -> ColumnElement[bool] | None:
        """Which rows of a table are theirs; none of a table that is nobody's in particular."""
        name, c = table.name, table.c
        if name == "workspaces":
            return None
        if name in _OF_EXPERIMENTS:
            own = c.experiment_id.in_(self.experiments)
            return or_(own, c.dataset_uuid.in_(self._datasets())) if name == "datasets" else own
        if name in _OF_RUNS:
            return c.run_uuid.in_(self._runs())
        if name in _OF_TRACES:
            return c[_OF_TRACES[name]].in_(self._traces())
        if name in _OF_OTHERS:
            column, parent = _OF_OTHERS[name]
            other = self.known[parent]
            return c[column].in_(select(other.c[column]).where(self._theirs(other)))
        single = getattr(self, f"_in_{name}", None)
        return single(c) if single else false()

    def _theirs(self, table: Table) -> ColumnElement[bool]:
        found = self.where(table)
        return sqlalchemy.true() if found is None else found

    def _in_experiments(self, c: Columns) -> ColumnElement[bool]:
        elsewhere = select(self.known["runs"].c.experiment_id).where(self._is_own_run())
        whole = [_DEFAULT_EXPERIMENT, *self.experiments]
        return or_(c.experiment_id.in_(whole), c.experiment_id.in_(elsewhere))

    def _in_logged_models(self, c: Columns) -> ColumnElement[bool]:
        return or_(c.experiment_id.in_(self.experiments), c.source_run_id.in_(self._runs()))

    def _in_runs(self, _: Any) -> ColumnElement[bool]:
        return self._is_own_run()

    def _in_inputs(self, c: Columns) -> ColumnElement[bool]:
        return or_(c.destination_id.in_(self._runs()), c.source_id.in_(self._runs()))

    def _in_input_tags(self, c: Columns) -> ColumnElement[bool]:
        inputs = self.known["inputs"]
        return c.input_uuid.in_(select(inputs.c.input_uuid).where(self._in_inputs(inputs.c)))

    def _in_entity_associations(self, c: Columns) -> ColumnElement[bool]:
        ends = (c.source_id, c.destination_id)
        theirs = (self._traces(), self._runs(), self._evaluated())
        return sqlalchemy.and_(*(or_(*(end.in_(ids) for ids in theirs)) for end in ends))

    def _in_registered_models(self, c: Columns) -> ColumnElement[bool]:
        return c.name.in_(self.models)

    _in_registered_model_aliases = _in_registered_models
    _in_registered_model_tags = _in_registered_models
    _in_model_versions = _in_registered_models
    _in_model_version_tags = _in_registered_models

    def _in_evaluation_datasets(self, c: Columns) -> ColumnElement[bool]:
        return c.dataset_id.in_(self._evaluated())

    _in_evaluation_dataset_records = _in_evaluation_datasets
    _in_evaluation_dataset_tags = _in_evaluation_datasets

    def _is_own_run(self) -> ColumnElement[bool]:
        runs, tags = self.known["runs"], self.known["tags"]
        named = select(tags.c.run_uuid).where(
            tags.c.key == "mlflow.user", tags.c.value == self.user
        )
        return or_(
            runs.c.experiment_id.in_(self.experiments),
            runs.c.user_id == self.user,
            runs.c.run_uuid.in_(named),
        )

    def _runs(self) -> Select[Any]:
        return select(self.known["runs"].c.run_uuid).where(self._is_own_run())

    def _traces(self) -> Select[Any]:
        traces = self.known["trace_info"]
        return select(traces.c.request_id).where(traces.c.experiment_id.in_(self.experiments))

    def _datasets(self) -> Select[Any]:
        inputs = self.known["inputs"]
        return select(inputs.c.source_id).where(inputs.c.destination_id.in_(self._runs()))

    def _evaluated(self) -> Select[Any]:
        """Evaluation datasets that are linked with their experiments."""
        links = self.known["entity_associations"]
        ids = [str(number) for number in self.experiments]
        return select(links.c.source_id).where(
            links.c.source_type == "evaluation_dataset", links.c.destination_id.in_(ids)
        )

    # -- the artifacts --------------------------------------------------------------------------

    def folders(self, reading: Connection, served: Callable[[str], str]) -> set[str]:
        """The folders of their artifacts, by the name that they have in a copy."""
        queries = [
            select(table.c[column]).where(self._theirs(table), *self._only_own(table))
            for table, column in self._located()
        ]
        found = (row[0] for query in queries for row in reading.execute(query) if row[0])
        names = (served(location) for location in found)
        return {
            name.removeprefix(locations.SCHEME).strip("/")
            for name in names
            if name.startswith(locations.SCHEME)
        }

    def _located(self) -> Iterator[tuple[Table, str]]:
        yield self.known["experiments"], "artifact_location"
        yield self.known["runs"], "artifact_uri"
        yield self.known["logged_models"], "artifact_location"
        yield self.known["model_versions"], "storage_location"

    def _only_own(self, table: Table) -> list[ColumnElement[bool]]:
        # An experiment of others, in which they have runs, comes without its folder.
        own = table.c.experiment_id.in_(self.experiments) if table.name == "experiments" else None
        return [] if own is None else [own]


def part_of(place: Place, reading: Connection, known: Tables, user: str) -> Part:
    """What belongs to a person; raises `MissingError` where nothing does."""
    granted = _granted(place, user)
    numbers = tuple(int(item) for kind, item in granted if kind == "experiment" and item.isdigit())
    models = tuple(item for kind, item in granted if kind == "registered_model")
    part = Part(user, known, numbers, models)
    runs = known["runs"]
    some = reading.execute(select(runs.c.run_uuid).where(part._is_own_run()).limit(1)).first()
    if not numbers and not models and some is None:
        raise MissingError(
            f"nothing in {place.name} belongs to {user}: no experiment or model that this account "
            "manages, and no run that names this user",
            next_step="provision users list shows the accounts, as they are spelled",
        )
    return part


def _granted(place: Place, user: str) -> list[tuple[str, str]]:
    """Kind and id of all that the account manages by itself (not by a role that it shares)."""
    if place.users_url is None:
        return []
    engine = stores.engine_for(place.users_url)
    if AUTH.state(engine)[0] is State.EMPTY:
        return []
    stores.require_current(engine, AUTH, "the accounts")
    tables = stores.tables_of(engine, AUTH)
    users, roles, grants = tables["users"], tables["roles"], tables["role_permissions"]
    # MLflow keeps an account's own grants in a hidden role (mlflow/server/auth/sqlalchemy_store.py,
    # `_synthetic_user_role_name`).
    with stores.snapshot(engine) as connection:
        number = connection.execute(select(users.c.id).where(users.c.username == user)).scalar()
        query = (
            select(grants.c.resource_type, grants.c.resource_pattern)
            .join(roles, roles.c.id == grants.c.role_id)
            .where(roles.c.name == f"__user_{number}__", grants.c.permission == _MANAGE)
        )
        return [(str(kind), str(item)) for kind, item in connection.execute(query)]


@dataclass(frozen=True)
class Own:
    """Of a store's artifacts those in some folders, by the names that they have in a copy."""

    origin: Origin
    folders: set[str]

    @property
    def at_once(self) -> int:
        """How many are worth copying at the same time."""
        return self.origin.at_once

    def changes(self) -> list[Change]:
        """What makes the store's own locations served ones."""
        return self.origin.changes()

    def all(self, skipped: Callable[[object], None]) -> Iterator[Artifact]:
        """Every artifact in the folders."""
        for item in self.origin.all(skipped):
            parts = item.name.split("/")
            if any("/".join(parts[:end]) in self.folders for end in range(1, len(parts) + 1)):
                yield item
