"""What `doctor` asks this machine: each thing missing is one finding, and exactly that one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.adapters import postgres, processes, workspace
from provision.adapters.packages import installed_version
from provision.adapters.terraform import reach
from provision.app.questions import ask
from provision.model.findings import audit, preflight
from provision.model.layout import Layout
from provision.model.report import Finding, Outcome
from provision.model.spec import Spec
from provision.targets.machine_questions import Machine
from provision.targets.record import StackRecord
from tests.checkout import ROOT

NOWHERE = {"PATH": "/nowhere", "HOME": "/nowhere", "HTTPS_PROXY": "http://127.0.0.1:9"}


def machine(folder: Path, environment: dict[str, str] | None = None, **spec: Any) -> Machine:
    made = Spec.model_validate({"name": "churn", "server": {"port": free_port()}, **spec})
    seen = dict(os.environ) if environment is None else environment
    return Machine(made, Layout.below(folder, "churn"), installed_version("mlflow") or "", seen)


def free_port() -> int:
    return processes.any_free_port("127.0.0.1")


def wrong(asked: Any) -> list[str]:
    findings: list[Finding] = ask(asked, time.monotonic, 60).findings()
    return [finding.id for finding in findings if finding.outcome is not Outcome.OK]


@pytest.mark.needs("postgres")
def test_a_machine_that_has_all_has_no_finding(tmp_path: Path) -> None:
    assert wrong(machine(tmp_path).local()) == []
    with_postgres = machine(Path("/tmp"), database={"engine": "postgres"})
    assert wrong(with_postgres.local()) == []
    assert wrong(machine(tmp_path, scenario="none").local()) == []


def test_a_port_that_is_taken_names_who_and_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asked = machine(tmp_path, server={"port": port})
        findings = ask(asked.local(), time.monotonic, 60).findings()
    (finding,) = (f for f in findings if f.outcome is not Outcome.OK)
    assert finding.id == "port.taken" and f"process {os.getpid()}" in finding.cause
    assert f"--port {port + 1}" in finding.next_step or "--port " in finding.next_step


def test_the_port_of_a_stack_in_containers_is_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asked = machine(tmp_path, target="compose", server={"port": port})
        (question,) = (q for q in asked.local() if q.layer.name == "port")
        assert question.ask().problem == "port.taken"
        record = StackRecord(
            "churn", "compose", "server", "x", "127.0.0.1", port, "postgres", "none", "x", "x",
            "x", "",
        )  # fmt: skip
        asked.layout.root.mkdir(parents=True)
        workspace.write_json(asked.layout.record, record.to_json())
        assert question.ask().problem == ""


def no_permission(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(processes, "can_listen", lambda *_: False)
    patch.setattr(processes, "holder_of", lambda *_: None)


def full_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(workspace, "free_bytes", lambda _: 1000)


def no_postgres(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(postgres, "_installed", lambda: [])


def no_provider(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reach, "find_mirror", lambda _: None)


@pytest.mark.parametrize(
    ("spec", "act", "problem"),
    [
        ({"server": {"port": 80}}, no_permission, "port.privileged"),
        ({"server": {"memory": "64MiB"}}, lambda _: None, "memory.too-small"),
        ({}, full_disk, "disk.full"),
        ({"database": {"engine": "postgres"}}, no_postgres, "postgres.missing"),
    ],
)
def test_what_a_server_here_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any],
    act: Callable[[pytest.MonkeyPatch], None], problem: str,
) -> None:  # fmt: skip
    act(monkeypatch)
    assert wrong(machine(tmp_path, **spec).local()) == [problem]


def test_a_folder_that_cannot_be_made_and_mlflow_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    asked = machine(tmp_path / "file")
    assert wrong(asked.local()) == ["folder.not-writable"]
    bare = Machine(asked.spec, Layout.below(tmp_path, "churn"), "", {})
    assert wrong(bare.local()) == ["mlflow.missing"]


def test_programs_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_provider(monkeypatch)
    aws = machine(tmp_path, NOWHERE, target="aws", aws={"region": "eu-west-1"})
    assert wrong(aws.in_account()) == ["terraform.missing", "provider.unreachable"]
    composed = machine(tmp_path, NOWHERE, target="compose")
    assert wrong(composed.local()) == ["containers.missing"]


def test_the_provider_is_found_in_a_cache_or_where_the_user_says(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "registry.terraform.io/hashicorp/aws/5.100.0").mkdir(parents=True)
    own = tmp_path / "own.tfrc"
    own.write_text("", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        no_provider(patch)
        cached = reach.provider_place({**NOWHERE, "TF_PLUGIN_CACHE_DIR": str(cache)})
        said = reach.provider_place({**NOWHERE, "TF_CLI_CONFIG_FILE": str(own)})
        with pytest.raises(OSError, match=r"refused|9"):
            reach.provider_place(NOWHERE)
    assert (str(cache) in cached, str(own) in said) == (True, True)


def test_every_finding_of_doctor_and_audit_has_a_case() -> None:
    texts = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    problems = (*preflight.PROBLEMS, *audit.PROBLEMS)
    assert [p.id for p in problems if f'"{p.id}"' not in texts] == []
