"""The prices that an estimate is made of: a dated table, and single prices asked of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

# The profiles of terraform/stacks/tracking/profiles.tf, as far as they cost or must be
# had; a test compares them.
PROFILES: Final[Mapping[str, Mapping[str, Any]]] = {
    "course": {
        "instance_type": "t3.small",
        "disk_gib": 20,
        "detailed_monitoring": False,
        "flow_logs": False,
        "database_class": "db.t4g.micro",
        "database_initial_gib": 20,
        "database_observed": False,
        "multi_az": False,
        "image_parameter": "/aws/service/debian/release/12/latest/amd64",
        "database_major": "16",
        "backup_days": 7,
    },
    "team": {
        "instance_type": "t3.medium",
        "disk_gib": 40,
        "detailed_monitoring": True,
        "flow_logs": True,
        "database_class": "db.t4g.medium",
        "database_initial_gib": 50,
        "database_observed": True,
        "multi_az": True,
        "image_parameter": "/aws/service/debian/release/12/latest/amd64",
        "database_major": "16",
        "backup_days": 30,
    },
}


@dataclass(frozen=True)
class Prices:
    """Prices in US dollars at list price, before taxes and discounts.

    Machines and databases (one, single zone) by the hour in the base region, `units` by name. What
    is in `live` was asked of AWS for the region itself, by the same names, and needs no factor.
    """

    as_of: str
    base_region: str
    hours_per_month: int
    regions: Mapping[str, float]
    machines: Mapping[str, float]
    databases: Mapping[str, float]
    units: Mapping[str, float]
    sources: tuple[str, ...]
    live: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Prices:
        """The table in the package, `provision/data/prices.json`."""
        names = ("as_of", "base_region", "hours_per_month", "regions", "machines", "databases")
        chosen = {name: document[name] for name in (*names, "units")}
        return cls(**chosen, sources=tuple(document["sources"]))

    def with_live(self, live: Mapping[str, float]) -> Prices:
        """The same with what AWS answered."""
        return replace(self, live=dict(live))

    def factor(self, region: str) -> float:
        """How much more things cost in a region than in the base region; 1 where it is unknown."""
        return self.regions.get(region, 1.0)

    def hourly(self, name: str, region: str) -> float | None:
        """The price of one machine or database for an hour; `None` where it is unknown."""
        if name in self.live:
            return self.live[name]
        base = self.machines.get(name, self.databases.get(name))
        return None if base is None else round(base * self.factor(region), 6)
