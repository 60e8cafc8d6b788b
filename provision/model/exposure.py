"""What security groups, and where a server listens, mean for who gets in."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from provision.model.questions import Verdict

HTTPS: Final = 443
_WORLD: Final = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class Rule:
    """What one rule of a security group lets in; `source` is a network, a list or a group."""

    protocol: str
    first: int
    last: int
    source: str

    @property
    def is_https(self) -> bool:
        """Whether it opens the server's port and no other."""
        return (self.protocol, self.first, self.last) == ("tcp", HTTPS, HTTPS)

    def __str__(self) -> str:
        if self.protocol == "-1":
            return f"everything from {self.source}"
        ports = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        return f"port {ports} from {self.source}"


def beyond(rules: Sequence[Rule], ingress: Collection[str]) -> list[Rule]:
    """Those that let in more than the server's port from what the spec names."""
    return [rule for rule in rules if not rule.is_https or rule.source not in ingress]


def of_machine(rules: Sequence[Rule], ingress: Collection[str], *, accounts: bool) -> Verdict:
    """What the machine's security groups mean; `ingress` is what the spec lets in."""
    other = beyond(rules, ingress)
    if other:
        facts = {"rules": ", ".join(map(str, other))}
        return Verdict(", ".join(map(str, rules)), "exposure.other-way-in", facts)
    world = [rule.source for rule in rules if rule.source in _WORLD]
    if world and not accounts:
        return Verdict("open to the world", "exposure.no-accounts", {"reach": "the internet"})
    if world:
        return Verdict("open to the world", "exposure.world-open", {"port": str(HTTPS)})
    sources = ", ".join(rule.source for rule in rules)
    if sources and not accounts:
        return Verdict(f"open to {sources}", "exposure.no-accounts", {"reach": sources})
    return Verdict(f"port {HTTPS} from {sources}" if sources else "no port is open")


def of_listening(listen: str, *, accounts: bool, tls: bool = False) -> Verdict:
    """What it means that a server listens on this address."""
    if ipaddress.ip_address(listen).is_loopback:
        return Verdict(f"{listen}: this machine alone")
    facts = {"reach": f"it listens on {listen}"}
    if accounts and tls:
        return Verdict(f"{listen}, with accounts and TLS")
    problem = "exposure.passwords-in-clear" if accounts else "exposure.no-accounts"
    return Verdict(f"{listen}, {'with' if accounts else 'without'} accounts", problem, facts)


def of_database(rules: Sequence[Rule], servers: Collection[str], *, public: bool) -> Verdict:
    """Who reaches the database; `servers` are the machine's security groups."""
    others = [rule for rule in rules if rule.source not in servers]
    how = [*(["it has a public address"] if public else []), *map(str, others)]
    if how:
        return Verdict("open to more than the server", "exposure.database",
                       {"how": ", ".join(how)})  # fmt: skip
    return Verdict("the server alone")
