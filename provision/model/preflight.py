"""What an account's answers mean for a stack that is about to be made in it.

Sources: the limits of the free plan and of learner labs are in neither an API nor a table of AWS';
they are those that AWS' own pages and refusals name (EC2 "Free tier eligible instance types", RDS
`FreeTierRestrictionError`, AWS Academy "Learner Lab: service usage and other restrictions").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, ip_network
from typing import Final

from provision.model.questions import Verdict
from provision.model.wanted import Wanted

UP_MINUTES: Final = 20
"""What an `up` that makes a stack takes at most, with a standby database; see durations.md."""
# Five minutes: "Signature Version 4", troubleshooting; S3 alone grants fifteen.
_REFUSED_SECONDS: Final = 240
_DRIFTING_SECONDS: Final = 30
_FREE_MACHINES: Final = (
    "t3.micro", "t3.small", "t4g.micro", "t4g.small", "c7i-flex.large", "m7i-flex.large",
)  # fmt: skip
_FREE_DATABASES: Final = ("db.t3.micro", "db.t4g.micro")
_FREE_BACKUP_DAYS: Final = 1
_LAB_REGIONS: Final = ("us-east-1", "us-west-2")
_LAB_SIZES: Final = ("nano", "micro", "small", "medium", "large")
_LAB_DATABASE_SIZES: Final = ("nano", "micro", "small", "medium")


def clock(ours: datetime, theirs: datetime) -> Verdict:
    """Compare this machine's clock with the one in an answer of AWS', which counts seconds."""
    off = round(abs((ours - theirs).total_seconds()))
    facts = {"seconds": str(off)}
    if off >= _REFUSED_SECONDS:
        return Verdict(f"{off} s off", "clock.wrong", facts)
    if off >= _DRIFTING_SECONDS:
        return Verdict(f"{off} s off", "clock.drifting", facts)
    return Verdict("as AWS' own" if off <= 2 else f"{off} s off")


def session(arn: str, end: datetime | None, now: datetime, minutes: int) -> Verdict:
    """Whose credentials, and whether they last for the next `minutes`."""
    if end is not None and end - now < timedelta(minutes=minutes):
        moment = f"{end.astimezone(UTC):%H:%M} UTC"
        facts = {"end": moment, "minutes": str(minutes)}
        return Verdict(f"{arn}, until {moment}", "session.too-short", facts)
    if arn.endswith(":root"):
        return Verdict(arn, "session.root")
    return Verdict(arn if end is None else f"{arn}, until {end.astimezone(UTC):%H:%M} UTC")


@dataclass(frozen=True)
class AccountKind:
    """What kind of account it is: a learner lab's, one on the free plan, or a usual one."""

    learner_lab: bool = False
    free_plan: bool = False


def account(kind: AccountKind, wanted: Wanted) -> Verdict:
    """Whether such an account takes such a stack."""
    if kind.learner_lab:
        return _learner_lab(wanted)
    if not kind.free_plan:
        return Verdict("a usual account")
    over = dict(_over_the_free_plan(wanted))
    if not over:
        return Verdict("on the free plan, and within it")
    facts = {"limits": ", ".join(over), "step": ", ".join(f"`{step}`" for step in over.values())}
    return Verdict("on the free plan", "account.free-plan", facts)


def _learner_lab(wanted: Wanted) -> Verdict:
    seen = "a learner lab"
    if wanted.region not in _LAB_REGIONS:
        return Verdict(f"{seen}, in {wanted.region}", "account.learner-lab-region")
    if wanted.instance_profile is None:
        return Verdict(seen, "account.learner-lab")
    limits = list(_over_the_lab(wanted))
    if limits:
        return Verdict(seen, "account.learner-lab-limits", {"limits": ", ".join(limits)})
    return Verdict(f"{seen}, and within its limits")


