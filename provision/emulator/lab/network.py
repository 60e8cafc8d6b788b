"""The lab's network, out of namespaces and pairs of virtual cables.

    this machine --- outside --- aws (router, services) --- rds, machines ...
                        |
                      client

`outside` is the internet and the users' office: it lets connections in and none out. Nothing in it
leads to this machine's own networks.
"""

from __future__ import annotations

import json
from pathlib import Path

from provision.emulator.lab import addresses, namespaces
from provision.emulator.lab.addresses import (
    AWS_WAN,
    CLIENT,
    CLIENT_GATEWAY,
    IMDS,
    OUTSIDE_WAN,
    PACKAGES,
    RESOLVER,
    S3,
    SERVICES,
)
from provision.emulator.lab.system import run

BRIDGE = "vpc"
WAN = "wan"
HOME = "home"
_ROUTER = (
    "ipv4/ip_forward=1", "ipv4/conf/all/send_redirects=0", "ipv4/conf/default/send_redirects=0",
    "ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0",
)  # fmt: skip


class Network:
    """The wires of one lab; `device` is the end of its cable on this machine."""

    def __init__(self, lab: str) -> None:
        self.device = f"pl{lab}"
        self.here, self.there = addresses.link(lab, _addresses_here())

    def make(self) -> None:
        """Everything that does not depend on the account."""
        for name in ("aws", "outside", "client"):
            namespaces.make(name)
        for name in ("aws", "outside"):
            _settings(name, _ROUTER)
        self._make_router()
        self._make_outside()

    def _make_router(self) -> None:
        ip("aws", f"link add {BRIDGE} type bridge")
        ip("aws", f"link set {BRIDGE} up")
        # Hosts of one subnet meet through the router too, or its filters would not see them.
        _settings("aws", [f"ipv4/conf/{BRIDGE}/proxy_arp_pvlan=1"])
        for address in (IMDS, RESOLVER, SERVICES, S3, PACKAGES):
            ip("aws", f"addr add {address}/32 dev lo")
        _cable("aws", WAN, "outside", WAN)
        ip("aws", f"addr add {AWS_WAN} peer {OUTSIDE_WAN} dev {WAN}")
        ip("outside", f"addr add {OUTSIDE_WAN} peer {AWS_WAN} dev {WAN}")
        ip("aws", f"route add default via {OUTSIDE_WAN}")

    def _make_outside(self) -> None:
        _cable("outside", "client", "client", "eth0")
        ip("outside", f"addr add {CLIENT_GATEWAY} peer {CLIENT} dev client")
        ip("client", f"addr add {CLIENT} peer {CLIENT_GATEWAY} dev eth0")
        ip("client", f"route add default via {CLIENT_GATEWAY}")
        run(["ip", "link", "add", self.device, "type", "veth", "peer", "name", HOME, "netns",
             "/run/netns/outside"])  # fmt: skip
        run(["ip", "addr", "add", self.here, "peer", self.there, "dev", self.device])
        run(["ip", "link", "set", self.device, "up"])
        ip("outside", f"link set {HOME} up")
        ip("outside", f"addr add {self.there} peer {self.here} dev {HOME}")
        for address in (SERVICES, S3, RESOLVER):
            ip("outside", f"route add {address}/32 via {AWS_WAN}")

    def open_way(self, public: str) -> None:
        """Lead this machine and the clients to an Elastic IP."""
        run(["ip", "route", "replace", f"{public}/32", "via", self.there, "dev", self.device])
        ip("outside", f"route replace {public}/32 via {AWS_WAN}")

    def close_way(self, public: str) -> None:
        """The address leads nowhere any more."""
        run(["ip", "route", "del", f"{public}/32", "dev", self.device])
        ip("outside", f"route del {public}/32")


def plug(name: str, mac: str | None = None) -> None:
    """Connect a new namespace's `eth0` to the account's network, still without an address."""
    namespaces.make(name)
    port = name[-12:]
    _cable("aws", port, name, "eth0", up=False)
    if mac:
        ip(name, f"link set eth0 address {mac}")
    ip("aws", f"link set {port} master {BRIDGE}")
    ip("aws", f"link set {port} type bridge_slave isolated on")
    ip("aws", f"link set {port} up")


def settle(name: str, address: str, cidr: str) -> None:
    """Give a namespace a fixed address in a subnet."""
    ip(name, "link set eth0 up")
    ip(name, f"addr replace {address}/{cidr.split('/')[1]} dev eth0")
    ip(name, f"route replace default via {addresses.gateway(cidr)}")


def serve_subnet(cidr: str) -> None:
    """Be the router of a subnet."""
    prefix = cidr.split("/")[1]
    ip("aws", f"addr replace {addresses.gateway(cidr)}/{prefix} dev {BRIDGE}")


def filters(name: str, rules: str) -> None:
    """Replace all packet filters of a namespace in one step."""
    run(namespaces.within(name, ["iptables-restore"]), given=rules, doing="set packet filters")


def ip(name: str, words: str) -> None:
    """One command of iproute2 in a namespace."""
    run(["ip", "-n", name, *words.split()])


def _cable(first: str, end: str, second: str, other: str, *, up: bool = True) -> None:
    ip(first, f"link add {end} type veth peer name {other} netns /run/netns/{second}")
    if up:
        ip(first, f"link set {end} up")
        ip(second, f"link set {other} up")


def _settings(name: str, pairs: list[str] | tuple[str, ...]) -> None:
    with namespaces.entered(name):
        for pair in pairs:
            key, _, value = pair.partition("=")
            Path(f"/proc/sys/net/{key}").write_text(value, encoding="ascii")


def _addresses_here() -> list[str]:
    links = json.loads(run(["ip", "-j", "addr"]))
    return [entry["local"] for link in links for entry in link["addr_info"] if "local" in entry]
