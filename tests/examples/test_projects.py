"""The examples as MLflow Projects, and their models as images, as far as no engine is needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT
from tests.examples.conftest import Rung
from tests.needs import which

PROJECTS = sorted(path.parent for path in (ROOT / "examples").glob("*/MLproject"))
# The user's own: where uv finds its index and what it fetched before.
KEPT = {name: os.environ[name] for name in os.environ if name.startswith(("UV_", "PIP_", "SSL_"))}


def name_of(path: Path) -> str:
    return path.name


def locked() -> dict[str, str]:
    text = (ROOT / "requirements/runtime.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE))


def test_every_example_but_the_notebook_is_a_project() -> None:
    assert [p.name for p in PROJECTS] == ["churn", "controller", "house_prices", "iris"]


@pytest.mark.parametrize("project", PROJECTS, ids=name_of)
def test_mlflow_reads_the_project_and_its_conda_file(project: Path) -> None:
    """Conda itself is not run: it reads `conda.yaml`, which must say what conda understands."""
    from mlflow.projects._project_spec import load_project
    from mlflow.utils.environment import _PythonEnv

    read = load_project(str(project))
    assert read.env_type == "conda_env"
    conda = yaml.safe_load((project / "conda.yaml").read_text(encoding="utf-8"))
    assert conda.keys() == {"name", "channels", "dependencies"}
    *plain, last = conda["dependencies"]
    assert plain == ["python=3.11", "pip"]
    assert last == {"pip": ["-r requirements.txt"]}
    assert _PythonEnv.from_conda_yaml(read.env_config_path).python.startswith("3.11")


@pytest.mark.parametrize("project", PROJECTS, ids=name_of)
def test_a_project_wants_the_versions_of_the_lock_and_what_it_imports(project: Path) -> None:
    wanted = dict(
        line.split("==") for line in (project / "requirements.txt").read_text().splitlines()
    )
    assert wanted == {name: locked()[name] for name in wanted}
    sources = "\n".join(path.read_text() for path in project.rglob("*.py"))
    imported = set(re.findall(r"^(?:import|from) (\w+)", sources, re.MULTILINE))
    named = {name.replace("scikit-learn", "sklearn") for name in wanted}
    own = {path.stem for path in project.rglob("*.py")}
    assert imported - sys.stdlib_module_names - own - {"numpy"} <= named


@pytest.mark.parametrize("project", PROJECTS, ids=name_of)
def test_every_entry_point_starts_a_program_with_its_parameters(project: Path) -> None:
    content = yaml.safe_load((project / "MLproject").read_text(encoding="utf-8"))
    for entry in content["entry_points"].values():
        program, script, *_ = entry["command"].split()
        assert program == "python"
        assert (project / script).is_file()
        placeholders = set(re.findall(r"\{(\w+)\}", entry["command"]))
        assert placeholders == set(entry.get("parameters", {}))


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where MLflow makes a project's environment: once, then it is taken again."""
    return tmp_path_factory.mktemp("environments")


@pytest.mark.slow
@pytest.mark.xdist_group("examples")
@pytest.mark.needs("uv")
@pytest.mark.capability("Projects, virtual environment")
def test_a_project_runs_in_an_environment_of_its_own(rung: Rung, environments: Path) -> None:
    uv = Path(str(which("uv")))
    own = {
        **rung.environment(), **KEPT, "HOME": os.environ["HOME"],
        "MLFLOW_ENV_ROOT": str(environments),
        "PATH": f"{uv.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    project = str(rung.cli.folder / "examples/iris")
    argv = ["-m", "mlflow", "run", project, "--experiment-name", "projects", "--env-manager", "uv"]
    script = Path(project, "train.py")
    script.write_text(script.read_text().replace('"iris")', '"projects")'))
    script.write_text(script.read_text().replace("iris-classifier", "from-a-project"))
    said = rung.forker.run([*argv, "-P", "c=0.1"], rung.cli.folder, own)
    assert said.code == 0, said.text
    client = rung.client()
    experiment = client.get_experiment_by_name("projects")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params["c"]) == ("FINISHED", "0.1")
    assert run.data.tags["mlflow.project.env"] == "uv"
    assert any(environments.rglob("bin/python"))


@pytest.mark.slow
@pytest.mark.xdist_group("examples")
@pytest.mark.needs("uv")
@pytest.mark.capability("Dockerfile")
def test_a_model_becomes_a_dockerfile_whose_packages_fit_together(
    rung: Rung, tmp_path: Path
) -> None:
    rung.once("house_prices", "train.py")
    client = rung.client()
    experiment = client.get_experiment_by_name("house-prices")
    (model, *_) = client.search_logged_models([experiment.experiment_id])
    argv = ["-m", "mlflow", "models", "generate-dockerfile", "--env-manager", "local"]
    argv += ["-m", f"models:/{model.model_id}", "-d", str(tmp_path / "image")]
    said = rung.forker.run(argv, tmp_path, rung.environment())
    assert said.code == 0, said.text
    steps = (tmp_path / "image/Dockerfile").read_text()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert re.search(rf"^FROM python:{re.escape(python)}\.\d+-slim$", steps, re.MULTILINE)
    assert "\nCOPY model_dir /opt/ml/model\n" in steps
    assert (tmp_path / "image/model_dir/model.skops").is_file()
    (pip,) = re.findall(r"^RUN pip install (.*)$", steps, re.MULTILINE)
    wanted = tmp_path / "image/model_dir/requirements.txt"
    wanted.write_text(f"{wanted.read_text()}\n{pip}\n")
    # What both `pip install` steps would fetch, without fetching it.
    command = [str(which("uv")), "pip", "compile", "-q", "--python-version", python, str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"mlflow=={locked()['mlflow']}" in done.stdout.splitlines()
