"""What it means for a question when AWS does not answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from provision.adapters.cloud.failures import EXPIRED, code_of, is_denied
from provision.adapters.cloud.session import Cloud
from provision.errors import ProvisionError
from provision.model.questions import Verdict

_ENDED: Final = {
    "SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError", "SSOError",
    "LoginRefreshRequired", "LoginTokenLoadError", "LoginError",
}  # fmt: skip
_NONE: Final = {
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError",
    "MetadataRetrievalError", "InvalidConfigError", "InfiniteLoopConfigError",
    "RefreshWithMFAUnsupportedError", "ConfigParseError", "ConfigNotFound", "InvalidDefaultsMode",
}  # fmt: skip
_NO_REGION: Final = {"InvalidRegionError", "UnknownRegionError"}
_SKEWED: Final = ("clock", "not yet current", "Signature expired")


def or_unknown(right: str, ask: Callable[[], Verdict]) -> Callable[[], Verdict]:
    """The question, with what it means that AWS refuses it or does not answer."""

    def asked() -> Verdict:
        try:
            return ask()
        except ProvisionError as error:
            return Verdict(error.message, "aws.not-answered")
        except Exception as error:
            return _unknown(error, right)

    return asked


def _unknown(error: Exception, right: str) -> Verdict:
    if is_denied(error):
        return Verdict(f"refused: {code_of(error)}", "aws.not-allowed", {"right": right})
    return Verdict(code_of(error) or f"{type(error).__name__}: {error}", "aws.not-answered")


def of_identity(error: ProvisionError, cloud: Cloud) -> Verdict:
    """Why AWS could not say who we are."""
    cause = error.__cause__
    name, code = type(cause).__name__, code_of(cause) if isinstance(cause, Exception) else ""
    facts = {"step": error.next_step, "region": cloud.region}
    if any(sign in str(cause) for sign in _SKEWED):
        return Verdict(error.message, "clock.wrong", {"seconds": "more than 300"})
    if code in EXPIRED or name in _ENDED:
        return Verdict(error.message, "session.expired", facts)
    if code:
        return Verdict(error.message, "session.unknown", facts)
    if name in _NONE:
        return Verdict(error.message, "session.none", facts)
    if cause is None or name in _NO_REGION or cloud.region not in cloud.regions():
        return Verdict(error.message, "session.no-region", facts)
    return Verdict(error.message, "aws.unreachable", facts)
