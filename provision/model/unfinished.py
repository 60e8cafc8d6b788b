"""What a run that was cut off left half made, as Terraform's state marks it: "tainted"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from provision.model.resources import BUCKET, DATABASE

KEPT: Final = frozenset({DATABASE, BUCKET, "aws_db_parameter_group"})
"""What is taken up as it is instead of being made anew: what may hold data, and what would be
made before the old one goes, under a name that the old one has."""


@dataclass(frozen=True)
class Unfinished:
    """A resource whose creation Terraform did not see the end of; it would make it anew."""

    address: str
    type: str


def unfinished(state: Mapping[str, Any] | None) -> Iterator[Unfinished]:
    """All of those in a state (Terraform's own format, version 4)."""
    for resource, instance in _instances(state):
        if instance.get("status") == "tainted":
            yield Unfinished(_address(resource, instance), str(resource["type"]))


def addresses(state: Mapping[str, Any] | None) -> frozenset[str]:
    """Where a state (version 4) has something, whether or not that still exists."""
    return frozenset(_address(resource, instance) for resource, instance in _instances(state))


def _instances(state: Mapping[str, Any] | None) -> Iterator[tuple[Any, Any]]:
    for resource in (state or {}).get("resources", []):
        if resource.get("mode", "managed") == "managed":
            yield from ((resource, instance) for instance in resource.get("instances", []))


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    place = f"{resource['module']}." if resource.get("module") else ""
    key = instance.get("index_key")
    index = "" if key is None else f"[{json.dumps(key)}]"
    return f"{place}{resource['type']}.{resource['name']}{index}"
