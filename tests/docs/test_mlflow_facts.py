"""What docs/mlflow-3.md says of MLflow is so in the MLflow that is installed."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import mlflow
import mlflow.sklearn
import pytest
from mlflow import MlflowClient
from mlflow.projects.backend.local import _env_type_to_env_manager

from tests.checkout import ROOT

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/mlflow-3.md").read_text(encoding="utf-8")


def test_the_old_lists_are_gone_and_the_searches_are_there() -> None:
    for old, new in (
        ("list_experiments", "search_experiments"),
        ("list_run_infos", "search_runs"),
    ):
        assert old in PAGE and new in PAGE
        assert not hasattr(MlflowClient, old)
        assert hasattr(MlflowClient, new)


def test_stages_are_deprecated_and_aliases_are_not() -> None:
    assert "deprecated" in str(MlflowClient.transition_model_version_stage.__doc__)
    assert "deprecated" not in str(MlflowClient.set_registered_model_alias.__doc__)


def test_a_model_has_a_name_instead_of_a_path() -> None:
    parameters = inspect.signature(mlflow.sklearn.log_model).parameters
    assert {"name", "artifact_path"} <= set(parameters)
    assert "Deprecated" in str(mlflow.sklearn.log_model.__doc__).split("artifact_path")[1][:80]


def test_without_a_setting_runs_go_to_a_sqlite_file(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    program = "import json, mlflow; print(json.dumps(mlflow.get_tracking_uri()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=kept, check=True, capture_output=True
    )
    assert json.loads(done.stdout) == f"sqlite:///{tmp_path}/mlflow.db"


def test_trees_are_refused_unless_they_are_trusted(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier().fit([[0], [1]], [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(mlflow.MlflowException, match="skops_trusted_types"):
            mlflow.sklearn.save_model(tree, str(tmp_path / "refused"), pip_requirements=[])
        trusted = ["sklearn.tree._tree.Tree"]
        assert f"skops_trusted_types={json.dumps(trusted)}" in PAGE
        mlflow.sklearn.save_model(
            tree, str(tmp_path / "taken"), pip_requirements=[], skops_trusted_types=trusted
        )


def test_a_conda_file_means_conda_unless_told_otherwise() -> None:
    assert _env_type_to_env_manager("conda_env") == "conda"


def test_evaluate_has_moved() -> None:
    assert callable(mlflow.models.evaluate) and callable(mlflow.genai.evaluate)
