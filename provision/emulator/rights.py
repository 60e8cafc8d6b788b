"""IAM as AWS evaluates it, for requests that come in by the door of a rehearsed network.

moto checks signatures and actions. It knows resources for S3 alone, takes an unmet condition for a
refusal, and no presigned URLs; what is here follows IAM's reference ("Policy evaluation logic",
"Condition operators") as far as our policies go, and answers 501 rather than guess beyond that.
"""

from __future__ import annotations

import contextlib
import fnmatch
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, _RESTError
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse
from moto.s3.exceptions import (
    S3AccessDeniedError,
    S3ClientError,
    S3SignatureDoesNotMatchError,
)
from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sns.responses import SNSResponse
from moto.ssm.responses import SimpleSystemManagerResponse
from werkzeug.exceptions import BadRequest

from provision.emulator.rehearsal import REHEARSAL

_CLOCK = timedelta(minutes=15)
_enforced: ContextVar[bool] = ContextVar("enforced", default=False)
_facts: ContextVar[Mapping[str, str] | None] = ContextVar("facts", default=None)


@contextlib.contextmanager
def enforced_here() -> Iterator[None]:
    """Policies hold for what this thread does in the block; other requests stay as they are."""
    token = _enforced.set(True)
    try:
        yield
    finally:
        _enforced.reset(token)


def close_gaps_of_rights() -> None:
    """Let moto enforce policies on request, resources and conditions included."""
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def checked(self: Any, request: type, resource: str = "*") -> None:
        counted = ActionAuthenticatorMixin.request_count
        if _enforced.get() or counted >= settings.INITIAL_NO_AUTH_ACTION_COUNT:
            _check(self, request, resource)
        else:
            authorize(self, request, resource)

    ActionAuthenticatorMixin._authenticate_and_authorize_action = checked
    SecretsManagerResponse._determine_resource = _secret_arn
    RDSResponse._determine_resource = _database_arn
    EC2Response._determine_resource = _machine_arn
    SNSResponse._determine_resource = lambda self: self._get_param("TopicArn") or "*"
    SimpleSystemManagerResponse._determine_resource = _machine_arn
    _statements_are_evaluated()


@contextlib.contextmanager
def _about(response: Any, resource: str) -> Iterator[None]:
    token = _facts.set(_facts_of(response, resource))
    try:
        yield
    finally:
        _facts.reset(token)


def _facts_of(response: Any, resource: str) -> dict[str, str]:
    """The condition keys of a request, in small letters: IAM does not tell case apart in them."""
    facts = {"aws:securetransport": "true", "aws:requestedregion": response.region}
    facts |= _facts_of_tags(response, resource)
    if ":secret:" in resource:
        backend = secretsmanager_backends[response.current_account][response.region]
        if backend.secrets.get(resource):
            tags = backend.secrets[resource].tags or []
            facts |= {f"aws:resourcetag/{tag['Key']}".lower(): tag["Value"] for tag in tags}
    query = dict(parse_qsl(urlsplit(response.uri).query, keep_blank_values=True))
    return facts | {f"s3:{key}": query[key] for key in ("prefix", "delimiter") if key in query}


def _facts_of_tags(response: Any, resource: str) -> dict[str, str]:
    """The tags that a machine or a database carries, and those that a request would give it."""
    account, region, name = response.current_account, response.region, resource.rpartition("/")[2]
    carried: dict[str, Any] = {}
    if ":instance/" in resource:
        found = ec2_backends[account][region].get_instance_by_id(name)
        carried = {tag["key"]: tag["value"] for tag in found.get_tags()} if found else {}
    elif ":db:" in resource:
        found = rds_backends[account][region].databases.get(resource.rpartition(":")[2])
        carried = {tag["Key"]: tag["Value"] for tag in found.tags} if found else {}
    tags = response._get_param("Tags") if ":instance/" in resource or ":db:" in resource else None
    given = {tag["Key"]: tag["Value"] for tag in tags or []}
    facts = {f"aws:resourcetag/{key}".lower(): value for key, value in carried.items()}
    facts |= {f"aws:requesttag/{key}".lower(): value for key, value in given.items()}
    # Several values are told as one text, which is enough for the one that our policies allow.
    return facts | ({"aws:tagkeys": ",".join(sorted(given))} if given else {})


