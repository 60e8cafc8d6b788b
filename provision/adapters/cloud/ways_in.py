"""Ways into a stack taken out of its security groups: Terraform does not see what others added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud
from provision.model.exposure import Rule


def revoke(cloud: Cloud, group: str, rules: Sequence[Rule]) -> None:
    """Let a security group let in less. Needs the right `ec2:RevokeSecurityGroupIngress`."""
    with explained(cloud, "take rules out of a security group"):
        cloud.client("ec2").revoke_security_group_ingress(
            GroupId=group, IpPermissions=[_permission(rule) for rule in rules]
        )


def _permission(rule: Rule) -> dict[str, Any]:
    """As EC2 takes it back (EC2 API reference, IpPermission)."""
    key, name = _kind(rule.source)
    ports = {} if rule.protocol == "-1" else {"FromPort": rule.first, "ToPort": rule.last}
    return {"IpProtocol": rule.protocol, **ports, key: [{name: rule.source}]}


def _kind(source: str) -> tuple[str, str]:
    if source.startswith("sg-"):
        return "UserIdGroupPairs", "GroupId"
    if source.startswith("pl-"):
        return "PrefixListIds", "PrefixListId"
    return ("Ipv6Ranges", "CidrIpv6") if ":" in source else ("IpRanges", "CidrIp")
