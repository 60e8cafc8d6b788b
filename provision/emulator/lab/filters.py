"""Security groups as packet filters of the lab's router: texts for `iptables-restore`, no more.

As AWS has them: what is not allowed is dropped without a word; answers to what was allowed pass;
names, leases and metadata are no business of theirs (VPC user guide, "Security groups").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provision.emulator.lab.addresses import (
    CLIENT,
    IMDS,
    OUTSIDE_WAN,
    PACKAGES,
    RESOLVER,
    S3,
    SERVICES,
)
from provision.emulator.lab.network import BRIDGE, HOME, WAN
from provision.emulator.lab.view import Rule, View

# What can be cut off, and how: lost without a word, or answered with a refusal.
TARGETS = {"packages": PACKAGES, "s3": S3, "aws": SERVICES, "imds": IMDS, "names": RESOLVER}
DATABASE = "rds"
_CUTS = {"drop": "DROP", "refuse": "REJECT --reject-with tcp-reset"}
CUTS = tuple(_CUTS)


@dataclass(frozen=True)
class Hosts:
    """Who is in the network: `public` and `groups` by private address."""

    public: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    databases: frozenset[str] = frozenset()
    with_s3: frozenset[str] = frozenset()  # may reach S3 without a public address


def router(view: View, hosts: Hosts, cuts: Mapping[str, str]) -> str:
    """The filters of the namespace `aws`."""
    lines = ["*filter", ":INPUT ACCEPT", ":FORWARD DROP", ":OUTPUT ACCEPT", ":ARRIVE -"]
    lines += [f":{kind}-{h} -" for h in hosts.groups for kind in ("OUT", "IN")]
    lines += list(_cut(cuts, hosts))
    lines += ["-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    lines += ["-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    lines += list(_always())
    for host in hosts.groups:
        lines += list(_of(host, view, hosts))
    lines += [f"-A FORWARD -i {WAN} -j ARRIVE", f"-A INPUT -i {BRIDGE} -j DROP"]
    # Whatever is no host of the network lies outside, where nothing answers.
    lines += [f"-A ARRIVE -o {WAN} -j ACCEPT", "COMMIT"]
    return "\n".join([*lines, *_translations(hosts)]) + "\n"


def _cut(cuts: Mapping[str, str], hosts: Hosts) -> Iterable[str]:
    for target, how in sorted(cuts.items()):
        if target == DATABASE:
            for host in sorted(hosts.databases):
                yield f"-A FORWARD -p tcp -d {host} --dport 5432 -j {_CUTS[how]}"
        elif target == "names":
            yield f"-A INPUT -d {TARGETS[target]} -j DROP"
        else:
            yield f"-A INPUT -i {BRIDGE} -p tcp -d {TARGETS[target]} -j {_CUTS[how]}"


def _always() -> Iterable[str]:
    yield f"-A INPUT -i {BRIDGE} -p udp --dport 67 -j ACCEPT"
    yield f"-A INPUT -i {BRIDGE} -d {IMDS} -p tcp --dport 80 -j ACCEPT"
    for protocol in ("udp", "tcp"):
        yield f"-A INPUT -i {BRIDGE} -d {RESOLVER} -p {protocol} --dport 53 -j ACCEPT"


def _of(host: str, view: View, hosts: Hosts) -> Iterable[str]:
    """Out: first its own groups, then (for hosts here) those of whom it wants to reach."""
    groups = [view.group(name) for name in hosts.groups[host]]
    if host not in hosts.public:
        reachable = f"! -d {S3}" if host in hosts.with_s3 else ""
        yield f"-A INPUT -i {BRIDGE} -s {host} {reachable} -j DROP"
    yield f"-A INPUT -i {BRIDGE} -s {host} -j OUT-{host}"
    yield f"-A FORWARD -s {host} -j OUT-{host}"
    for rule in sorted({r for g in groups for r in g.egress}, key=str):
        yield from (f"-A OUT-{host} {match} -j ARRIVE" for match in _matches(rule, "-d", hosts))
        yield from (f"-A OUT-{host} {m} -d {a} -j ACCEPT" for m in _plain(rule) for a in _OURS)
    yield f"-A OUT-{host} -j DROP"
    for rule in sorted({r for g in groups for r in g.ingress}, key=str):
        yield from (f"-A IN-{host} {match} -j ACCEPT" for match in _matches(rule, "-s", hosts))
    yield f"-A IN-{host} -j DROP"
    yield f"-A ARRIVE -d {host} -j IN-{host}"


# They lie in the router itself; every one is on the internet for whoever has a rule for that.
_OURS = (SERVICES, S3, PACKAGES)


def _plain(rule: Rule) -> list[str]:
    return [_ports(rule)] if rule.cidr == "0.0.0.0/0" else []


def _matches(rule: Rule, side: str, hosts: Hosts) -> list[str]:
    if rule.cidr:
        return [f"{_ports(rule)} {side} {rule.cidr}"]
    members = [host for host, groups in sorted(hosts.groups.items()) if rule.group in groups]
    return [f"{_ports(rule)} {side} {member}" for member in members]


def _ports(rule: Rule) -> str:
    if rule.protocol in ("tcp", "udp"):
        return f"-p {rule.protocol} --dport {rule.first}:{rule.last}"
    return "" if rule.protocol == "-1" else f"-p {rule.protocol}"


_NAT = (
    "*nat", ":PREROUTING ACCEPT", ":INPUT ACCEPT", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT",
)  # fmt: skip


def _translations(hosts: Hosts) -> Iterable[str]:
    """The internet gateway: an Elastic IP is an address of the network's edge (VPC user guide)."""
    yield from _NAT
    for private, public in sorted(hosts.public.items()):
        yield f"-A PREROUTING -d {public} -j DNAT --to-destination {private}"
        yield f"-A POSTROUTING -s {private} -o {WAN} -j SNAT --to-source {public}"
        yield f"-A POSTROUTING -s {private} -d {private} -j SNAT --to-source {public}"
    yield "COMMIT"


def outside(here: str, office: str, *, client_s3: bool) -> str:
    """The filters of the namespace `outside`: connections in, none out.

    Whatever comes from this machine or from the lab's client seems to come from `office`.
    """
    reach = [] if client_s3 else [f"-A FORWARD -i client -d {S3} -j DROP"]
    return "\n".join([
        "*filter", ":INPUT DROP", ":FORWARD DROP", ":OUTPUT ACCEPT",
        "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        *reach,
        f"-A FORWARD -i {HOME} -o {WAN} -s {here} -j ACCEPT",
        f"-A FORWARD -i client -o {WAN} -s {CLIENT} -j ACCEPT",
        "-A FORWARD -j REJECT --reject-with icmp-net-unreachable",
        "COMMIT",
        *_NAT,
        f"-A POSTROUTING -o {WAN} ! -s {OUTSIDE_WAN} -j SNAT --to-source {office}",
        "COMMIT", "",
    ])  # fmt: skip
