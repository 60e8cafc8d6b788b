"""When a session of credentials ends for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from provision.adapters.cloud.session import Cloud
from provision.model.account import Identity

# These are asked for again before they end, by botocore as by Terraform's provider.
_RENEWED: Final = {
    "assume-role", "assume-role-with-web-identity", "iam-role", "container-role", "sso",
    "custom-process", "login",
}  # fmt: skip
# The settings in which tools that write ~/.aws/credentials leave the end: saml2aws and aws-azure-
# login, gimme-aws-creds and okta's, aws-vault's exports.
_IN_PROFILE: Final = ("x_security_token_expires", "aws_expiration", "expiration")


def session_end(cloud: Cloud, me: Identity) -> datetime | None:
    """The end of credentials that nobody renews; `None` where there is none, or none is known.

    `aws configure export-credentials` writes AWS_CREDENTIAL_EXPIRATION (AWS CLI reference).
    """
    credentials = cloud.session.get_credentials()
    if getattr(credentials, "method", "") in _RENEWED:
        return None
    if me.expires_at is not None:
        return me.expires_at
    if cloud.has_keys_in_environment:
        return _moment(cloud.environment.get("AWS_CREDENTIAL_EXPIRATION", ""))
    profiles = cloud.session.full_config.get("profiles", {})
    settings = profiles.get(cloud.profile or "default", {})
    found = (_moment(str(settings.get(name, ""))) for name in _IN_PROFILE)
    return next((end for end in found if end is not None), None)


def _moment(text: str) -> datetime | None:
    try:
        end = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return end if end.tzinfo else end.replace(tzinfo=UTC)
