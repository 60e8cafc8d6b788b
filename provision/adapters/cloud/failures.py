"""What goes wrong between us and AWS, in words: the cause, and what to do about it.

Codes are AWS' own ("Common Errors" in each service's API reference; EC2 has other names for some).
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from provision.errors import MissingError, ProvisionError

if TYPE_CHECKING:
    from provision.adapters.cloud.session import Cloud

EXPIRED: Final = {
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired",
}  # fmt: skip
_UNKNOWN_KEYS: Final = {
    "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
    "MissingAuthenticationToken",
}  # fmt: skip
_DENIED: Final = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError",
    "AllAccessDisabled", "403",
}  # fmt: skip
_THROTTLED: Final = {
    "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
    "SlowDown", "RequestThrottled",
}  # fmt: skip
_ACTION: Final = re.compile(r"perform:? ([a-z0-9-]+:\w+)")
_SKEW: Final = "clock"


class _Met(NamedTuple):
    """A failure of botocore's own: where, while doing what, and in which words."""

    cloud: Cloud
    doing: str
    said: str


@contextlib.contextmanager
def explained(cloud: Cloud, doing: str) -> Iterator[None]:
    """Turn botocore's errors while `doing` something into errors with a next step."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise _refused(error, cloud, doing) from error
    except BotoCoreError as error:
        raise _not_asked(error, cloud, doing) from error


def code_of(error: Exception) -> str:
    """The service's code in a `ClientError`; empty for any other error."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def is_denied(error: Exception) -> bool:
    """Whether these credentials lack a right."""
    return code_of(error) in _DENIED


def _refused(error: Exception, cloud: Cloud, doing: str) -> ProvisionError:
    """AWS was reached, and said no."""
    code = code_of(error)
    if code in EXPIRED:
        return _expired(cloud, doing)
    if code in _UNKNOWN_KEYS:
        return _unknown_keys(cloud, doing, str(error))
    if code in _DENIED:
        return _denied(error, cloud, doing)
    if code in _THROTTLED:
        return ProvisionError(
            f"cannot {doing}: AWS limits how often this account may ask ({code})",
            next_step="wait a minute, then run this again",
        )
    return ProvisionError(
        f"cannot {doing} in {cloud.region}: {error}",
        next_step="run this again; if AWS says the same, its message names what to change",
    )


def _expired(cloud: Cloud, doing: str) -> MissingError:
    return MissingError(
        f"cannot {doing}: {_whose(cloud)} have expired", next_step=_renew(cloud, "get new ones")
    )


def _unknown_keys(cloud: Cloud, doing: str, said: str) -> MissingError:
    if _SKEW in said.lower() or "not yet current" in said:
        return MissingError(
            f"cannot {doing}: AWS refuses the signature, since this machine's clock is wrong",
            next_step="set the clock (timedatectl set-ntp true), then run this again",
        )
    return MissingError(
        f"cannot {doing}: AWS does not know {_whose(cloud)} in {cloud.region}",
        next_step=_renew(cloud, "check them with: aws sts get-caller-identity")
        + f"; where they are right, switch the region {cloud.region} on for the account",
    )


def _denied(error: Exception, cloud: Cloud, doing: str) -> MissingError:
    named = _ACTION.search(str(error))
    operation = getattr(error, "operation_name", "")
    right = named.group(1) if named else operation
    return MissingError(
        f"cannot {doing}: {_whose(cloud)} lack the right {right}",
        next_step=f"ask the account's administrator for {right}, or use another profile "
        "(AWS_PROFILE=NAME)",
    )


def _not_asked(error: Exception, cloud: Cloud, doing: str) -> ProvisionError:
    """Botocore failed before AWS answered."""
    for kinds, explain in _REASONS:
        if type(error).__name__ in kinds:
            return explain(_Met(cloud, doing, str(error)))
    return ProvisionError(
        f"cannot {doing}: {error}", next_step=_renew(cloud, "check ~/.aws/config")
    )


def _no_credentials(met: _Met) -> MissingError:
    return MissingError(
        f"cannot {met.doing}: there are no AWS credentials ({met.said.rstrip('.')})",
        next_step="aws configure sso (or aws configure, or set AWS_PROFILE to a profile that has "
        "them), then run this again",
    )


