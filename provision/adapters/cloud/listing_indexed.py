"""What carries a stack's tag in AWS' index of tags, of kinds that no other lister asks for.

The index lags behind and may name what is gone, so each one is asked for at its own service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from provision.adapters.cloud.failures import code_of, is_denied
from provision.adapters.cloud.session import Cloud
from provision.model.leftovers import RUN_TAG, STACK_TAG, Found, Names

_GONE: Final = ("NotFound", "NoSuch", "InvalidDocument", "NotExist")


def _function(cloud: Cloud, name: str) -> str:
    cloud.client("lambda").get_function_configuration(FunctionName=name)
    return ""


def _document(cloud: Cloud, name: str) -> str:
    cloud.client("ssm").describe_document(Name=name)
    return ""


def _parameter(cloud: Cloud, name: str) -> str:
    cloud.client("ssm").get_parameter(Name=name, WithDecryption=False)
    return ""


def _key(cloud: Cloud, name: str) -> str | None:
    """A key that waits for its deletion costs nothing more (AWS KMS pricing)."""
    found = cloud.client("kms").describe_key(KeyId=name)["KeyMetadata"]
    return None if found["KeyState"] == "PendingDeletion" else ""


# Service and first word of the resource -> Terraform's word, and how one is asked for: the answer
# is a note, or `None` where it does not count any more.
_KINDS: Final[Mapping[tuple[str, str], tuple[str, Callable[[Cloud, str], str | None]]]] = {
    ("lambda", "function"): ("aws_lambda_function", _function),
    ("ssm", "document"): ("aws_ssm_document", _document),
    ("ssm", "parameter"): ("aws_ssm_parameter", _parameter),
    ("kms", "key"): ("aws_kms_key", _key),
}


def indexed(cloud: Cloud, names: Names) -> Iterable[Mapping[str, Any]]:
    """The entries of the index with the stack's tag: `ResourceARN` and `Tags`."""
    wanted = [{"Key": STACK_TAG, "Values": [names.stack]}]
    return cloud.paged(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=wanted
    )


def parts(arn: str) -> tuple[str, str, str]:
    """Service, first word of the resource ("" where it has one alone), and the rest."""
    _, _, service, _, _, resource = arn.split(":", 5)
    words = resource.replace("/", ":", 1).split(":", 1)
    return (service, words[0], words[1]) if len(words) > 1 else (service, "", resource)


def known(cloud: Cloud, entry: Mapping[str, Any]) -> Found | bool:
    """One entry as a thing; whether it is of a kind known here where it is none any more."""
    arn = str(entry["ResourceARN"])
    service, word, rest = parts(arn)
    if (service, word) not in _KINDS:
        return False
    kind, ask = _KINDS[service, word]
    # A parameter's name begins with the slash that its ARN has once.
    name = f"/{rest}" if kind == "aws_ssm_parameter" and "/" in rest else rest
    note = _asked(cloud, name, ask)
    if note is None:
        return True
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in entry.get("Tags", [])}
    return Found(kind, name, arn, name, tags.get(RUN_TAG), note=note)


def _asked(cloud: Cloud, name: str, ask: Callable[[Cloud, str], str | None]) -> str | None:
    try:
        return ask(cloud, name)
    except Exception as error:
        if is_denied(error):  # it may be there
            return ""
        if any(word in code_of(error) for word in _GONE):
            return None
        raise
