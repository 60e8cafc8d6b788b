"""Checks of single values of the spec's section `aws`, each with a message of ours.

They refuse what the Terraform modules or AWS would refuse minutes later, with the line of the spec.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from pydantic_core import PydanticCustomError

from provision.model.complaints import complain, shown
from provision.model.fields import Check, as_tuple, check_name
from provision.model.suggest import closest, did_you_mean

REGION_PATTERN: Final = "^[a-z]{2}(-[a-z]+)+-[0-9]$"
ZONE_PATTERN: Final = "^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$"
ACCOUNT_PATTERN: Final = "^[0-9]{12}$"
VPC_PATTERN: Final = "^vpc-[0-9a-f]{8,17}$"
SUBNET_PATTERN: Final = "^subnet-[0-9a-f]{8,17}$"
KEY_PATTERN: Final = "^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$"
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_InstanceProfile.html
INSTANCE_PROFILE_PATTERN: Final = r"^[A-Za-z0-9_+=,.@-]{1,128}$"
MACHINE_PATTERN: Final = r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$"
DATABASE_CLASS_PATTERN: Final = r"^db\.[a-z][a-z0-9-]*\.[a-z0-9-]+$"
PARAMETER_PATTERN: Final = r"^/[A-Za-z0-9_./-]+$"
SNAPSHOT_PATTERN: Final = "^[a-z](-?[a-z0-9]){0,254}$"
CA_PATTERN: Final = "^rds-ca-[a-z0-9-]+$"
EMAIL_PATTERN: Final = "^[!-?A-~]+@[!-?A-~]+$"  # ASCII without spaces, and one @

# For "did you mean" alone: AWS opens regions faster than programs are released.
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
KNOWN_REGIONS: Final = (
    "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
    "ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3",
    "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1",
    "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1", "eu-central-2", "eu-north-1",
    "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
    "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
    "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2",
)  # fmt: skip
# The names that the console shows.
_PLACES: Final = {
    "ireland": "eu-west-1",
    "london": "eu-west-2",
    "paris": "eu-west-3",
    "frankfurt": "eu-central-1",
    "zurich": "eu-central-2",
    "stockholm": "eu-north-1",
    "milan": "eu-south-1",
    "virginia": "us-east-1",
    "ohio": "us-east-2",
    "oregon": "us-west-2",
    "california": "us-west-1",
    "mumbai": "ap-south-1",
    "singapore": "ap-southeast-1",
    "sydney": "ap-southeast-2",
    "tokyo": "ap-northeast-1",
}
# The state bucket's own suffix (`-state`) has to fit into a stack's name.
STATE_NAME_MAX: Final = 26
_RANGE: Final = (16, 24)  # as terraform/modules/naming


def matching(
    pattern: str,
    what: str,
    hint: Callable[[str], str] = lambda _: "",
    *,
    required: bool = False,
) -> Check:
    """A check that a value is text of the form `pattern`, or nothing; `what` names the form."""

    def check(value: object) -> object:
        if value is None and not required:
            return value
        # \Z: `$` alone would let a line break through at the end.
        if isinstance(value, str) and re.match(pattern[:-1] + r"\Z", value):
            return value
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        raise complain(f"must be {what}, not {shown(value)}", hint(text))

    return check


def between(low: int, high: int, unit: str = "") -> Check:
    """A check that a value is a whole number from `low` to `high`, or nothing."""

    def check(value: object) -> object:
        if value is None:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        quoted = isinstance(value, str) and re.fullmatch("[0-9]+", value)
        hint = "write it without quotes" if quoted else ""
        text = f"must be a whole number from {low} to {high}{unit}, not {shown(value)}"
        raise complain(text, hint)

    return check


def yes_or_no(value: object) -> object:
    """True, false or nothing."""
    if value is None or isinstance(value, bool):
        return value
    meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}
    hint = did_you_mean(meant.get(value.lower()) if isinstance(value, str) else None)
    raise complain(f"must be true or false, not {shown(value)}", hint)


def _region_hint(text: str) -> str:
    word = text.strip().lower()
    if re.fullmatch(ZONE_PATTERN[1:-1], word):
        return f"that is a zone: did you mean the region `{word[:-1]}`?"
    return did_you_mean(_PLACES.get(word) or _nearest_region(word))


check_region = matching(REGION_PATTERN, "a region such as `eu-west-1`", _region_hint)


def unheard_of(region: str) -> str:
    """What was probably meant by a well-formed region that this version does not know; or ""."""
    known = not region or region in KNOWN_REGIONS
    return "" if known else _nearest_region(region) or ""


def _nearest_region(word: str) -> str | None:
    # Swapped letters first: `us-esat-1` is nearer to west than to east for difflib.
    same_letters = [region for region in KNOWN_REGIONS if sorted(region) == sorted(word)]
    return same_letters[0] if len(same_letters) == 1 else closest(word, KNOWN_REGIONS)


def _account_hint(text: str) -> str:
    bare = text.replace("-", "").replace(" ", "")
    return f'write it in quotes: "{bare}"' if re.fullmatch("[0-9]{12}", bare) else ""


check_account = matching(ACCOUNT_PATTERN, "an account's 12 digits in quotes", _account_hint)


def _key_hint(text: str) -> str:
    if ":alias/" in text or text.startswith("alias/"):
        return "an alias can come to mean another key: write the ARN of the key itself"
    return "write the whole ARN, as `aws kms describe-key` shows it" if text else ""


check_key = matching(KEY_PATTERN, "the ARN of a key of KMS", _key_hint)


def _offer(text: str, pattern: str) -> str:
    """The hint that offers `text`, if that would be right."""
    return did_you_mean(text if re.fullmatch(pattern[1:-1], text) else None)


def _profile_hint(text: str) -> str:
    name = text.rpartition("/")[2]
    return _offer(name, INSTANCE_PROFILE_PATTERN) if text.startswith("arn:") else ""


check_instance_profile = matching(
    INSTANCE_PROFILE_PATTERN, "the name of an instance profile", _profile_hint
)


check_machine = matching(
    MACHINE_PATTERN,
    "an instance type such as `t3.small`",
    lambda text: _offer(text.removeprefix("db."), MACHINE_PATTERN),
)
check_database_class = matching(
    DATABASE_CLASS_PATTERN,
    "a class of RDS such as `db.t4g.micro`",
    lambda text: _offer(f"db.{text}", DATABASE_CLASS_PATTERN),
)
check_vpc = matching(VPC_PATTERN, "the id of a VPC, `vpc-` and 8 or 17 hexadecimal digits")
_SUBNET: Final = "the id of a subnet, `subnet-` and 8 or 17 hexadecimal digits"
check_subnet = matching(SUBNET_PATTERN, _SUBNET)
check_zone = matching(ZONE_PATTERN, "an availability zone such as `eu-west-1a`", required=True)
check_listed_subnet = matching(SUBNET_PATTERN, _SUBNET, required=True)
check_parameter = matching(
    PARAMETER_PATTERN, "the name of a public parameter that starts with a slash"
)
check_snapshot = matching(
    SNAPSHOT_PATTERN, "lower-case letters, digits and single dashes, from a letter on"
)
check_ca = matching(CA_PATTERN, "an authority of RDS such as `rds-ca-rsa2048-g1`")
check_email = matching(EMAIL_PATTERN, "one e-mail address")


def check_state_name(value: object) -> object:
    """The name of a bucket of states: a stack's name, and room for the suffix."""
    text = check_name(value)
    if isinstance(text, str) and len(text) > STATE_NAME_MAX:
        raise complain(f"at most {STATE_NAME_MAX} characters, not {len(text)}")
    return text