def _no_profile(met: _Met) -> MissingError:
    known = met.cloud.profiles()
    near = difflib.get_close_matches(met.cloud.profile or "", known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    listed = ", ".join(known) or "none"
    return MissingError(
        f"cannot {met.doing}: there is no AWS profile {met.cloud.profile} "
        f"(there are: {listed}){meant}",
        next_step=f"set AWS_PROFILE to one of them, or make it: "
        f"aws configure sso --profile {met.cloud.profile}",
    )


def _sso_ended(met: _Met) -> MissingError:
    return MissingError(
        f"cannot {met.doing}: the SSO session of {_profile(met.cloud)} has expired "
        "or was never opened",
        next_step=f"aws sso login{_flag(met.cloud)}",
    )


def _login_ended(met: _Met) -> MissingError:
    return MissingError(
        f"cannot {met.doing}: the login session of {_profile(met.cloud)} has expired",
        next_step=f"aws login{_flag(met.cloud)}",
    )


def _source_failed(met: _Met) -> MissingError:
    return MissingError(
        f"cannot {met.doing}: the source of the credentials of {_profile(met.cloud)} failed: "
        f"{met.said}",
        next_step="mend what the message names in ~/.aws/config, then: aws sts get-caller-identity"
        + _flag(met.cloud),
    )


def _unreachable(met: _Met) -> ProvisionError:
    regions = met.cloud.regions()
    if regions and met.cloud.region not in regions:
        return _no_such_region(met)
    return ProvisionError(
        f"cannot {met.doing}: AWS does not answer in {met.cloud.region}: {met.said}",
        next_step="check the network and the proxy (HTTPS_PROXY), then run this again",
    )


def _no_such_region(met: _Met) -> MissingError:
    near = difflib.get_close_matches(met.cloud.region, met.cloud.regions(), n=1)
    meant = f": did you mean {near[0]}?" if near else ""
    return MissingError(
        f"cannot {met.doing}: AWS has no region {met.cloud.region}{meant}",
        next_step="correct aws: region: in the spec",
    )


def _broken_file(met: _Met) -> MissingError:
    return MissingError(
        f"cannot {met.doing}: {met.said}",
        next_step="correct that file, or point AWS_CONFIG_FILE to another",
    )


def _whose(cloud: Cloud) -> str:
    return f"the credentials of {_profile(cloud)}" if cloud.profile else "the AWS credentials"


def _profile(cloud: Cloud) -> str:
    return f"profile {cloud.profile}" if cloud.profile else "the default profile"


def _flag(cloud: Cloud) -> str:
    return f" --profile {cloud.profile}" if cloud.profile else ""


def _renew(cloud: Cloud, otherwise: str) -> str:
    """How the credentials at hand are renewed, as far as the profile's settings show it."""
    kind = cloud.kind_of_profile()
    if kind == "sso":
        return f"aws sso login{_flag(cloud)}"
    if cloud.has_keys_in_environment:
        return (
            f"{otherwise}, and export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN"
        )
    return f"{otherwise} (they come from {_profile(cloud)} in ~/.aws)"


_REASONS: Final = (
    ({"NoCredentialsError", "PartialCredentialsError"}, _no_credentials),
    ({"ProfileNotFound"}, _no_profile),
    (
        {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError", "SSOError"},
        _sso_ended,
    ),
    ({"LoginRefreshRequired", "LoginTokenLoadError", "LoginError"}, _login_ended),
    (
        {"CredentialRetrievalError", "MetadataRetrievalError", "InvalidConfigError",
         "InfiniteLoopConfigError", "RefreshWithMFAUnsupportedError"},
        _source_failed,
    ),
    (
        {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError",
         "ProxyConnectionError", "ConnectionClosedError", "SSLError", "HTTPClientError"},
        _unreachable,
    ),
    ({"InvalidRegionError", "UnknownRegionError"}, _no_such_region),
    ({"ConfigParseError", "ConfigNotFound", "InvalidDefaultsMode"}, _broken_file),
)  # fmt: skip
