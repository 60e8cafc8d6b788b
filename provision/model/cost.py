"""What a stack on AWS will cost: an estimate from the spec alone, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from provision.model.aws import Aws
from provision.model.hours import Hours
from provision.model.prices import PROFILES, Prices
from provision.model.units import DAYS_PER_MONTH

_ALARMS: Final = 3  # terraform/modules/lifetime
_METRICS: Final = 7  # what EC2's detailed monitoring measures, each a custom metric
_LOG_GB: Final = 1.0  # a guess for a team's database logs and flow logs each, in a month


@dataclass(frozen=True)
class Use:
    """What no spec says: how much is stored and sent, for how many people and days."""

    artifacts_gb: float = 20.0
    data_out_gb: float = 20.0
    people: int = 1
    days: int = 30


@dataclass(frozen=True)
class Line:
    """One thing on the bill: a month of it. `price` is for one unit; `None` where it is unknown."""

    what: str
    detail: str
    quantity: float
    unit: str
    price: float | None
    live: bool = False

    @property
    def month(self) -> float:
        """US dollars for a month of it, to the cent; 0 where the price is unknown."""
        return round(self.quantity * (self.price or 0.0), 2)


@dataclass(frozen=True)
class Estimate:
    """The lines of a month, and what follows for people and days, in US dollars."""

    region: str
    factor: float
    known_region: bool
    lines: tuple[Line, ...]
    use: Use
    as_of: str
    saved: float = 0.0
    """What the office hours save of a month, holidays not counted."""

    @property
    def month(self) -> float:
        """All lines together: what the table adds up to."""
        return round(sum(line.month for line in self.lines), 2)

    @property
    def day(self) -> float:
        """A day of it."""
        return round(self.month / DAYS_PER_MONTH, 2)

    @property
    def total(self) -> float:
        """All the days that were asked for."""
        return round(self.month / DAYS_PER_MONTH * self.use.days, 2)

    @property
    def person_day(self) -> float:
        """A day for one person, to a hundredth of a cent."""
        return round(self.month / DAYS_PER_MONTH / self.use.people, 4)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has no price in the table and is not in the sums."""
        return tuple(line.detail for line in self.lines if line.price is None)

    @property
    def without_hours(self) -> float:
        """A month without office hours."""
        return round(self.month + self.saved, 2)


def estimate(
    aws: Aws, region: str, prices: Prices, use: Use, hours: Hours | None = None
) -> Estimate:
    """A month at list price: no free tier, taxes, discounts or surplus CPU credits.

    Outside of the office hours, machine and database cost nothing by the hour; their storage and
    the address do.
    """
    chosen = {**PROFILES[aws.profile], **aws.settings.chosen()}
    if aws.network.is_existing and aws.settings.flow_logs is None:
        chosen = {**chosen, "flow_logs": False}
    bill = _Bill(chosen, region, prices, use, 1.0 if hours is None else hours.share)
    always = _Bill(chosen, region, prices, use)
    lines = tuple(bill.lines())
    return Estimate(
        region=region,
        factor=prices.factor(region),
        known_region=region in prices.regions,
        lines=lines,
        use=use,
        as_of=prices.as_of,
        saved=round(sum(line.month for line in always.lines()) - sum(x.month for x in lines), 2),
    )


@dataclass(frozen=True)
class _Bill:
    chosen: Mapping[str, Any]
    region: str
    prices: Prices
    use: Use
    open: float = 1.0

    def lines(self) -> Iterator[Line]:
        chosen = self.chosen
        yield self._hours("server", chosen["instance_type"], 1)
        yield self._storage("server's disk", chosen["disk_gib"], "disk_gb_month")
        yield self._fixed("public IPv4 address", self._month_hours, "hours", "address_hour")
        standby = 2 if chosen["multi_az"] else 1
        yield self._hours("database", chosen["database_class"], standby)
        storage = chosen["database_initial_gib"] * standby
        yield self._storage("database storage", storage, "database_gb_month")
        yield self._storage("artifacts (S3)", self.use.artifacts_gb, "artifact_gb_month")
        yield self._data_out()
        yield self._fixed("database's secret", 1, "secret", "secret_month")
        yield self._fixed("alarms", _ALARMS, "alarms", "alarm_month")
        yield from self._observation()

    @property
    def _month_hours(self) -> float:
        return float(self.prices.hours_per_month)

    def _observation(self) -> Iterator[Line]:
        if self.chosen["detailed_monitoring"]:
            yield self._fixed("detailed monitoring", _METRICS, "metrics", "metric_month")
        for setting, what in (("database_observed", "database logs"), ("flow_logs", "flow logs")):
            if self.chosen[setting]:
                yield self._fixed(f"{what} (a guess)", _LOG_GB, "GB", "log_gb")

    def _hours(self, what: str, kind: str, number: int) -> Line:
        price = self.prices.hourly(kind, self.region)
        detail = f"{kind}, with a standby" if number > 1 else kind
        live = kind in self.prices.live
        if self.open < 1:
            detail = f"{detail}, {self.open:.0%} of the time"
        return Line(what, detail, self._month_hours * self.open * number, "hours", price, live)

    def _storage(self, what: str, gb: float, name: str) -> Line:
        price = round(self.prices.units[name] * self.prices.factor(self.region), 6)
        return Line(what, f"{gb:g} GB", gb, "GB", price)

    def _fixed(self, what: str, number: float, unit: str, name: str) -> Line:
        """Something that costs the same everywhere."""
        return Line(what, "", number, unit, self.prices.units[name])

    def _data_out(self) -> Line:
        units = self.prices.units
        paid = max(0.0, self.use.data_out_gb - units["data_out_free_gb"])
        detail = f"{self.use.data_out_gb:g} GB, {units['data_out_free_gb']:g} of them free"
        return Line("data to the internet", detail, paid, "GB", units["data_out_gb"])
