"""The door to an MLflow client that this very process already uses; never loads one."""

from __future__ import annotations

import sys


def finish_active_run(uri: str) -> None:
    """End the run that is open against `uri`, if there is one.

    MLflow ends open runs when Python exits (mlflow/tracking/fluent.py, `_safe_end_run`). If the
    server has stopped by then, its client tries for four minutes before it gives up.
    """
    mlflow = sys.modules.get("mlflow")
    if mlflow is None or mlflow.get_tracking_uri() != uri:
        return
    while mlflow.active_run() is not None:
        mlflow.end_run()