def _check(response: Any, request: type, resource: str) -> None:
    with _about(response, resource):
        if "Authorization" in response.headers:
            _require_hash(response)
            _require_clock(response)
            asked = _asked(response, request, response.headers)
            asked.check_signature()
        else:
            asked = _presigned(response, request)
        try:
            for each in _resources(response, asked, resource):
                asked.check_action_permitted(each)
        except (AccessDeniedError, S3AccessDeniedError) as error:
            raise _refusal(response, asked, resource, error) from error


def _resources(response: Any, asked: Any, resource: str) -> list[str]:
    """One, but for the call that deletes many objects: a right to each of them is asked for."""
    if asked._action != "s3:DeleteObject" or "/" in resource:
        return [resource]
    keys = re.findall(r"<Key>([^<]*)</Key>", response.raw_body.decode())
    return [f"{resource}/{html.unescape(key)}" for key in keys] or [resource]


def _refusal(response: Any, asked: Any, resource: str, error: Any) -> Exception:
    """In AWS' own words, which name action and resource, and as the service writes errors."""
    words = (
        f"User: {asked._access_key.arn} is not authorized to perform: {asked._action} on resource: "
        f"{resource} because no identity-based policy allows the {asked._action} action"
    )
    if "X-Amz-Target" not in response.headers:
        error.message = words
        found: Exception = error
        return found
    return BadRequest(json.dumps({"__type": "AccessDeniedException", "Message": words}))


def _require_hash(response: Any) -> None:
    """S3 alone insists that a request says what its body is ("Authenticating requests: header")."""
    signs_for_s3 = "/s3/aws4_request" in response.headers["Authorization"]
    if signs_for_s3 and "X-Amz-Content-Sha256" not in response.headers:
        words = "Missing required header for this request: x-amz-content-sha256"
        raise S3ClientError("MissingSecurityHeader", words)


def _require_clock(response: Any) -> None:
    """A signature holds for fifteen minutes (S3's and IAM's guides, on signing requests)."""
    made = response.headers.get("X-Amz-Date", "")
    if not made or abs(REHEARSAL.time() - _moment(made)) <= _CLOCK:
        return
    if "/s3/aws4_request" in response.headers["Authorization"]:
        words = "The difference between the request time and the current time is too large."
        raise S3ClientError("RequestTimeTooSkewed", words)
    raise _LateSignatureError


class _LateSignatureError(_RESTError):  # type: ignore[misc] # moto is not checked
    """As the services other than S3 put it."""

    code = 403

    def __init__(self) -> None:
        super().__init__("SignatureDoesNotMatch", "Signature expired, or Signature not yet current")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _asked(response: Any, request: Callable[..., Any], headers: Mapping[str, str]) -> Any:
    query = urlsplit(response.uri).query
    return request(
        account_id=response.current_account,
        method=response.method,
        path=f"{response.raw_path}?{query}" if query else response.raw_path,
        data=response.data,
        body=response.raw_body,
        headers=headers,
        action=response._get_action(),
    )


def _presigned(response: Any, request: Callable[..., Any]) -> Any:
    """A request whose query signs it (S3's reference, "Authenticating requests: query")."""
    parts = urlsplit(response.uri)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "X-Amz-Signature" not in query or _expired(query):
        raise S3AccessDeniedError
    headers = {"Authorization": f"Credential={query['X-Amz-Credential']},"}
    if token := query.get("X-Amz-Security-Token"):
        headers["X-Amz-Security-Token"] = token
    asked = _asked(response, request, headers)
    if _signature(response, asked, query) != query["X-Amz-Signature"]:
        raise S3SignatureDoesNotMatchError
    return asked


def _expired(query: Mapping[str, str]) -> bool:
    made = _moment(query["X-Amz-Date"])
    return datetime.now(UTC) > made + timedelta(seconds=int(query["X-Amz-Expires"]))


def _signature(response: Any, asked: Any, query: Mapping[str, str]) -> str:
    names = query["X-Amz-SignedHeaders"].split(";")
    signed = {name: value for name, value in response.headers.items() if name.lower() in names}
    auth = S3SigV4QueryAuth(asked._access_key.create_credentials(), "s3", asked._region)
    rest = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
    url = f"https://{response.headers['Host']}{response.raw_path}"
    again = AWSRequest(method=response.method, url=url, params=rest, headers=signed)
    again.context["timestamp"] = query["X-Amz-Date"]
    text = auth.string_to_sign(again, auth.canonical_request(again))
    found: str = auth.signature(text, again)
    return found


