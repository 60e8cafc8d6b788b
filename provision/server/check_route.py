"""`DELETE /provision/check/<id>`: takes out of MLflow's trash what `provision check` put there.

MLflow's own API deletes experiments and runs into a trash that only `mlflow gc` empties. Every
check would leave one of each behind for good.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

PATH = "/provision/check/<int:experiment_id>"

_NAME = "provision-check-"


def add(app: Flask, *, auth: bool) -> None:
    """Add the route to MLflow's Flask application; before the first request."""

    def forget(experiment_id: int) -> tuple[dict[str, Any], int]:
        return _forget(str(experiment_id), auth=auth)

    app.add_url_rule(PATH, "provision_check", forget, methods=["DELETE"])


def _forget(experiment_id: str, *, auth: bool) -> tuple[dict[str, Any], int]:
    """Delete one experiment for good: only a check's own, and only one that is in the trash.

    Its name says whose it is; the name of a living one is not looked at, and nothing that a person
    made is in reach.
    """
    from mlflow.entities import ViewType  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    store = import_module("mlflow.server.handlers")._get_tracking_store()
    try:
        experiment = store.get_experiment(experiment_id)
    except MlflowException:
        return {"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404
    if experiment.lifecycle_stage != "deleted" or not experiment.name.startswith(_NAME):
        return {"error_code": "PERMISSION_DENIED"}, 403
    runs = store.search_runs([experiment_id], "", ViewType.ALL)
    for run in runs:
        store._hard_delete_run(run.info.run_id)
    if auth:
        # SQLite gives the number to the next experiment, which is somebody else's.
        import_module("mlflow.server.auth").store.delete_grants_for_resource(
            "experiment", experiment_id
        )
    store._hard_delete_experiment(experiment_id)
    return {"deleted": len(runs) + 1}, 200
