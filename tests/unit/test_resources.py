"""The table of resources, held against the modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.resources import AREAS, KNOWN_TYPES, noun, place, title

MODULES = Path(__file__).parents[2] / "terraform" / "modules"


def declared() -> dict[str, set[str]]:
    """Module -> the types of its resources."""
    found: dict[str, set[str]] = {}
    for file in MODULES.glob("*/*.tf"):
        types = re.findall(r'^resource "(\w+)"', file.read_text(encoding="utf-8"), re.MULTILINE)
        found.setdefault(file.parent.name, set()).update(types)
    return found


def test_every_type_of_the_modules_has_a_word_and_no_other_has() -> None:
    assert set().union(*declared().values()) == KNOWN_TYPES


def test_every_module_with_resources_is_a_part_of_the_stack() -> None:
    for module in (name for name, types in declared().items() if types):
        address = f"module.{module.replace('-', '_')}.a.b"
        assert place(address).area in set(AREAS) - {"other"}, module


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("module.backend_store.aws_db_instance.this", "the database"),
        ("module.artifact_store.aws_s3_bucket.this", "the artifact bucket"),
        ('module.network.aws_subnet.public["a"]', "public subnet a"),
        ("module.network.aws_route_table.private[0]", "private route table"),
        ('module.lifetime.aws_cloudwatch_metric_alarm.this["server-unhealthy"]',
         "alarm server-unhealthy"),
        ('module.tracking_server.aws_vpc_security_group_ingress_rule.https["203.0.113.0/24"]',
         "way in for 203.0.113.0/24"),
        ("module.tracking_server.aws_iam_role.this[0]", "role"),
        ("aws_db_instance.other", "database"),
        ("aws_sqs_queue.this", "aws_sqs_queue"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_resource_has_a_name_that_people_know(address: str, expected: str) -> None:
    assert title(address) == expected


def test_many_of_a_kind_are_named_in_the_plural() -> None:
    assert (noun("aws_subnet", 4), noun("aws_eip", 2)) == ("subnets", "addresses")
    assert (noun("aws_subnet"), noun("x_y", 2)) == ("subnet", "x_y")


@given(st.text(max_size=60))
def test_any_address_has_a_title(address: str) -> None:
    assert title(address).isprintable()
    assert place(address).area in AREAS
