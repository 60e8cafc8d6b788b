"""Prices and bills, asked of AWS: the Price List API, and Cost Explorer.

Neither is in the emulation as AWS has it: the shape of the answers is that of the API references
(AWS Price List `GetProducts`, Cost Explorer `GetCostAndUsage`), and no real account was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud

HOME: Final = "us-east-1"
"""Where both services are; prices and costs of every region are asked there."""

_MACHINE: Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
_DATABASE: Final = {"databaseEngine": "PostgreSQL", "deploymentOption": "Single-AZ"}


@dataclass(frozen=True)
class Spent:
    """What a stack cost in US dollars, by service, from the first day to before the last."""

    start: date
    end: date
    by_service: Mapping[str, float]

    @property
    def total(self) -> float:
        """All services together."""
        return round(sum(self.by_service.values()), 2)


def live_prices(cloud: Cloud, region: str, names: Sequence[str]) -> dict[str, float]:
    """Hourly on-demand prices of machines (`t3.small`) and databases (`db.t4g.micro`).

    What AWS has no single price for is left out. Needs the right `pricing:GetProducts`.
    """
    found = {}
    with explained(cloud, "ask AWS for prices"):
        for name in names:
            price = _price(cloud, region, name)
            if price is not None:
                found[name] = price
    return found


def _price(cloud: Cloud, region: str, name: str) -> float | None:
    is_database = name.startswith("db.")
    service = "AmazonRDS" if is_database else "AmazonEC2"
    wanted = {
        "instanceType": name,
        "regionCode": region,
        **(_DATABASE if is_database else _MACHINE),
    }
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    answer = cloud.client("pricing").get_products(ServiceCode=service, Filters=filters)
    prices = {price for product in answer["PriceList"] if (price := _on_demand(product))}
    return prices.pop() if len(prices) == 1 else None


def _on_demand(product: str) -> float | None:
    """The hourly price in one product of the list, which is JSON in a text."""
    terms: dict[str, Any] = json.loads(product).get("terms", {}).get("OnDemand", {})
    for term in terms.values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"] in ("Hrs", "Hours"):
                return float(dimension["pricePerUnit"].get("USD", 0)) or None
    return None


def spent(cloud: Cloud, name: str, start: date, end: date) -> Spent:
    """What Cost Explorer says of the resources with the stack's tag.

    `provision:stack` has to be activated as a cost allocation tag in the billing console first, and
    figures are about a day old. Needs the right `ce:GetCostAndUsage`; each call costs 0.01 USD.
    """
    with explained(cloud, "ask AWS what the stack has cost"):
        answer = cloud.client("ce").get_cost_and_usage(
            TimePeriod={"Start": start.isoformat(), "End": end.isoformat()},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter={"Tags": {"Key": "provision:stack", "Values": [name]}},
            GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
        )
    sums: dict[str, float] = {}
    for period in answer.get("ResultsByTime", ()):
        for group in period.get("Groups", ()):
            service = group["Keys"][0]
            amount = float(group["Metrics"]["UnblendedCost"]["Amount"])
            sums[service] = sums.get(service, 0.0) + amount
    return Spent(start, end, {service: round(cost, 2) for service, cost in sorted(sums.items())})
