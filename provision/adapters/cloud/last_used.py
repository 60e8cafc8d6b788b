"""Which services a role has used: IAM's access advisor."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from provision.adapters.cloud.session import Cloud

_POLL_SECONDS: Final = 0.5
_POLLS: Final = 40


def age_in_days(cloud: Cloud, role: str) -> int:
    """For how long there has been such a role."""
    made = cloud.client("iam").get_role(RoleName=role)["Role"]["CreateDate"]
    return int((datetime.now(UTC) - made).days)


def unused_services(cloud: Cloud, role_arn: str) -> list[str] | None:
    """The services that a role may use and never did; `None` where IAM does not tell.

    IAM gathers it in a job of some seconds, from the last 400 days, four hours late (IAM user
    guide, "last accessed information").
    """
    iam = cloud.client("iam")
    try:
        job = iam.generate_service_last_accessed_details(Arn=role_arn)["JobId"]
        for _ in range(_POLLS):
            answer = iam.get_service_last_accessed_details(JobId=job)
            if answer["JobStatus"] == "COMPLETED":
                found = answer["ServicesLastAccessed"]
                return sorted(
                    str(one["ServiceNamespace"]) for one in found if "LastAuthenticated" not in one
                )
            time.sleep(_POLL_SECONDS)
    except Exception:
        return None
    return None
