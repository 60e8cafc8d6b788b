"""Terraform's failures as errors of ours: the cause in words, and what to do next.

Terraform prints what AWS answered, and AWS' codes are stable; the texts around them are not. So
codes and Terraform's own summaries are looked for, in the order of `_KNOWN`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.terraform_events import Diagnostic
from provision.model.terraform_lock import LockInfo, lock_in

_AGAIN: Final = "then run the same command again: what exists is kept and taken up"
_LONGEST = 600
_LOCKED: Final = "acquiring the state lock"


@dataclass(frozen=True)
class Context:
    """What an error message needs to know about where it happened."""

    folder: Path
    doing: str


class LockedError(RefusedError):
    """Somebody holds the lock of the state; `lock` says who, where it could be read."""

    def __init__(self, message: str, *, next_step: str, lock: LockInfo | None) -> None:
        super().__init__(message, next_step=next_step)
        self.lock = lock


class StateRefusedError(RefusedError):
    """The stored state is newer than the one that was to replace it, or another stack's."""


@dataclass(frozen=True)
class _Known:
    pattern: re.Pattern[str]
    kind: type[ProvisionError]
    message: str
    next_step: str


def _known(pattern: str, kind: type[ProvisionError], message: str, next_step: str) -> _Known:
    return _Known(re.compile(pattern, re.DOTALL), kind, message, next_step)


_KNOWN: Final = (
    _known(
        r"no space left on device",
        MissingError,
        "the disk that holds {folder} is full",
        f"free space there, {_AGAIN}",
    ),
    _known(
        r"\b(ExpiredToken(?:Exception)?|RequestExpired|ExpiredTokenException)\b",
        MissingError,
        "the AWS credentials have expired ({1})",
        f"sign in again (aws sso login, or new keys), {_AGAIN}",
    ),
    _known(
        r"\b(InvalidClientTokenId|UnrecognizedClientException|AuthFailure|SignatureDoesNotMatch"
        r"|InvalidAccessKeyId)\b",
        MissingError,
        "AWS does not accept the credentials ({1})",
        f"look at them with: aws sts get-caller-identity; {_AGAIN}",
    ),
    _known(
        r"No valid credential sources found|failed to refresh cached credentials"
        r"|failed to get shared config profile",
        MissingError,
        "there are no AWS credentials for this",
        "set AWS_PROFILE, or sign in with: aws sso login; then run this again",
    ),
    _known(
        r"\b(InsufficientInstanceCapacity|InsufficientDBInstanceCapacity|InsufficientHostCapacity"
        r"|Server\.InsufficientInstanceCapacity)\b",
        ProvisionError,
        "AWS has no capacity for this size in this zone now ({1}: {resource})",
        f"wait some minutes, or choose another size, {_AGAIN}",
    ),
    _known(
        r"\b(\w*(?:LimitExceeded|QuotaExceeded|QuotaExceededFault|LimitExceededException"
        r"|TooManyBuckets))\b",
        MissingError,
        "a quota of this account is used up ({1}: {resource})",
        "remove what is not needed any more, or have the quota raised "
        f"(https://console.aws.amazon.com/servicequotas), {_AGAIN}",
    ),
    _known(
        r"not authorized to perform:? ([\w-]+:\w+)",
        MissingError,
        "this account's rights do not allow {1} ({resource})",
        f"ask for the right {{1}}, {_AGAIN}",
    ),
    _known(
        r"\b(AccessDenied(?:Exception)?|UnauthorizedOperation|AccessDeniedFault|Forbidden)\b",
        MissingError,
        "the rights at hand do not allow this ({1}: {resource})",
        f"ask for the right that the text above names, {_AGAIN}",
    ),
    _known(
        r"\b(BucketAlreadyExists)\b",
        ProvisionError,
        "a bucket of this name belongs to somebody else: names of buckets are unique worldwide",
        "choose another name for the stack, then run this again",
    ),
    _known(
        r"\b(\w*AlreadyExists(?:Fault|Exception)?|BucketAlreadyOwnedByYou|\w+\.Duplicate"
        r"|DuplicateLogGroup|ResourceExistsException)\b",
        RefusedError,
        "something with this name is there already, and not in this stack's state "
        "({1}: {resource})",
        "provision plan shows what an interrupted command left, and adopts it; otherwise choose "
        "another name for the stack",
    ),
    _known(
        r"Cannot import state with serial|serial (?:number )?\d+ .* newer|newer serial"
        r"|cannot import state with lineage|unrelated state",
        StateRefusedError,
        "the stored state is newer than the one at hand, or of another stack",
        "leave the stored one; run the same command again to read it",
    ),
    _known(
        r"Unsupported state file format.*created by Terraform v?(\d+\.\d+\.\d+)",
        MissingError,
        "the state was written by a newer Terraform ({1})",
        "install that version or a newer one, then run this again",
    ),
    _known(
        r"Saved plan is stale",
        RefusedError,
        "the state has changed since this plan was made, so that it no longer holds",
        "run the same command again: it plans anew",
    ),
    _known(
        r"(?:Failed to query available provider packages|Failed to install provider"
        r"|provider registry\.terraform\.io/\S+ (?:was )?not available|Required plugins are not "
        r"installed|Inconsistent dependency lock file)",
        MissingError,
        "Terraform cannot get the AWS provider",
        "connect this machine to registry.terraform.io, or put a mirror of hashicorp/aws under "
        "~/.terraform.d/plugins (terraform providers mirror FOLDER makes one), then run this "
        "again",
    ),
    _known(
        r'S3 bucket "?([\w.-]+)"? does not exist|NoSuchBucket',
        MissingError,
        "the bucket of the shared state is not there ({1})",
        "look at state_name, region and account in the spec, then run this again",
    ),
    _known(
        r"AWS account ID not allowed: (\d+)",
        RefusedError,
        "the credentials at hand belong to account {1}, this stack to another one",
        "use the stack's own credentials (AWS_PROFILE), then run this again",
    ),
    _known(
        r"deletion protection|Cannot delete protected|OperationNotPermitted.*terminat",
        RefusedError,
        "AWS protects this from deletion ({resource})",
        "switch the protection off in the spec, provision up, then run this again",
    ),
    _known(
        r"dial tcp|no such host|connection refused|i/o timeout|network is unreachable|proxyconnect",
        MissingError,
        "AWS cannot be reached from this machine ({resource})",
        f"look at the network and at HTTPS_PROXY, {_AGAIN}",
    ),
)


