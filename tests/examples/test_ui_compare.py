"""Runs side by side in MLflow's own UI, as the tutorial shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.browser import Browser
from tests.examples.conftest import Rung
from tests.mlflow_servers import mlflow_server

pytestmark = [
    pytest.mark.slow, pytest.mark.xdist_group("examples"),
    pytest.mark.needs("chromium", "chromedriver"),
]  # fmt: skip


@contextlib.contextmanager
def looked_at(rung: Rung) -> Iterator[str]:
    """The UI's address; without a server, MLflow's own is started on the file for the moment."""
    if rung.name != "none":
        yield rung.uri
        return
    with mlflow_server(rung.cli.root() / "data") as uri:
        yield uri


@pytest.mark.capability("comparing in the UI")
def test_three_models_are_compared_by_eye(rung: Rung, browser: Browser) -> None:
    rung.once("house_prices", "train.py")
    client = rung.client()
    experiment = client.get_experiment_by_name("house-prices").experiment_id
    runs = [run.info.run_id for run in client.search_runs([experiment])]
    chosen = ",".join(f"%22{run}%22" for run in runs)
    if rung.uri.startswith("https://"):
        names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        browser.enter(*(rung.variables[name] for name in names))
    with looked_at(rung) as uri:
        browser.open(f"{uri}/#/compare-runs?runs=[{chosen}]&experiments=[%22{experiment}%22]")
        browser.wait_for("Comparing 3 Runs", "ridge", "forest", "boosting", "rmse")
