"""Our way to write metrics against MLflow's: the same calls, then the same rows and answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import select

from provision.server.metric_store import TrackingStore
from tests.server.conftest import Cluster

pytestmark = pytest.mark.slow

Stores = tuple[SqlAlchemyStore, TrackingStore]
COLUMNS = ("key", "value", "timestamp", "step", "is_nan")

values = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.5])
metrics = st.builds(
    Metric,
    st.sampled_from(["loss", "accuracy", "a/b c"]),
    values,
    st.integers(0, 3),
    st.integers(-1, 2),
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Stores]:
    """MLflow's store and ours on one database."""
    folder: Path = tmp_path_factory.mktemp("stores")
    if request.param == "sqlite":
        url = f"sqlite:///{folder}/mlflow.db"
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        cluster.query("CREATE DATABASE metrics_test")
        url = cluster.url("metrics_test")
    theirs = SqlAlchemyStore(url, "mlflow-artifacts:/")
    ours = TrackingStore(url, "mlflow-artifacts:/")
    yield theirs, ours
    for store in (theirs, ours):
        store.engine.dispose()


def new_run(store: SqlAlchemyStore) -> str:
    run = store.create_run("0", "tester", 1, [], "run")
    return str(run.info.run_id)


def rows(store: SqlAlchemyStore, model: Any, run_id: str) -> list[tuple[Any, ...]]:
    with store.ManagedSessionMaker() as session:
        columns = [getattr(model, name) for name in COLUMNS]
        found = session.execute(select(*columns).where(model.run_uuid == run_id)).all()
    return sorted(tuple(row) for row in found)


def outcome(call: Callable[[], object]) -> tuple[str, str] | None:
    try:
        call()
    except MlflowException as error:
        return error.error_code, str(error)
    return None


def log_all(store: SqlAlchemyStore, batches: list[list[Metric]]) -> tuple[Any, ...]:
    run_id = new_run(store)
    said = []
    for batch in batches:
        found = outcome(lambda batch=batch: store.log_batch(run_id, batch, [], []))
        said.append(None if found is None else (found[0], found[1].replace(run_id, "RUN")))
    return said, rows(store, SqlMetric, run_id), rows(store, SqlLatestMetric, run_id)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(metrics, max_size=6), min_size=1, max_size=3))
def test_any_batches_leave_the_same_rows(stores: Stores, batches: list[list[Metric]]) -> None:
    theirs, ours = stores
    assert log_all(ours, batches) == log_all(theirs, batches)


def test_single_metrics_are_the_same(stores: Stores) -> None:
    found = []
    for store in stores:
        run_id = new_run(store)
        for value, step in ((1.0, 0), (math.nan, 1), (math.inf, 1), (-math.inf, 1), (2.0, -5)):
            store.log_metric(run_id, Metric("loss", value, 7, step))
        found.append((rows(store, SqlMetric, run_id), rows(store, SqlLatestMetric, run_id)))
    assert found[0] == found[1]
    assert len(found[0][0]) == 5


@pytest.mark.parametrize(
    "bad",
    [
        Metric("", 1.0, 1, 0),
        Metric("x" * 251, 1.0, 1, 0),
        Metric("../x", 1.0, 1, 0),
        Metric("x", "one", 1, 0),
        Metric("x", 1.0, -1, 0),
        Metric("x", 1.0, 1, "first"),
    ],
    ids=lambda metric: repr(metric.key)[:9],
)
def test_what_mlflow_refuses_is_refused_in_its_words(stores: Stores, bad: Metric) -> None:
    good, said = Metric("good", 1.0, 1, 0), []
    for store in stores:
        run_id = new_run(store)
        batch = outcome(lambda s=store, r=run_id: s.log_batch(r, [good, bad], [], []))
        single = outcome(lambda s=store, r=run_id: s.log_metric(r, bad))
        said.append((batch, single, rows(store, SqlMetric, run_id)))
    assert said[0] == said[1]
    assert said[0][0] is not None


def test_a_deleted_or_unknown_run_is_answered_in_mlflows_words(stores: Stores) -> None:
    metric = Metric("loss", 1.0, 1, 0)
    said = []
    for store in stores:
        run_id = new_run(store)
        store.delete_run(run_id)
        answers = [
            outcome(lambda s=store, r=name: s.log_batch(r, [metric], [], []))
            for name in (run_id, "0" * 32, "not a run id/", "")
        ]
        said.append([(a[0], a[1].replace(run_id, "RUN")) for a in answers if a])
    assert said[0] == said[1]
    assert len(said[0]) == 4


def test_a_batch_over_the_limit_is_refused_alike(stores: Stores) -> None:
    many = [Metric(f"m{number}", 1.0, 1, 0) for number in range(1001)]
    said = [outcome(lambda s=store: s.log_batch(new_run(s), many, [], [])) for store in stores]
    assert said[0] == said[1] is not None


def test_mixed_batches_go_mlflows_way(stores: Stores) -> None:
    found = []
    for store in stores:
        run_id = new_run(store)
        store.log_batch(run_id, [Metric("loss", 1.0, 1, 0)], [Param("p", "1")], [RunTag("t", "v")])
        store.update_run_info(run_id, RunStatus.FINISHED, 5, "run")
        run = store.get_run(run_id)
        found.append((run.data.metrics, run.data.params, run.data.tags["t"], run.info.status))
    assert found[0] == found[1]


def test_many_writers_of_one_run_lose_nothing(stores: Stores) -> None:
    _, ours = stores
    run_id = new_run(ours)
    keys = [f"k{number}" for number in range(20)]

    def write(step: int) -> None:
        order = keys if step % 2 else keys[::-1]
        ours.log_batch(run_id, [Metric(key, float(step), step, step) for key in order], [], [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert len(rows(ours, SqlMetric, run_id)) == 20 * 40
    latest = rows(ours, SqlLatestMetric, run_id)
    assert latest == sorted((key, 39.0, 39, 39, False) for key in keys)