def check_zones(value: object) -> object:
    """The list of a new network's zones: none, or two."""
    return _several(value, "two availability zones", lambda count: count in (0, 2))


def check_private_subnets(value: object) -> object:
    """The list of the database's subnets: none, or two and more."""
    return _several(value, "subnets in two availability zones", lambda count: count != 1)


def _several(value: object, what: str, fits: Callable[[int], bool]) -> object:
    entries = as_tuple(value)
    words = [e for e in entries if isinstance(e, str)] if isinstance(entries, tuple) else []
    if isinstance(entries, tuple) and len(words) == len(entries) != len(set(words)):
        raise complain("names the same one twice", f"name {what}: RDS demands it")
    if isinstance(entries, tuple) and not fits(len(entries)):
        raise complain(f"must name {what}, not {len(entries)}", "RDS demands two zones")
    return entries


def check_ingress(value: object) -> object:
    """One IPv4 network whose machines may come in."""
    network = _network(value)
    if network.prefixlen == 0:
        raise _open_to_the_world(f"{shown(value)} is")
    return str(network)


def check_all_ingress(value: object) -> object:
    """The list of such networks, which together must not be the whole internet either."""
    entries = as_tuple(value)
    networks = [_perhaps_network(entry) for entry in entries] if isinstance(entries, tuple) else []
    together = ipaddress.collapse_addresses(n for n in networks if n and n.prefixlen)
    if any(network.prefixlen == 0 for network in together):
        raise _open_to_the_world("these networks together are")
    return entries


def _open_to_the_world(what: str) -> PydanticCustomError:
    why = f"{what} the whole internet, and a tracking server is not for all of it"
    hint = "name your users' networks, such as `203.0.113.0/24`, or none and use a tunnel"
    return complain(why, hint)


def check_range(value: object) -> object:
    """The IPv4 range of a new network, from which four subnets are cut; or nothing."""
    if value is None:
        return None
    network, (widest, narrowest) = _network(value), _RANGE
    if not widest <= network.prefixlen <= narrowest:
        raise complain(f"must be a range from /{widest} to /{narrowest}, not {shown(value)}")
    return str(network)


def _network(value: object) -> ipaddress.IPv4Network:
    what = "an IPv4 network such as `203.0.113.0/24`"
    if not isinstance(value, str):
        raise complain(f"must be {what}, not {shown(value)}")
    found = _perhaps_network(value)
    # A bare address would be taken for /32, and a netmask in dots for what it stands for.
    if found is None or str(found) != value:
        raise complain(f"must be {what}, not {shown(value)}", _network_hint(value))
    return found


def _perhaps_network(value: object) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _network_hint(text: str) -> str:
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return ""
    if meant.version == 6:
        return "the network of the stack is IPv4 alone"
    return did_you_mean(str(meant))
