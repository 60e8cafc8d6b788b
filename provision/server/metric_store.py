"""MLflow's tracking store on a database, with a shorter way to write metrics.

Metrics are most of what a training run sends. MLflow's own way makes an object for each of them,
looks up which latest values there are, locks and loads those, compares in Python and writes them
back: five to seven statements and most of a request's time. The same in SQL is one look at the run
and two statements, whose conditions the database checks by itself.

What is stored and what is answered is the same: a test puts both ways side by side. Everything but
metrics, and every metric that belongs to a logged model, goes MLflow's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mlflow.entities import LifecycleStage, Metric
from mlflow.server import handlers
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlRun
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_metric,
    _validate_run_id,
)
from sqlalchemy import select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_AGE = ("step", "timestamp", "value")  # in this order they decide which value is the latest

Row = dict[str, Any]


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
        self._log_metrics(run_id, metrics)

    def _log_metrics_once(self, run_id: str, metrics: Sequence[Metric]) -> None:
        # Called by MLflow's `_log_metrics`, which calls it again after a deadlock.
        rows = self._rows(run_id, metrics)
        with self.ManagedSessionMaker(read_only=False) as session:
            stage: Any = select(SqlRun.lifecycle_stage).where(SqlRun.run_uuid == run_id)
            if session.scalar(stage) != LifecycleStage.ACTIVE:
                # MLflow's own words for a run that is not there or deleted.
                self._check_run_is_active(self._get_run(session, run_id))
            if rows:
                connection = session.connection()
                dialect = connection.dialect.name
                connection.execute(_new_metrics(dialect), rows)
                connection.execute(_newer_latest(dialect), latest_of(rows))

    def _rows(self, run_id: str, metrics: Sequence[Metric]) -> list[Row]:
        alone = len(metrics) == 1
        for index, metric in enumerate(metrics):
            path = "" if alone else f"metrics[{index}]"
            _validate_metric(metric.key, metric.value, metric.timestamp, metric.step, path=path)
        return [self._row(run_id, metric) for metric in metrics]

    def _row(self, run_id: str, metric: Metric) -> Row:
        is_nan, value = self.sanitize_metric_value(metric.value)
        return {
            "run_uuid": run_id, "key": metric.key, "timestamp": metric.timestamp,
            "step": metric.step, "value": value, "is_nan": is_nan,
        }  # fmt: skip


def latest_of(rows: Iterable[Row]) -> list[Row]:
    """The latest of each key, in the order of the keys: so two writers never lock crosswise."""
    latest: dict[str, Row] = {}
    for row in rows:
        known = latest.get(row["key"])
        if known is None or _age(row) > _age(known):
            latest[row["key"]] = row
    return [latest[key] for key in sorted(latest)]


def _age(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _AGE)


@lru_cache
def _new_metrics(dialect: str) -> Any:
    # A metric that was logged before, with the same value, time and step, is there already.
    return _INSERT[dialect](SqlMetric.__table__).on_conflict_do_nothing()


@lru_cache
def _newer_latest(dialect: str) -> Any:
    table = SqlLatestMetric.__table__
    statement = _INSERT[dialect](table)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[table.c.key, table.c.run_uuid],
        set_={name: new[name] for name in (*_AGE, "is_nan")},
        where=tuple_(*(new[name] for name in _AGE)) > tuple_(*(table.c[name] for name in _AGE)),
    )


def install() -> None:
    """Make it the server's store, through MLflow's registry of stores; before the first one."""
    for scheme in _INSERT:
        handlers._tracking_store_registry.register(scheme, _build)


def _build(store_uri: str, artifact_uri: str) -> TrackingStore:
    return TrackingStore(store_uri, artifact_uri)
