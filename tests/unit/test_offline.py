"""`status --offline`: which stack is meant, and what its record says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.errors import MissingError
from provision.model.clients import sqlite_uri
from provision.model.status import State
from provision.offline import offline_status
from provision.settings import Settings, read_settings
from provision.targets.aws_record import AwsRecord
from provision.targets.record import StackRecord

IN_ACCOUNT = AwsRecord(
    name="churn",
    spec_file="provision.yaml",
    account="123456789012",
    region="eu-west-1",
    emulated=False,
    state="local",
    mlflow_version="3.17.2",
    created_at="2026-11-21T08:00:00+00:00",
    applied_at="2026-11-21T08:05:00+00:00",
    outputs={
        "server": {
            "value": {"instance_id": "i-1", "public_ip": "198.51.100.7", "image_id": "ami-1"}
        }
    },
)
HERE = StackRecord(
    name="churn",
    target="local",
    scenario="local",
    spec_file="provision.yaml",
    listen="0.0.0.0",
    port=5999,
    engine="sqlite",
    auth="none",
    artifacts="artifacts",
    mlflow_version="3.17.2",
    sizing="2 workers",
    fingerprint="",
)
Put = Callable[[str, Mapping[str, Any]], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes JSON below the folder of states."""

    def write(path: str, value: Mapping[str, Any]) -> Path:
        file = tmp_path / ".provision" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value), encoding="utf-8")
        return file

    return write


def settings(folder: Path, spec: str | None = None) -> Settings:
    if spec is not None:
        (folder / "provision.yaml").write_text(spec, encoding="utf-8")
    environment = {"HOME": str(folder), "PROVISION_STATE_DIR": str(folder / ".provision")}
    made = read_settings(None, None, environment)
    return made._replace(spec_file=folder / "provision.yaml")


@pytest.mark.parametrize(
    "spec",
    [
        "name: churn\n",
        '# a comment\ntarget: aws\nname: "churn"   # ours\n',
        "\ufeffname: 'churn'\r\ntarget: aws\r\n",
    ],
)
def test_the_line_with_the_name_finds_the_stack_among_others(
    tmp_path: Path, put: Put, spec: str
) -> None:
    put("churn/aws/record.json", IN_ACCOUNT.to_json())
    put("other/aws/record.json", replace(IN_ACCOUNT, name="other").to_json())
    seen = offline_status(settings(tmp_path, spec))
    assert (seen.name, seen.target, seen.state) == ("churn", "aws", State.UNKNOWN)
    assert seen.uri == "https://198.51.100.7"
    assert seen.mlflow_version == "3.17.2"
    assert seen.place == "account 123456789012, eu-west-1"
    assert "2026-11-21T08:05:00+00:00" in seen.detail


@pytest.mark.parametrize("spec", [None, "", "{name: churn, target: aws}\n", "aws:\n  name: x\n"])
def test_without_such_a_line_the_only_record_is_meant(
    tmp_path: Path, put: Put, spec: str | None
) -> None:
    put("churn/aws/record.json", IN_ACCOUNT.to_json())
    assert offline_status(settings(tmp_path, spec)).uri == "https://198.51.100.7"


def test_of_two_records_none_is_guessed(tmp_path: Path, put: Put) -> None:
    put("churn/aws/record.json", IN_ACCOUNT.to_json())
    put("other/stack.json", HERE.to_json())
    with pytest.raises(MissingError, match=r"2 stacks.*churn, other") as error:
        offline_status(settings(tmp_path, "target: aws\n"))
    assert "name:" in error.value.next_step


def test_a_named_spec_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no such file"):
        offline_status(settings(tmp_path)._replace(spec_required=True))


def test_nothing_at_all_is_a_stack_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Churn Course"
    folder.mkdir()
    seen = offline_status(settings(folder))
    assert (seen.name, seen.target, seen.state) == ("churn-course", "local", State.NEVER_STARTED)


def test_a_first_run_that_did_not_finish_is_told(tmp_path: Path, put: Put) -> None:
    put("churn/aws/record.json", replace(IN_ACCOUNT, applied_at="", outputs={}).to_json())
    put("churn/aws/ledger.json", {})
    seen = offline_status(settings(tmp_path, "name: churn\n"))
    assert seen.state is State.NEVER_STARTED
    assert "did not finish" in seen.detail
    assert seen.place == "account 123456789012, eu-west-1"


def test_a_stack_on_this_machine_is_known_by_its_address(tmp_path: Path, put: Put) -> None:
    put("churn/stack.json", HERE.to_json())
    seen = offline_status(settings(tmp_path, "name: churn\n"))
    assert (seen.target, seen.state) == ("local", State.UNKNOWN)
    assert (seen.uri, seen.sizing) == ("http://127.0.0.1:5999", "2 workers")


def test_without_a_server_the_address_is_the_stores(tmp_path: Path, put: Put) -> None:
    file = put("churn/stack.json", replace(HERE, scenario="none", listen="").to_json())
    seen = offline_status(settings(tmp_path, "name: churn\n"))
    assert seen.uri == sqlite_uri(file.parent / "data/mlflow.db")


def test_of_both_records_of_a_stack_the_one_of_the_specs_target_counts(
    tmp_path: Path, put: Put
) -> None:
    put("churn/aws/record.json", IN_ACCOUNT.to_json())
    put("churn/stack.json", HERE.to_json())
    for line, target in (("", "aws"), ("target: local\n", "local"), ("target: aws\n", "aws")):
        assert offline_status(settings(tmp_path, f"name: churn\n{line}")).target == target


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "provision.aws/9"}'])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, put: Put, text: str) -> None:
    put("churn/aws/record.json", {}).write_text(text, encoding="utf-8")
    seen = offline_status(settings(tmp_path, "name: churn\ntarget: aws\n"))
    assert seen.state is State.NEVER_STARTED