def _secret_arn(self: Any) -> str:
    name = self._get_param("SecretId")
    found = self.backend.secrets.get(name) if name else None
    if found or str(name).startswith("arn:"):
        return str(found.arn if found else name)
    return f"arn:aws:secretsmanager:{self.region}:{self.current_account}:secret:{name or '*'}"


def _database_arn(self: Any) -> str:
    if named := self._get_param("ResourceName"):
        return str(named)
    name = self._get_param("DBInstanceIdentifier") or "*"
    return f"arn:aws:rds:{self.region}:{self.current_account}:db:{name}"


def _machine_arn(self: Any) -> str:
    """Of calls about one machine; what asks for more than one or for none is about everything."""
    machines = self._get_param("InstanceIds") or []
    machines = machines or self._get_param("Resources") or []
    if len(machines) != 1:
        return "*"
    return f"arn:aws:ec2:{self.region}:{self.current_account}:instance/{machines[0]}"


def _statements_are_evaluated() -> None:
    original = IAMPolicyStatement.is_action_permitted

    def permitted(
        self: Any, action: str, resource: str = "*", principal: Any = None, values: Any = None
    ) -> Any:
        facts = _facts.get()
        # Trust policies and those of buckets name principals, which moto compares as it should.
        if facts is None or principal or "Principal" in self._statement:
            return original(self, action, resource, principal, values)
        return _judged(self._statement, action, resource, facts)

    IAMPolicyStatement.is_action_permitted = permitted


def _judged(
    statement: Mapping[str, Any], action: str, resource: str, facts: Mapping[str, str]
) -> Any:
    named = _named(statement, "Action", action.lower(), lower=True)
    if not (named and _named(statement, "Resource", resource) and _met(statement, facts)):
        return PermissionResult.NEUTRAL
    allows = statement["Effect"] == "Allow"
    return PermissionResult.PERMITTED if allows else PermissionResult.DENIED


def simulated(
    documents: Iterable[Mapping[str, Any]], action: str, resource: str, facts: Mapping[str, str]
) -> str:
    """What these policies say, in the words of IAM's simulation (`EvalDecision`)."""
    found = [
        _judged(statement, action, resource, facts)
        for document in documents
        for statement in _statements(document)
    ]
    if PermissionResult.DENIED in found:
        return "explicitDeny"
    return "allowed" if PermissionResult.PERMITTED in found else "implicitDeny"


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def _named(statement: Mapping[str, Any], element: str, value: str, *, lower: bool = False) -> bool:
    """Whether `Action`, `Resource` or their `Not...` covers the value."""
    wanted = f"Not{element}" not in statement
    patterns = _list(statement.get(element if wanted else f"Not{element}", "*"))
    found = any(_like(p.lower() if lower else p, value) for p in patterns)
    return found is wanted


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _like(pattern: str, value: str) -> bool:
    """`*` and `?`, and nothing else, stand for other characters."""
    escaped = pattern.replace("[", "[[]")
    return re.match(fnmatch.translate(escaped), value) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringEqualsIgnoreCase": lambda wanted, found: wanted.lower() == found.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
}


def _met(statement: Mapping[str, Any], facts: Mapping[str, str]) -> bool:
    conditions: Mapping[str, Mapping[str, Any]] = statement.get("Condition") or {}
    return all(
        _holds(operator, _list(wanted), facts.get(key.lower()))
        for operator, pairs in conditions.items()
        for key, wanted in pairs.items()
    )


def _holds(operator: str, wanted: list[str], found: str | None) -> bool:
    name = operator.removesuffix("IfExists").removeprefix("ForAllValues:")
    if found is None and name != operator:
        return True  # IfExists, or all of no values
    positive = name.replace("StringNot", "String").replace("ArnNot", "Arn")
    if positive not in _OPERATORS:
        raise NotImplementedError(f"the condition operator {operator}")
    if found is None:
        return positive != name
    return any(_OPERATORS[positive](value, found) for value in wanted) is (positive == name)
