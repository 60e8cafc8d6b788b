"""Where things are in a lab. What no emulated account decides is taken from 198.19.0.0/16, half of
the range that RFC 2544 keeps for tests of networks; the other half is for Elastic IPs.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

IMDS = "169.254.169.254"
RESOLVER = "169.254.169.253"  # VPC user guide, "Amazon DNS server"
SERVICES = "198.19.255.1"  # every service of AWS but S3
S3 = "198.19.255.2"
PACKAGES = "198.19.255.3"  # every name that is not AWS'
AWS_WAN, OUTSIDE_WAN = "198.19.254.1", "198.19.254.2"
CLIENT_GATEWAY, CLIENT = "198.19.252.1", "198.19.252.2"
# Whom the account's rules let in when none names an address: RFC 5737 keeps it for documentation.
STRANGER = "203.0.113.10"


def link(lab: str, taken: Iterable[str]) -> tuple[str, str]:
    """This machine's end and the lab's end of the link between them; none that is `taken`."""
    used = set(taken)
    first = int(hashlib.sha256(lab.encode()).hexdigest()[:4], 16) % (250 * 128)
    for number in range(250 * 128):
        base = int(ipaddress.ip_address("198.19.0.0")) + 2 * ((first + number) % (250 * 128))
        pair = str(ipaddress.ip_address(base)), str(ipaddress.ip_address(base + 1))
        if not used & set(pair):
            return pair
    raise RuntimeError("32000 labs at once")


def gateway(cidr: str) -> str:
    """The router of a subnet, its first address (VPC user guide, "Subnet CIDR blocks")."""
    return str(ipaddress.ip_network(cidr)[1])


def spare(cidr: str, salt: str) -> str:
    """An address in the upper half of a subnet, where moto gives none to machines."""
    network = ipaddress.ip_network(cidr)
    half = network.num_addresses // 2
    offset = int(hashlib.sha256(salt.encode()).hexdigest()[:8], 16) % (half - 2)
    return str(network[half + offset])


def office(allowed: Iterable[str]) -> str:
    """Where clients come from: an address that the account's rules let in.

    The users' own networks are not on this machine; the lab's outer router stands for theirs.
    """
    for cidr in sorted(allowed):
        network = ipaddress.ip_network(cidr)
        return str(network[min(10, network.num_addresses - 1)])
    return STRANGER
