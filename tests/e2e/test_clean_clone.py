"""What the README promises first: a clone, `make up`, one variable, runs are logged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.adapters.processes import marked
from tests.checkout import ROOT, git

pytestmark = [pytest.mark.slow, pytest.mark.needs("git", "make", "python3.11")]

LOG_A_RUN = """
import mlflow
with mlflow.start_run(run_name="from elsewhere") as run:
    mlflow.log_metric("auc", 0.81)
    mlflow.log_text("text", "note.txt")
print(mlflow.get_run(run.info.run_id).data.metrics)
"""


class Clone:
    """A fresh clone of what is committed.

    The home is the real one, with its settings and caches of pip and uv; only the list of stacks
    is kept apart from the user's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_home = folder.parent / "state"

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        own = {"XDG_STATE_HOME": str(self.state_home), "SHELL": "/bin/bash", "LANG": "C.UTF-8"}
        return {**kept, **own}

    def make(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *words], cwd=self.folder, env={**self.environment(), **variables},
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip

    def made(self, *words: str) -> str:
        done = self.make(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


# How this machine reaches a package index, and where it keeps what it fetched before.
KEPT = (
    "PATH", "HOME", "PIP_INDEX_URL", "PIP_CERT", "PIP_CONFIG_FILE", "PIP_CACHE_DIR",
    "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE", "UV_CACHE_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


@pytest.fixture
def clone(open_folder: Path) -> Iterator[Clone]:
    folder = open_folder.parent / "clone"
    git("clone", "--quiet", str(ROOT), str(folder), cwd=open_folder)
    cloned = Clone(folder)
    yield cloned
    for record in folder.rglob("stack.json"):
        for process in marked(record.parent):
            process.kill()


def test_a_clone_comes_up_with_one_command_and_goes_with_another(clone: Clone, port: int) -> None:
    spec = f"name: churn\nserver:\n  port: {port}\n"
    (clone.folder / "provision.yaml").write_text(spec)
    uri = f"http://127.0.0.1:{port}"
    shown = clone.made("up")
    assert f"tracking URI   {uri}" in shown
    paste = next(line for line in shown.splitlines() if "export" in line)
    assert paste.strip() == f"export MLFLOW_TRACKING_URI={uri}"

    elsewhere = subprocess.run(
        [sys.executable, "-c", LOG_A_RUN],
        cwd=clone.folder.parent,
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "{'auc': 0.81}" in elsewhere.stdout

    assert "works for clients" in clone.made("check")
    assert "was up already" in clone.made("up")
    root = clone.folder / ".provision/churn"
    assert marked(root)
    assert "none left" in clone.made("down")
    assert marked(root) == []
    # Nothing that was built or logged asks to be committed, but the spec that the user wrote.
    assert git("status", "--porcelain", cwd=clone.folder) == "?? provision.yaml\n"


@pytest.fixture
def few_programs(tmp_path: Path) -> Path:
    """A PATH with what make's recipes call, and no Python at all."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "bash", "make", "grep", "sed", "expand", "touch", "env"):
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def test_without_python_make_says_what_to_install(clone: Clone, few_programs: Path) -> None:
    done = clone.make("up", PATH=str(few_programs))
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "error: python3.11 is not installed" in said
    assert "next step: install Python 3.11, or make PYTHON=python3.12 up" in said
    assert not (clone.folder / ".venv").exists()


def test_make_help_lists_the_targets(clone: Clone) -> None:
    shown = clone.made("help")
    for target in ("up", "down", "check", "test", "quick", "lint", "bench", "wheel", "lock"):
        assert any(line.split()[0] == target for line in shown.splitlines()), target


def test_make_test_lints_and_runs_the_whole_suite(clone: Clone) -> None:
    plan = clone.made("-n", "test")
    assert "ruff check" in plan and "ruff format" in plan and "mypy" in plan
    suite = next(line for line in plan.splitlines() if "-m pytest" in line)
    assert "not slow" not in suite
    assert plan.index("ruff check") < plan.index("-m pytest")
    quick = clone.made("-n", "quick")
    assert '-m pytest -m "not slow"' in quick
