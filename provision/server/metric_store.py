"""MLflow's tracking store on a database, with a shorter way to write metrics.

Metrics are most of what a training run sends. MLflow's own way makes an object for each of them,
looks up which latest values there are, locks and loads those, compares in Python and writes them
back: five to seven statements and most of a request's time. The same in SQL is one look at the run
and two upserts, whose conditions the database checks by itself; PostgreSQL takes all three at once.

What is stored and what is answered is the same: a test puts both ways side by side. Everything but
metrics, and every metric that belongs to a logged model, goes MLflow's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlflow.entities import LifecycleStage, Metric
from mlflow.server import handlers
from mlflow.store.tracking.dbmodels.models import SqlRun
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_metric,
    _validate_run_id,
)
from sqlalchemy import bindparam, select

_RUNS = SqlRun.__table__.c
_STAGE = select(_RUNS.lifecycle_stage).where(_RUNS.run_uuid == bindparam("run"))
# In the order of the columns below: run, key, timestamp, step, value, whether it is NaN.
Row = tuple[str, str, int, int, float, bool]

_COLUMNS = "run_uuid, key, timestamp, step, value, is_nan"
# A metric that was logged before, with the same value, time and step, is there already.
_NEW_METRICS = f"INSERT INTO metrics ({_COLUMNS}) {{rows}} ON CONFLICT DO NOTHING"
_NEWER_LATEST = (
    f"INSERT INTO latest_metrics AS old ({_COLUMNS}) {{rows}} "
    "ON CONFLICT (key, run_uuid) DO UPDATE SET timestamp = excluded.timestamp, "
    "step = excluded.step, value = excluded.value, is_nan = excluded.is_nan "
    "WHERE (excluded.step, excluded.timestamp, excluded.value) "
    "> (old.step, old.timestamp, old.value)"
)
_ON_SQLITE = [
    text.format(rows="VALUES (?, ?, ?, ?, ?, ?)") for text in (_NEW_METRICS, _NEWER_LATEST)
]
# ruff: noqa: S608 - these statements are made of constants
# All in one round trip. PostgreSQL reads six arrays in a tenth of the time that it needs for
# hundreds of single values.
_ARRAYS = (
    "SELECT row.* FROM run, unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], "
    f"%s::float8[], %s::bool[]) AS row WHERE run.stage = '{LifecycleStage.ACTIVE}'"
)
_ON_POSTGRES = (
    "WITH run AS (SELECT lifecycle_stage AS stage FROM runs WHERE run_uuid = %s), "
    f"new AS ({_NEW_METRICS.format(rows=_ARRAYS)}), "
    f"latest AS ({_NEWER_LATEST.format(rows=_ARRAYS)}) "
    "SELECT stage FROM run"
)


class _Valid(list[Metric]):
    """Metrics that were looked at already."""


class TrackingStore(SqlAlchemyStore):
    """MLflow's store; `log_metric` and `log_batch` write metrics with upserts."""

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Any], tags: Sequence[Any]
    ) -> None:
        """As MLflow's; without its second look at the run where there are only metrics."""
        if params or tags or not metrics or any(metric.model_id for metric in metrics):
            super().log_batch(run_id, metrics, params, tags)
            return
        _validate_run_id(run_id)
        metrics, _, _ = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        self._log_metrics(run_id, _Valid(metrics))

    def _log_metrics_once(self, run_id: str, metrics: Sequence[Metric]) -> None:
        # Called by MLflow's `_log_metrics`, which calls it again after a deadlock.
        if not metrics:
            return
        rows = self._rows(run_id, metrics)
        with self.ManagedSessionMaker(read_only=False) as session:
            if _write(session.connection(), run_id, rows) != LifecycleStage.ACTIVE:
                # MLflow's own words for a run that is not there or deleted.
                self._check_run_is_active(self._get_run(session, run_id))

    def _rows(self, run_id: str, metrics: Sequence[Metric]) -> list[Row]:
        if not isinstance(metrics, _Valid):
            _validate(metrics)
        return [self._row(run_id, metric) for metric in metrics]

    def _row(self, run_id: str, metric: Metric) -> Row:
        is_nan, value = self.sanitize_metric_value(metric.value)
        return run_id, metric.key, metric.timestamp, metric.step, value, is_nan


def latest_of(rows: Iterable[Row]) -> list[Row]:
    """The latest of each key, in the order of the keys: so two writers never lock crosswise."""
    latest: dict[str, Row] = {}
    for row in rows:
        known = latest.get(row[1])
        if known is None or _age(row) > _age(known):
            latest[row[1]] = row
    return [latest[key] for key in sorted(latest)]


def _age(row: Row) -> tuple[int, int, float]:
    """What decides which value is the latest: step, then time, then the value itself."""
    _, _, timestamp, step, value, _ = row
    return step, timestamp, value


def _validate(metrics: Sequence[Metric]) -> None:
    alone = len(metrics) == 1
    for index, metric in enumerate(metrics):
        path = "" if alone else f"metrics[{index}]"
        _validate_metric(metric.key, metric.value, metric.timestamp, metric.step, path=path)


def _write(connection: Any, run_id: str, rows: list[Row]) -> str | None:
    """Write the rows if the run is active; what it is, `None` where there is none."""
    latest = latest_of(rows)
    if connection.dialect.name == "sqlite":
        return _write_to_sqlite(connection, run_id, rows, latest)
    values = (run_id, *_arrays(rows), *_arrays(latest))
    stage: str | None = connection.exec_driver_sql(_ON_POSTGRES, values).scalar()
    return stage


def _write_to_sqlite(
    connection: Any, run_id: str, rows: list[Row], latest: list[Row]
) -> str | None:
    stage: str | None = connection.execute(_STAGE, {"run": run_id}).scalar()
    if stage == LifecycleStage.ACTIVE:
        for statement, values in zip(_ON_SQLITE, (rows, latest), strict=True):
            connection.exec_driver_sql(statement, values)
    return stage


def _arrays(rows: list[Row]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def install() -> None:
    """Make it the server's store, through MLflow's registry of stores; before the first one."""
    for scheme in ("postgresql", "sqlite"):
        handlers._tracking_store_registry.register(scheme, _build)


def _build(store_uri: str, artifact_uri: str) -> TrackingStore:
    return TrackingStore(store_uri, artifact_uri)
