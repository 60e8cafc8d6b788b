"""What Terraform's state says of a run that was cut off."""

from __future__ import annotations

from typing import Any

from provision.model.unfinished import Unfinished, addresses, unfinished

STATE: dict[str, Any] = {
    "version": 4,
    "resources": [
        {
            "module": "module.network",
            "mode": "managed",
            "type": "aws_subnet",
            "name": "public",
            "instances": [
                {"index_key": "a", "attributes": {}},
                {"index_key": "b", "status": "tainted", "attributes": {}},
            ],
        },
        {
            "mode": "managed",
            "type": "aws_eip",
            "name": "this",
            "instances": [{"index_key": 0, "attributes": {}}],
        },
        {"mode": "data", "type": "aws_region", "name": "here", "instances": [{"attributes": {}}]},
    ],
}


def test_what_is_half_made_is_named_as_terraform_names_it() -> None:
    assert list(unfinished(STATE)) == [
        Unfinished('module.network.aws_subnet.public["b"]', "aws_subnet")
    ]


def test_all_that_a_state_has_is_known_by_its_address() -> None:
    assert addresses(STATE) == {
        'module.network.aws_subnet.public["a"]',
        'module.network.aws_subnet.public["b"]',
        "aws_eip.this[0]",
    }


def test_no_state_has_nothing() -> None:
    assert (list(unfinished(None)), addresses(None)) == ([], frozenset())