def failure(diagnostics: Sequence[Diagnostic], printed: str, context: Context) -> ProvisionError:
    """The error for a command that failed.

    `diagnostics` are what its `-json` output said, `printed` what it wrote to stderr. A cause that
    is not known is told in Terraform's own words.
    """
    errors = [d for d in diagnostics if d.severity == "error"]
    text = "\n".join(f"{d.summary}\n{d.detail}" for d in errors) or _plain(printed)
    lock = lock_in(text) if _LOCKED in text else None
    if lock is not None:
        return _held(lock)
    for known in _KNOWN:
        match = known.pattern.search(text)
        if match is not None:
            return _explained(known, match, errors, context, text)
    if _LOCKED in text:
        return LockedError(
            f"the state of this stack cannot be locked: {_short(text)}",
            next_step="wait until the other command has ended, then run this again; "
            "provision unlock shows who it is",
            lock=None,
        )
    return ProvisionError(
        f"Terraform could not {context.doing}: {_short(text) or 'it did not say why'}",
        next_step=f"mend what it names, {_AGAIN}",
    )


def _held(lock: LockInfo) -> ProvisionError:
    return LockedError(
        f"{lock.who} works on this stack since {lock.created} ({lock.operation})",
        next_step="wait until that command has ended, then run this again; provision unlock shows "
        "whether it still lives, and removes the lock of one that was killed",
        lock=lock,
    )


def _explained(
    known: _Known,
    match: re.Match[str],
    errors: Sequence[Diagnostic],
    context: Context,
    text: str,
) -> ProvisionError:
    found = next((group for group in match.groups() if group), match[0])
    resource = _resource(known.pattern, errors)
    fill: Callable[[str], str] = lambda words: (  # noqa: E731
        words.replace("{1}", found)
        .replace("{resource}", resource)
        .replace("{folder}", str(context.folder))
    )
    first = fill(known.message)
    return known.kind(f"{first}\nTerraform says: {_short(text)}", next_step=fill(known.next_step))


def _resource(pattern: re.Pattern[str], errors: Sequence[Diagnostic]) -> str:
    """The address of the resource whose error matches."""
    for error in errors:
        if error.address and pattern.search(f"{error.summary}\n{error.detail}"):
            return error.address
    return "the stack"


def _plain(printed: str) -> str:
    """Stderr without the frame that Terraform draws around an error."""
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip("╷│╵ \r") for line in printed.splitlines())
    return "\n".join(line for line in lines if line)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
