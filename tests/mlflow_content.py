"""A store full of what is easily lost, and everything that MLflow's own client says about a store.

Both run in a process of their own: `python mlflow_content.py fill|dump URI`.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Cli

EVERY = 3  # mlflow.entities.ViewType.ALL


def fill(cli: Cli, uri: str, **environment: str) -> None:
    """Log into a store what an archive has to bring back."""
    _run(cli, "fill", uri, environment)


def dump(cli: Cli, uri: str, **environment: str) -> Any:
    """Everything that a client sees in a store."""
    return json.loads(_run(cli, "dump", uri, environment))


def _run(cli: Cli, action: str, uri: str, environment: dict[str, str]) -> str:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.mlflow_content", action, uri],
        cwd=cli.folder.parent,
        env={**cli.env(), "PYTHONPATH": str(root), "MLFLOW_DISABLE_TELEMETRY": "true"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


# -- in the process of its own --------------------------------------------------------------------


def _fill(uri: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    _runs(mlflow, client)
    _models(mlflow, client)
    _traces(mlflow)


def _runs(mlflow: Any, client: Any) -> None:
    from mlflow.data import http_dataset_source, meta_dataset

    mlflow.set_experiment("naïve — 実験 'q\" %20#?")
    with mlflow.start_run(run_name="väter") as parent:
        mlflow.log_params({"tiefe": "3", "é" * 200: "ü" * 5000})
        mlflow.set_tags({"emoji": "🦆", "quote": 'it\'s "q" \\ \n line'})
        for step in range(20):
            mlflow.log_metric("auc", step / 7, step=step)
        for name, value in (("nan", math.nan), ("inf", math.inf), ("minus", -math.inf)):
            mlflow.log_metric(name, value)
            mlflow.log_metric(name, 1.5, step=1)
        mlflow.log_text("naïve", "deep/folder/nöte 1.txt")
        mlflow.log_text("", "empty.txt")
        source = http_dataset_source.HTTPDatasetSource("https://data.example/churn.csv")
        mlflow.log_input(meta_dataset.MetaDataset(source, name="churn"), context="training")
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 0.1)
    running = client.create_run(parent.info.experiment_id, run_name="in progress")
    client.log_metric(running.info.run_id, "loss", 0.5)
    gone = client.create_run(parent.info.experiment_id, run_name="deleted")
    client.log_text(gone.info.run_id, "still there", "kept.txt")
    client.delete_run(gone.info.run_id)
    dead = client.create_experiment("deleted experiment", tags={"why": "tried"})
    client.create_run(dead)
    client.delete_experiment(dead)


def _models(mlflow: Any, client: Any) -> None:
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "model/weights.bin")
        model = mlflow.initialize_logged_model("classifier", params={"depth": "3"})
        mlflow.log_metric("auc", 0.9, model_id=model.model_id)
    mlflow.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("Modèle", tags={"owner": "ana"}, description="dé")
    for number in range(2):
        client.create_model_version(
            "Modèle", f"{run.info.artifact_uri}/model", run.info.run_id, tags={"n": str(number)}
        )
    client.set_registered_model_alias("Modèle", "champion", "2")
    client.delete_model_version("Modèle", "1")
    mlflow.genai.register_prompt("greeting", "Hello {{name}}, ça va?", tags={"language": "fr"})
    mlflow.genai.register_prompt("greeting", "Salut {{name}}")


def _traces(mlflow: Any) -> None:
    mlflow.set_experiment("traces")
    with mlflow.start_span("outer") as outer:
        outer.set_inputs({"question": "où?"})
        with mlflow.start_span("inner", span_type="TOOL") as inner:
            inner.set_attribute("k", 1.5)
        outer.set_outputs({"answer": "là"})
    mlflow.flush_trace_async_logging()
    mlflow.log_feedback(trace_id=outer.trace_id, name="good", value=True, rationale="bien sûr")
    mlflow.set_trace_tag(outer.trace_id, "stage", "prüfung")


def _dump(uri: str) -> Any:
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    every = _all(client.search_experiments, view_type=EVERY)
    # `provision up` tries the server out, and leaves what it made in MLflow's trash.
    own = [e for e in every if not e.name.startswith("provision-check-")]
    experiments = sorted(own, key=lambda e: e.experiment_id)
    return {
        "experiments": [dict(experiment) | {"tags": experiment.tags} for experiment in experiments],
        "runs": [_run_of(client, run) for e in experiments for run in _runs_of(client, e)],
        "models": [_plain(model) for e in experiments for model in _logged(client, e)],
        "registry": sorted(
            (_registered(client, model) for model in _all(client.search_registered_models)),
            key=str,
        ),
        "prompts": sorted(str(prompt) for prompt in _prompts(mlflow)),
        "traces": [trace.to_dict() for e in experiments for trace in _traces_of(client, e)],
    }


def _all(search: Any, **words: Any) -> list[Any]:
    found, token = [], None
    while True:
        page = search(page_token=token, **words)
        found += page
        token = page.token
        if not token:
            return found


def _runs_of(client: Any, experiment: Any) -> list[Any]:
    found = _all(client.search_runs, experiment_ids=[experiment.experiment_id], run_view_type=EVERY)
    return sorted(found, key=lambda run: run.info.run_id)


def _run_of(client: Any, run: Any) -> Any:
    id_ = run.info.run_id
    histories = {
        key: [(m.value, m.timestamp, m.step) for m in client.get_metric_history(id_, key)]
        for key in sorted(run.data.metrics)
    }
    return {
        "info": dict(run.info),
        "metrics": {key: repr(value) for key, value in run.data.metrics.items()},
        "histories": repr({key: sorted(points, key=repr) for key, points in histories.items()}),
        "params": run.data.params,
        "tags": run.data.tags,
        "inputs": run.inputs.to_dictionary(),
        "artifacts": _artifacts(client, id_, ""),
    }


def _artifacts(client: Any, run: str, folder: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in client.list_artifacts(run, folder or None):
        if item.is_dir:
            found |= _artifacts(client, run, item.path)
        else:
            content = Path(client.download_artifacts(run, item.path)).read_bytes()
            found[item.path] = hashlib.sha256(content).hexdigest()
    return found


def _logged(client: Any, experiment: Any) -> list[Any]:
    found = client.search_logged_models([experiment.experiment_id])
    return sorted(found, key=lambda model: model.model_id)


def _registered(client: Any, model: Any) -> Any:
    versions = client.search_model_versions(f"name = '{model.name}'")
    return {
        "model": _plain(client.get_registered_model(model.name)),
        "versions": sorted(str(_plain(version)) for version in versions),
    }


def _prompts(mlflow: Any) -> list[Any]:
    return [
        (prompt.name, mlflow.genai.load_prompt(f"prompts:/{prompt.name}/{version}").template)
        for prompt in mlflow.genai.search_prompts()
        for version in (1, 2)
    ]


def _traces_of(client: Any, experiment: Any) -> list[Any]:
    return list(client.search_traces(locations=[experiment.experiment_id]))


def _plain(entity: Any) -> Any:
    return {key: repr(value) for key, value in vars(entity).items()}


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        _fill(sys.argv[2])
    else:
        print(json.dumps(_dump(sys.argv[2]), default=repr, sort_keys=True))  # noqa: T201
