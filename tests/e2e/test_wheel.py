"""The package as people install it: a wheel in an empty environment, far from the checkout."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from provision._version import __version__
from tests.checkout import ROOT, copy_to
from tests.conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.needs("git")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_to(tmp_path_factory.mktemp("source"))
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(dist)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def dist_info(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"provision_mlflow-{__version__}.dist-info/{name}").decode()


def test_the_wheel_holds_the_whole_package(names: set[str]) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "provision").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert package <= names
    assert {"provision/py.typed", "provision/serving/page.html"} <= names


def test_the_terraform_modules_travel_in_the_wheel(names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "terraform").rglob("*.tf")}
    assert "terraform/modules/naming/main.tf" in modules
    assert {f"provision/{name}" for name in modules} <= names


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {"provision", f"provision_mlflow-{__version__}.dist-info"}
    strays = ("/test_", "/tests/", "conftest", ".pyc", ".terraform/", ".lock", "/.provision/")
    # What a machine on AWS installs is data of the package.
    ours = {name for name in names if not name.startswith("provision/host/locks/")}
    assert [name for name in ours for stray in strays if stray in name] == []


def test_the_metadata_says_licence_python_and_programs(wheel: Path, names: set[str]) -> None:
    metadata = email.message_from_string(dist_info(wheel, "METADATA"))
    assert metadata["Name"] == "provision-mlflow"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert any(line.startswith("mlflow[auth]") for line in metadata.get_all("Requires-Dist", []))
    assert f"provision_mlflow-{__version__}.dist-info/licenses/LICENSE" in names
    programs = dist_info(wheel, "entry_points.txt")
    assert "[console_scripts]\nprovision = provision.cli.main:main" in programs
    assert "[pytest11]\nprovision = provision.pytest_plugin" in programs


def install(python: Path, uv: str | None, *arguments: str) -> None:
    command = [uv, "pip"] if uv else [str(python), "-m", "pip"]
    where = ["--python", str(python)] if uv else []
    done = subprocess.run(
        [*command, "install", "-q", *where, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `provision` program of an environment with the locked packages and our wheel.

    Installed by uv where it is beside this Python, else by the new environment's own pip.
    """
    folder = tmp_path_factory.mktemp("installed")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    venv.EnvBuilder(with_pip=uv is None, symlinks=True).create(folder)
    python = folder / "bin/python"
    install(python, uv, "--require-hashes", "-r", str(ROOT / "requirements/runtime.lock"))
    install(python, uv, "--no-deps", str(wheel))
    return folder / "bin/provision"


class Installed(Cli):
    """The installed program instead of this checkout's."""

    program: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), *arguments]

    def env(self) -> dict[str, str]:
        environment = super().env()
        assert "PYTHONPATH" not in environment
        return environment


@pytest.fixture
def program(installed: Path, open_folder: Path) -> Iterator[Installed]:
    cli = Installed(open_folder)
    cli.program = installed
    yield cli
    cli.run("down")


def test_the_installed_package_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = [
        str(installed.with_name("python")),
        "-c",
        "import provision; print(provision.__file__)",
    ]
    environment = {"PATH": os.environ["PATH"]}
    shown = subprocess.run(
        where, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert Path(shown).is_relative_to(installed.parent.parent)


def test_a_day_with_the_installed_program(program: Installed, port: int) -> None:
    assert "usage: provision" in program.ok("--help")
    assert program.ok("version") == f"provision {__version__}\n"
    assert program.json("version")["mlflow"]
    program.ok("init", "--rung", "local", "--name", "churn", "--port", str(port))
    spec = yaml.safe_load((program.folder / "provision.yaml").read_text(encoding="utf-8"))
    assert spec["server"]["port"] == port
    assert "is valid" in program.ok("validate")
    assert program.ok("schema").startswith("{")
    assert "_provision" in program.ok("completion", "bash")

    up = program.ok("up")
    assert f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{port}" in up
    assert "works for clients" in program.ok("check")
    assert program.json("status")["state"] == "running"
    assert "none left" in program.ok("down")
    assert program.json("status")["state"] == "stopped"
