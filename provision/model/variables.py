"""The variables of the Terraform root `stacks/tracking`, from a spec and from what a run knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.model.aws import Aws, Network
from provision.model.schedules import Schedule
from provision.model.spec import Spec


def variables(  # noqa: PLR0913 - all but one are passed by name
    spec: Spec,
    *,
    account: str,
    run: str,
    user_data: str,
    region: str,
    schedules: Mapping[str, Schedule] | None = None,
    snapshot: str = "",
) -> dict[str, Any]:
    """The content of a `.tfvars.json` file: plain JSON values by the names that the root declares.

    `account` (12 digits) and `region` are those that the credentials lead to: the root does nothing
    in any other. `run` is the id that every resource of the stack carries in a tag. `schedules` are
    what AWS is to do by itself; they take a role. A database that is to be made is made from
    `snapshot`, or empty. What the spec leaves out is left out here, so that the root's own defaults
    and profiles hold. None of it is secret.
    """
    return {
        "name": spec.name,
        "region": region,
        "account_id": account,
        "run": run,
        "profile": spec.aws.profile,
        "settings": _settings(spec.aws) | _given(database_snapshot=snapshot or None),
        "network": _network(spec.aws.network),
        "access": _access(spec.aws),
        "user_data": user_data,
        "lifetime": _lifetime(spec, schedules or {}),
        "tags": dict(spec.tags),
    }


def _settings(aws: Aws) -> dict[str, object]:
    chosen = aws.settings.chosen()
    if "database_major" in chosen:  # a number for people, part of a name in Terraform
        chosen["database_major"] = str(chosen["database_major"])
    return chosen


def _network(network: Network) -> dict[str, object]:
    if network.is_existing:
        return {
            "existing": {
                "vpc_id": network.vpc,
                "public_subnet_id": network.public_subnet,
                "private_subnet_ids": list(network.private_subnets),
            }
        }
    return _given(cidr=network.cidr, zones=list(network.zones) or None)


def _access(aws: Aws) -> dict[str, object]:
    return _given(
        ingress_cidrs=sorted(set(aws.ingress)),
        existing_instance_profile=aws.instance_profile,
        kms_key_arn=aws.kms_key,
    )


def _lifetime(spec: Spec, schedules: Mapping[str, Schedule]) -> dict[str, object]:
    until = spec.lifetime.until
    planned = {name: schedule.to_json() for name, schedule in sorted(schedules.items())}
    return _given(
        ends_on=until.isoformat() if until else None,
        alarm_email=spec.lifetime.alarm_email,
        webhook=spec.lifetime.webhook,
        budget=spec.lifetime.budget,
        schedules=planned if planned and spec.aws.instance_profile is None else None,
    )


def _given(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
