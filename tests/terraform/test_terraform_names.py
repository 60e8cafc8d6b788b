"""Names that are needed before Terraform runs are made twice: here both are held together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.model.leftovers import STACK_TAG, Names
from tests.terraform.program import Workspace, needs_terraform, workspace

pytestmark = needs_terraform
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def naming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    yield workspace(tmp_path_factory.mktemp("naming"), Path("modules/naming"))


@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-1", "us-gov-east-1"])
@pytest.mark.parametrize(
    "name", ["ab", "churn-course", "a" * 31, "abcdefghij-abcdefghij-abcdefghij", "a-" * 15 + "ab"]
)
def test_python_names_things_as_the_module_does(name: str, region: str, naming: Workspace) -> None:
    planned = naming.plan({"name": name, "account_id": ACCOUNT, "region": region})
    outputs = {key: one["value"] for key, one in planned["planned_values"]["outputs"].items()}
    names = Names.of(name, ACCOUNT, region)
    assert (names.prefix, names.bucket) == (outputs["prefix"], outputs["bucket"])
    assert json.dumps(outputs["tags"]) == json.dumps({STACK_TAG: name})
