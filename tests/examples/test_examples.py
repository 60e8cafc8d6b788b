"""Every example on every rung: what it leaves in MLflow is what its page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.examples.conftest import Rung

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]

CHURN = ("churn", "src/train.py")
WORSE = ("churn", "src/train.py", "--trees", "5", "--depth", "1")


def runs_of(rung: Rung, experiment: str, order: str = "attributes.start_time ASC") -> list[Any]:
    client = rung.client()
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], order_by=[order]))


@pytest.mark.capability("tracking")
def test_iris_is_tracked(rung: Rung) -> None:
    said = rung.once("iris", "train.py")
    assert "iris-classifier version 1 is champion, accuracy 0.933, loaded 0.933" in said.text
    (run,) = runs_of(rung, "iris")
    assert run.data.params == {"C": "1.0"}
    assert run.data.metrics["accuracy"] == pytest.approx(0.933, abs=0.001)
    assert run.info.status == "FINISHED"


@pytest.mark.capability("registry")
def test_iris_is_registered_with_signature_and_example(rung: Rung) -> None:
    import mlflow

    rung.once("iris", "train.py")
    client = rung.client()
    (version,) = client.search_model_versions("name='iris-classifier'")
    (run,) = runs_of(rung, "iris")
    assert version.run_id == run.info.run_id
    info = mlflow.models.get_model_info("models:/iris-classifier/1")
    assert len(info.signature.inputs.inputs) == 4
    assert info.saved_input_example_info["type"] == "dataframe"


@pytest.mark.capability("aliases")
def test_an_alias_leads_to_the_version(rung: Rung) -> None:
    rung.once("iris", "train.py")
    found = rung.client().get_model_version_by_alias("iris-classifier", "champion")
    # A number where the client opens the database itself, text where a server answers.
    assert str(found.version) == "1"


@pytest.mark.capability("comparing runs")
def test_the_models_of_house_prices_are_compared(rung: Rung) -> None:
    said = rung.once("house_prices", "train.py")
    runs = runs_of(rung, "house-prices", "metrics.rmse ASC")
    names = [run.info.run_name for run in runs]
    assert sorted(names) == ["boosting", "forest", "ridge"]
    assert [run.data.tags.get("best") for run in runs] == ["true", None, None]
    assert said.text.strip().splitlines()[-1] == f"best: {names[0]}"
    assert all({"rmse", "mae", "r2"} == set(run.data.metrics) for run in runs)
    assert runs[0].data.metrics["r2"] > 0.9


@pytest.mark.capability("datasets")
def test_house_prices_names_its_data(rung: Rung) -> None:
    rung.once("house_prices", "train.py")
    for run in runs_of(rung, "house-prices"):
        inputs = run.inputs.dataset_inputs
        contexts = {tag.value for found in inputs for tag in found.tags}
        assert contexts == {"training", "test"}
        assert {found.dataset.name for found in inputs} == {"houses"}
        columns = json.loads(inputs[0].dataset.schema)["mlflow_colspec"]
        assert [column["name"] for column in columns][-1] == "price"


@pytest.mark.capability("artifacts")
def test_churn_keeps_its_pictures(rung: Rung) -> None:
    import mlflow

    rung.once(*CHURN)
    run = runs_of(rung, "churn")[0]
    for picture in ("confusion_matrix.png", "roc.png"):
        path = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/{picture}")
        assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert {"cv_auc", "cv_auc_std", "cv_f1", "auc"} == set(run.data.metrics)


@pytest.mark.capability("promotion gate")
def test_only_a_better_challenger_becomes_champion(rung: Rung) -> None:
    rung.once(*CHURN)
    rung.once("churn", "src/promote.py")
    rung.once(*WORSE)
    refused = rung.run("churn", "src/promote.py")
    assert (refused.code, "stays challenger" in refused.text) == (1, True)
    client = rung.client()
    aliases = {
        name: str(client.get_model_version_by_alias("churn", name).version)
        for name in ("champion", "challenger")
    }
    assert aliases == {"champion": "1", "challenger": "2"}
    assert "promoted_with_auc" in client.get_model_version("churn", "1").tags


@pytest.mark.capability("traces")
def test_asking_the_champion_leaves_a_trace(rung: Rung) -> None:
    rung.once(*CHURN)
    rung.once("churn", "src/promote.py")
    said = rung.once("churn", "src/ask.py")
    answers = [line for line in said.text.splitlines() if "call them" in line or "alone" in line]
    assert len(answers) == 5
    client = rung.client()
    experiment = client.get_experiment_by_name("churn")
    (trace,) = client.search_traces(locations=[experiment.experiment_id])
    assert [span.name for span in trace.data.spans] == ["advise", "predict", "look_up"]


@pytest.mark.capability("autolog")
def test_the_controller_takes_its_five_steps_and_keeps_its_source(rung: Rung) -> None:
    import mlflow

    rung.once("controller", "trainer.py")
    (run,) = runs_of(rung, "wine")
    assert run.data.params["randomforestclassifier__max_depth"] == "4"
    assert run.data.metrics["training_accuracy_score"] > 0.9
    assert any(name.startswith("Pipeline_score") for name in run.data.metrics)
    assert run.data.tags["option.trees"] == "50"
    source = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/source/trainer.py")
    assert source == (ROOT / "examples/controller/trainer.py").read_text(encoding="utf-8")


@pytest.mark.capability("notebook")
def test_the_notebook_runs_from_top_to_bottom(rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name, value in rung.environment().items():
        monkeypatch.setenv(name, value)
    folder = rung.cli.folder / "examples/notebook"
    notebook = nbformat.read(folder / "compare.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    last = notebook.cells[-1].outputs[-1]["text"]
    assert last == "best alpha: 0.01\n"
    assert len(runs_of(rung, "notebook")) == 4
