"""What Terraform's state marks as tainted, by the addresses that its commands take."""

from __future__ import annotations

import re
from typing import Any

from provision.model.unfinished import KEPT, Unfinished, unfinished
from tests.checkout import ROOT


def _resource(kind: str, *instances: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"mode": "managed", "type": kind, "name": "this", "instances": list(instances), **more}


def test_only_what_is_tainted_counts_by_its_whole_address() -> None:
    tainted = {"status": "tainted"}
    state = {
        "version": 4,
        "resources": [
            _resource("aws_s3_bucket", tainted, module="module.artifact_store"),
            _resource("aws_db_instance", {}, module="module.backend_store"),
            _resource("aws_eip", tainted),
            _resource("aws_vpc", {"index_key": 0, **tainted}, module="module.network"),
            _resource("aws_subnet", {"index_key": "a"}, {"index_key": "b", **tainted}),
        ],
    }
    assert list(unfinished(state)) == [
        Unfinished("module.artifact_store.aws_s3_bucket.this", "aws_s3_bucket"),
        Unfinished("aws_eip.this", "aws_eip"),
        Unfinished("module.network.aws_vpc.this[0]", "aws_vpc"),
        Unfinished('aws_subnet.this["b"]', "aws_subnet"),
    ]


def test_without_a_state_there_is_nothing() -> None:
    assert not list(unfinished(None))
    assert not list(unfinished({}))


def test_what_is_made_before_its_old_one_goes_is_kept() -> None:
    """Its name is taken until then, so that no run after the first cut-off one could end well."""
    blocks = re.compile(r'^resource "(\w+)" .*?^}', re.MULTILINE | re.DOTALL)
    found = {
        block[1]
        for path in (ROOT / "terraform/modules").rglob("*.tf")
        for block in blocks.finditer(path.read_text(encoding="utf-8"))
        if "create_before_destroy = true" in block[0]
    }
    assert found and found <= KEPT
