"""`--help` and `version` load next to nothing: that is what keeps them as fast as Python itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from provision.looking import written
from provision.model.facts import Facts
from provision.settings import read_settings
from provision.targets.aws_record import AwsRecord
from provision.targets.record import StackRecord

HEAVY = {
    "mlflow", "boto3", "botocore", "pydantic", "yaml", "rich", "psutil", "python_terraform",
    "http.client", "urllib.request", "sqlite3", "socket", "importlib.metadata", "asyncio",
    "shtab", "numpy",
}  # fmt: skip
PROGRAM = """
import sys
from provision.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
"""


def run(program: str, *arguments: str, folder: Path | None = None) -> set[str]:
    command = [sys.executable, "-I", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return set(done.stderr.split())


def modules_loaded_by(*arguments: str, folder: Path | None = None) -> set[str]:
    return run(PROGRAM, *arguments, folder=folder)


def modules_of_a_bare_python() -> set[str]:
    return run("import sys; print(*sorted(sys.modules), sep='\\n', file=sys.stderr)")


@pytest.mark.parametrize("arguments", [("--help",), ("version",), ("up", "--help")])
def test_nothing_heavy_is_imported(arguments: tuple[str, ...]) -> None:
    loaded = modules_loaded_by(*arguments) - modules_of_a_bare_python()
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("provision.")}
    assert ours <= {
        "provision._version", "provision.cli", "provision.cli.main", "provision.cli.parser",
        "provision.cli.parser_check", "provision.cli.parser_data", "provision.cli.parser_doctor",
        "provision.cli.parser_people", "provision.cli.parser_time", "provision.cli.parts",
        "provision.cli.console", "provision.cli.other", "provision.ui", "provision.settings",
        "provision.errors", "provision.model", "provision.model.secrets",
    }  # fmt: skip


@pytest.mark.parametrize("target", ["aws", "local"])
def test_status_offline_loads_no_more_than_records_need(tmp_path: Path, target: str) -> None:
    """It is to take at most six times a bare Python; bench/terraform.py measures that."""
    server = {"instance_id": "i-1", "public_ip": "198.51.100.7", "image_id": "ami-1"}
    in_account = AwsRecord(
        "churn", "provision.yaml", "123456789012", "eu-west-1", False, "local", "3.17.2",
        "2026-11-21T08:00:00+00:00", "2026-11-21T08:05:00+00:00", {"server": {"value": server}},
    )  # fmt: skip
    here = StackRecord(
        "churn", "local", "local", "provision.yaml", "127.0.0.1", 5999, "sqlite", "none",
        "artifacts", "3.17.2", "2 workers", "",
    )  # fmt: skip
    (tmp_path / "provision.yaml").write_text(f"name: churn\ntarget: {target}\n", encoding="utf-8")
    for path, record in (("aws/record.json", in_account), ("stack.json", here)):
        file = tmp_path / ".provision/churn" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record.to_json()), encoding="utf-8")
    loaded = modules_loaded_by("status", "--offline", folder=tmp_path) - modules_of_a_bare_python()
    assert "provision.offline" in loaded
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("provision.")}
    assert ours <= {
        "provision._version", "provision.cli", "provision.cli.main", "provision.cli.parser",
        "provision.cli.parser_check", "provision.cli.parser_data", "provision.cli.parser_doctor",
        "provision.cli.parser_people", "provision.cli.parser_time",
        "provision.cli.parts",
        "provision.cli.console", "provision.cli.status", "provision.cli.status_texts",
        "provision.ui", "provision.settings", "provision.errors", "provision.offline",
        "provision.model", "provision.model.status", "provision.model.outputs",
        "provision.model.units",
        "provision.targets", "provision.targets.aws_record", "provision.targets.record",
    }  # fmt: skip


@pytest.mark.parametrize("edited", [False, True])
def test_status_reads_the_spec_only_where_it_is_another_than_the_one_that_is_up(
    tmp_path: Path, edited: bool
) -> None:
    """Reading it takes longer than asking AWS; here there is nobody left to ask."""
    spec = tmp_path / "provision.yaml"
    spec.write_text("name: churn\ntarget: aws\n", encoding="utf-8")
    facts = Facts("churn", "aws", "eu-west-1", "", None, True, False, False, "2027-01-31", False)
    record = AwsRecord(
        "churn", str(spec), "123456789012", "eu-west-1", True, "local", "3.17.2",
        "2026-11-21T08:00:00+00:00", "2026-11-21T08:05:00+00:00",
        spec=written(read_settings(str(spec))), facts=facts.to_json(),
    )  # fmt: skip
    file = tmp_path / ".provision/churn/aws/record.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(record.to_json()), encoding="utf-8")
    if edited:
        spec.write_text("name: churn\ntarget: aws # with a word more\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, "status"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "the emulated account has ended" in done.stdout
    assert ("until" in done.stdout) is not edited, "it is in the facts, and not in the edited spec"
    loaded = set(done.stderr.split())
    assert bool(loaded & {"pydantic", "yaml"}) is edited
    assert not loaded & {"psutil", "python_terraform", "boto3"} or edited
