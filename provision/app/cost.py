"""`provision cost`: an estimate before anything is made, and what AWS says it has cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from provision.model.cost import Estimate, Use, estimate
from provision.model.prices import PROFILES, Prices
from provision.model.spec import Spec


class Bill(Protocol):
    """What was spent, in US dollars; `adapters.cloud.prices.Spent` is one."""

    @property
    def start(self) -> date:
        """The first day."""

    @property
    def end(self) -> date:
        """The day after the last."""

    @property
    def by_service(self) -> Mapping[str, float]:
        """By AWS' name of the service."""

    @property
    def total(self) -> float:
        """All services together."""


@dataclass(frozen=True)
class CostResult:
    """The estimate with its sources, and the bill where it was asked for."""

    name: str
    on_aws: bool
    estimate: Estimate
    sources: Sequence[str]
    bill: Bill | None = None


AskPrices = Callable[[str, Sequence[str]], Mapping[str, float]]
"""Hourly prices in a region, by the names of machines and databases."""


def cost(spec: Spec, region: str, table: Prices, use: Use, ask: AskPrices | None) -> CostResult:
    """What the spec costs on AWS; with `ask`, machines and databases at AWS' own prices of now."""
    prices = table if ask is None else table.with_live(ask(region, _priced(spec)))
    return CostResult(
        name=spec.name,
        on_aws=spec.target == "aws",
        estimate=estimate(spec.aws, region, prices, use, spec.lifetime.office),
        sources=table.sources,
    )


def _priced(spec: Spec) -> Sequence[str]:
    chosen = {**PROFILES[spec.aws.profile], **spec.aws.settings.chosen()}
    return [str(chosen[name]) for name in ("instance_type", "database_class")]


def days_until(until: date | None, today: date, fallback: int = 30) -> int:
    """How many days the stack still lives, today included; `fallback` where no end is set."""
    return fallback if until is None or until < today else (until - today).days + 1
