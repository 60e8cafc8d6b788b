"""Who we are at AWS, asked of AWS itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from provision.adapters.cloud.failures import explained
from provision.adapters.cloud.session import Cloud
from provision.errors import MissingError, ProvisionError
from provision.model.account import Identity


def identity(
    environment: Mapping[str, str], region: str | None, profile: str | None = None
) -> Identity:
    """Account, user or role, and how long its credentials last.

    Reads nothing but AWS' own sources, in AWS' own order: keys in the environment, the profile
    with its SSO session or its assumed role, the machine's own role. `region` falls back to
    `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile's. STS' GetCallerIdentity needs no right and
    cannot be refused by a policy (AWS, STS API reference).

    Raises `MissingError` naming what is missing or has expired, `ProvisionError` where AWS does not
    answer.
    """
    return identity_of(Cloud(environment, region, profile))


def identity_of(cloud: Cloud) -> Identity:
    """The same for services that are open already."""
    with explained(cloud, "ask AWS who you are"):
        if not cloud.region:
            raise _no_region()
        answer = cloud.client("sts").get_caller_identity()
        arn = str(answer["Arn"])
        return Identity(
            account=str(answer["Account"]),
            arn=arn,
            region=cloud.region,
            partition=arn.split(":")[1],
            expires_at=_end(cloud),
        )


def _no_region() -> MissingError:
    return MissingError(
        "no AWS region is set: neither in the spec nor by AWS_REGION nor in the profile",
        next_step="write the section aws: with region: eu-west-1 (or another one) into the spec",
    )


def _end(cloud: Cloud) -> datetime | None:
    """When a session's credentials end; botocore keeps it in a field without a public reader."""
    end = getattr(cloud.session.get_credentials(), "_expiry_time", None)
    return end if isinstance(end, datetime) else None


def trouble(
    environment: Mapping[str, str],
    region: str,
    profile: str | None,
    *,
    now: datetime,
    margin: timedelta = timedelta(minutes=2),
) -> str | None:
    """Why a command that has gone silent may be stuck, asked of AWS anew; `None` without a reason.

    Reads the credentials again, asks once and without patience. Credentials that end within
    `margin` after `now` are a reason too: Terraform's provider takes an expired session for a wrong
    clock, and asks again for minutes.
    """
    try:
        me = identity_of(Cloud(environment, region, profile, attempts=1))
    except ProvisionError as error:
        return error.message
    if me.expires_at is None or me.expires_at - now > margin:
        return None
    return f"the AWS credentials end at {me.expires_at.astimezone(UTC):%H:%M:%S} UTC"
