"""What a user does, through MLflow's own client: `write` things, or `read` them all back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.pyfunc import PythonModel


class Echo(PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


@mlflow.trace
def traced(text: str) -> str:
    return text.upper()


def write() -> None:
    mlflow.set_experiment("from a client")
    with mlflow.start_run() as run:
        mlflow.log_text("the artifact", "folder with space/note.txt")
        info = mlflow.pyfunc.log_model(name="echo", python_model=Echo(), pip_requirements=[])
        mlflow.register_model(info.model_uri, "echo")
    traced("the trace")
    mlflow.flush_trace_async_logging()
    sys.stdout.write(json.dumps({"run": run.info.run_id, "model": info.model_id}))


def read(run: str) -> None:
    client = MlflowClient()
    note = mlflow.artifacts.load_text(
        f"{client.get_run(run).info.artifact_uri}/folder with space/note.txt"
    )
    folder = mlflow.artifacts.download_artifacts("models:/echo/1")
    experiment = client.get_experiment_by_name("from a client")
    assert experiment is not None
    (trace,) = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    found = {
        "note": note,
        "model_files": sorted(path.name for path in Path(folder).iterdir()),
        "trace": trace.data.spans[0].outputs,
        "location": experiment.artifact_location,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    read(sys.argv[2]) if sys.argv[1] == "read" else write()
