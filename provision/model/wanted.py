"""What a stack in an account is going to need there, before anything of it exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from provision.model.aws import Network
from provision.model.leftovers import Names
from provision.model.prices import PROFILES
from provision.model.schedules import schedules
from provision.model.spec import Spec

DEFAULT_RANGE: Final = "10.87.0.0/20"
"""The new network's range where the spec has none (terraform/stacks/tracking/variables.tf)."""


@dataclass(frozen=True)
class Wanted:
    """The profile's settings with the spec's own over them, and the names that follow."""

    names: Names
    region: str
    machine: str
    image: str
    database_class: str
    database_major: str
    backup_days: int
    multi_az: bool
    network: Network
    ingress: tuple[str, ...]
    instance_profile: str | None
    watched: bool
    budget: bool
    scheduled: bool
    account: str | None

    @classmethod
    def of(cls, spec: Spec, account: str, region: str) -> Wanted:
        """What `spec` needs in this account and region."""
        aws = spec.aws
        chosen: dict[str, Any] = {**PROFILES[aws.profile], **aws.settings.chosen()}
        return cls(
            names=Names.of(spec.name, account, region),
            region=region,
            machine=chosen["instance_type"],
            image=chosen["image_parameter"],
            database_class=chosen["database_class"],
            database_major=str(chosen["database_major"]),
            backup_days=chosen["backup_days"],
            multi_az=chosen["multi_az"],
            network=aws.network,
            ingress=aws.ingress,
            instance_profile=aws.instance_profile,
            watched=bool(chosen["database_observed"] or chosen["flow_logs"]),
            budget=spec.lifetime.budget is not None,
            scheduled=aws.instance_profile is None and bool(schedules(spec.name, spec.lifetime)),
            account=aws.account,
        )

    @property
    def cidr(self) -> str:
        """The range of the new network; empty where an existing one is used."""
        return "" if self.network.is_existing else self.network.cidr or DEFAULT_RANGE