def _over_the_free_plan(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """What is refused, and the setting that is not."""
    if wanted.machine not in _FREE_MACHINES:
        yield f"the machine {wanted.machine}", "instance_type: t3.small"
    if wanted.database_class not in _FREE_DATABASES:
        yield f"the database's {wanted.database_class}", "database_class: db.t4g.micro"
    if wanted.backup_days > _FREE_BACKUP_DAYS:
        yield f"{wanted.backup_days} days of backups", "backup_days: 1"
    if wanted.multi_az:
        yield "a standby database", "multi_az: false"


def _over_the_lab(wanted: Wanted) -> Iterator[str]:
    if wanted.machine.partition(".")[2] not in _LAB_SIZES:
        yield f"the machine {wanted.machine}"
    if wanted.database_class.rpartition(".")[2] not in _LAB_DATABASE_SIZES:
        yield f"the database's {wanted.database_class}"
    if wanted.multi_az:
        yield "a standby database"
    if wanted.watched:
        yield "flow logs and close watch of the database, which want roles of their own"


@dataclass(frozen=True)
class Quota:
    """How much of something an account may have, has, and would be given."""

    what: str
    limit: float
    used: float
    needed: float

    @property
    def fits(self) -> bool:
        """Whether there is room for what is needed."""
        return self.used + self.needed <= self.limit

    def __str__(self) -> str:
        return f"{self.used:g} of {self.limit:g} {self.what}"


def quota(found: Quota | None, region: str) -> Verdict:
    """Whether there is room for what is needed; `None` where another quota counts."""
    if found is None or found.fits:
        return Verdict("counted otherwise" if found is None else str(found))
    words = f"{found}, and {found.needed:g} more wanted"
    return Verdict(str(found), "quota.used-up", {"quotas": words, "region": region})


def zones(there: Sequence[str], wanted: Wanted) -> Verdict:
    """Whether the region has the zones that are asked for, or two at all."""
    asked = wanted.network.zones
    missing = [zone for zone in asked if zone not in there]
    if missing or len(there) < 2:
        facts = {"zones": ", ".join(missing) or "only one", "region": wanted.region}
        return Verdict(f"open: {', '.join(there) or 'none'}", "zones.too-few", facts)
    return Verdict(", ".join(asked or there[:2]))


def machine(offered: Collection[str], zone: str, wanted: Wanted) -> Verdict:
    """Whether the machine is offered in the zone that it will be in ("" where that is unknown)."""
    if zone in offered or (not zone and offered):
        return Verdict(f"{wanted.machine} in {zone or wanted.region}")
    place = zone if offered else wanted.region
    facts = {"machine": wanted.machine, "place": place}
    return Verdict(f"offered in {', '.join(sorted(offered)) or 'no zone'}",
                   "machine.not-offered", facts)  # fmt: skip


def engine(
    majors: Collection[str], offers: Sequence[Collection[str]], wanted: Wanted, used: Sequence[str]
) -> Verdict:
    """Whether RDS has the version, and offers it with the class in one of the zones `used`.

    `offers` are the zones of each offer; with a standby, two zones are wanted.
    """
    major, name = wanted.database_major, wanted.database_class
    facts = {"major": major, "class": name, "region": wanted.region}
    if major not in majors:
        there = ", ".join(sorted(majors, key=_as_number)) or "none"
        return Verdict(f"there are: {there}", "engine.no-version", {**facts, "majors": there})
    if not offers:
        place = wanted.region
        return Verdict("no such offer", "engine.not-offered", {**facts, "place": place})
    best = max((set(zones) & set(used) for zones in offers), key=len) if used else set(offers[0])
    if len(best) < (2 if wanted.multi_az else 1):
        place = " and ".join(used)
        return Verdict(f"in {', '.join(sorted(best)) or 'none'} of {place}",
                       "engine.not-offered", {**facts, "place": place})  # fmt: skip
    return Verdict(f"PostgreSQL {major} on {name}")


def _as_number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def network(others: Mapping[str, str], wanted: Wanted) -> Verdict:
    """Whether the new network's range clashes with those of others (id -> range) or of clients."""
    ours = ip_network(wanted.cidr)
    taken = [ip_network(cidr) for cidr in others.values()]
    clients = [IPv4Network(text, strict=False) for text in wanted.ingress]
    inside = [str(net) for net in clients if net.overlaps(ours) and net.prefixlen > 0]
    facts = {"cidr": wanted.cidr, "free": _free(ours, [*taken, *clients])}
    if inside:
        found = {**facts, "ingress": ", ".join(inside)}
        return Verdict(f"{wanted.cidr}", "network.overlaps-ingress", found)
    shared = [
        f"{name} ({cidr})" for name, cidr in others.items() if ours.overlaps(ip_network(cidr))
    ]
    if shared:
        return Verdict(wanted.cidr, "network.overlaps", {**facts, "others": ", ".join(shared)})
    return Verdict(f"{wanted.cidr} overlaps no other")


def _free(ours: object, taken: Sequence[object]) -> str:
    """A range like the default one that overlaps nothing of it."""
    for second in range(87, 256):
        candidate = IPv4Network(f"10.{second}.0.0/20")
        used = [net for net in (ours, *taken) if isinstance(net, IPv4Network)]
        if not any(candidate.overlaps(net) for net in used if net.prefixlen > 0):
            return str(candidate)
    return "192.168.64.0/20"


def bucket(status: int, wanted: Wanted) -> Verdict:
    """What S3's answer to HeadBucket says about the name (S3 API reference)."""
    name = wanted.names.bucket
    if status == 404:
        return Verdict(name)
    if status in (403, 301):
        return Verdict(f"HTTP {status} for {name}", "bucket.taken", {"bucket": name})
    return Verdict(f"{name} is this account's already")


def existing(
    networks: Mapping[str, str],
    subnets: Mapping[str, tuple[str, str]],
    wanted: Wanted,
    *,
    out: bool,
) -> Verdict:
    """Whether the spec's existing network is one; `subnets` are id -> network and zone."""
    network = wanted.network
    wrong = list(_wrong_with(network.vpc or "", networks, subnets, wanted))
    if not wrong and not out:
        wrong = [f"{network.public_subnet} has no route to an internet gateway"]
    if wrong:
        return Verdict(str(network.vpc), "network.missing", {"what": "; ".join(wrong)})
    return Verdict(f"{network.vpc}, {len(network.private_subnets)} private subnets")


def _wrong_with(
    vpc: str,
    networks: Mapping[str, str],
    subnets: Mapping[str, tuple[str, str]],
    wanted: Wanted,
) -> Iterator[str]:
    if vpc not in networks:
        yield f"there is no {vpc} in {wanted.region}"
        return
    private = wanted.network.private_subnets
    for name in (wanted.network.public_subnet or "", *private):
        if name not in subnets:
            yield f"there is no {name}"
        elif subnets[name][0] != vpc:
            yield f"{name} is in {subnets[name][0]}"
    zones = {subnets[name][1] for name in private if name in subnets}
    if len(zones) < 2:
        yield "the private subnets are in one zone, and the database wants two"
