"""The door to AWS: the few calls that a host makes, and what to do when one is refused."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree

from provision.host.failures import HostError
from provision.host.loader import Cloud, Failed, Options, curl

_DENIED: Final = ("AccessDenied", "not authorized to perform", "UnauthorizedOperation")
_CLOCK: Final = ("RequestTimeTooSkewed", "Signature expired", "Signature not yet current")
_NO_VERSION: Final = "AWSCURRENT"
_SUBJECT: Final = 99  # "less than 100 characters" (SNS, Publish)
_RDS: Final = "{http://rds.amazonaws.com/doc/2014-10-31/}"


@dataclass(frozen=True)
class DatabaseFacts:
    """What RDS says about a database: `address` is empty until there is one."""

    status: str
    address: str
    port: int
    secret: str


class Aws(Cloud):
    """AWS with this machine's role. Every method raises HostError, which names a missing right.

    `front`: where HTTPS is answered, in a rehearsal that does it elsewhere than on port 443.
    """

    front = ""

    def __init__(self, stack: dict[str, str]) -> None:
        super().__init__(stack)
        self.front = stack.get("front", "")

    def server_time(self) -> float | None:
        """The metadata service's clock in seconds since 1970; None where it does not tell."""
        options: Options = [
            ("url", f"{self.imds}/latest/api/token"),
            ("request", "PUT"),
            ("header", "X-aws-ec2-metadata-token-ttl-seconds: 60"),
            ("dump-header", "-"),
        ]
        with explained():
            head = curl(options, "metadata token", 10).decode("latin-1")
        for line in head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "date":
                return parsedate_to_datetime(value.strip()).timestamp()
        return None

    def instance(self) -> str:
        """This machine's id."""
        with explained():
            return self.metadata("meta-data/instance-id").strip()

    def role(self) -> str:
        """The name of the role whose keys this machine has, after fetching them."""
        with explained():
            self.credentials()
            return self.metadata("meta-data/iam/security-credentials/").split()[0]

    def database(self, identifier: str) -> DatabaseFacts | None:
        """A database instance, None while there is none of this name."""
        words = {"Action": "DescribeDBInstances", "Version": "2014-10-31"}
        try:
            text = self._form("rds", {**words, "DBInstanceIdentifier": identifier})
        except Failed as error:
            if "DBInstanceNotFound" in error.text:
                return None
            raise _explained(error) from error
        return database_facts(text)

    def secret(self, name: str) -> str | None:
        """A secret's current value, None for a secret that has none yet."""
        try:
            return str(self._secret("GetSecretValue", {"SecretId": name})["SecretString"])
        except Failed as error:
            if "ResourceNotFound" in error.text and _NO_VERSION in error.text:
                return None
            raise _explained(error) from error

    def put_secret(self, name: str, value: str) -> None:
        """Give a secret a value."""
        token = str(uuid.uuid4())
        words = {"SecretId": name, "SecretString": value, "ClientRequestToken": token}
        with explained():
            self._secret("PutSecretValue", words)

    def publish(self, key: str, text: str, kind: str = "application/json") -> None:
        """Write a small object into the stack's bucket."""
        with explained():
            self.put(key, text, kind)

    def recall(self, key: str) -> str:
        """A small object of the stack's bucket; empty where there is none."""
        try:
            return self.get(key).decode()
        except Failed as error:
            if error.status == 404:
                return ""
            raise _explained(error) from error

    def notify(self, topic: str, subject: str, text: str) -> None:
        """Publish to a topic (SNS' API of 2010-03-31; its subjects are short and ASCII)."""
        words = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic}
        subject = subject.encode("ascii", "replace").decode()[:_SUBJECT]
        with explained():
            self._form("sns", {**words, "Subject": subject, "Message": text})

    def tag_machine(self, instance: str, key: str, value: str) -> None:
        """Give a machine a tag (EC2's API of 2016-11-15)."""
        words = {"Action": "CreateTags", "Version": "2016-11-15", "ResourceId.1": instance}
        with explained():
            self._form("ec2", {**words, "Tag.1.Key": key, "Tag.1.Value": value})

    def tag_database(self, arn: str, key: str, value: str) -> None:
        """Give a database a tag (RDS' API of 2014-10-31)."""
        words = {"Action": "AddTagsToResource", "Version": "2014-10-31", "ResourceName": arn}
        with explained():
            self._form("rds", {**words, "Tags.Tag.1.Key": key, "Tags.Tag.1.Value": value})

    def _form(self, service: str, words: dict[str, str]) -> str:
        kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8"
        return self._call(service, urlencode(words), f"{service}:{words['Action']}", [kind])

    def _secret(self, action: str, words: dict[str, str]) -> dict[str, Any]:
        headers = ["Content-Type: application/x-amz-json-1.1"]
        headers.append(f"X-Amz-Target: secretsmanager.{action}")
        text = self._call("secretsmanager", json.dumps(words), f"secretsmanager:{action}", headers)
        return dict(json.loads(text))

    def _call(self, service: str, body: str, action: str, headers: list[str]) -> str:
        url = self.host(service) + "/"
        options = self.signed(service, url, sha256(body.encode()).hexdigest())
        options += [("header", header) for header in headers]
        options += [("request", "POST"), ("data-raw", body), ("retry", "3")]
        return curl(options, action).decode()


def database_facts(text: str) -> DatabaseFacts | None:
    """Read RDS's answer, XML of its API of 2014-10-31."""
    found = ElementTree.fromstring(text).find(f".//{_RDS}DBInstance")  # noqa: S314  (AWS's own)
    if found is None:
        return None

    def text_at(path: str) -> str:
        return found.findtext("/".join(_RDS + name for name in path.split("/"))) or ""

    return DatabaseFacts(
        status=text_at("DBInstanceStatus"),
        address=text_at("Endpoint/Address"),
        port=int(text_at("Endpoint/Port") or 5432),
        secret=text_at("MasterUserSecret/SecretArn"),
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failed request into an error that names what to do."""
    try:
        yield
    except Failed as error:
        raise _explained(error) from error


def _explained(error: Failed) -> HostError:
    text = told(error.text)
    for words, explain in _EXPLANATIONS:
        if any(word in error.text for word in words):
            return explain(error, text)
    if error.action.startswith("metadata"):
        return _no_metadata(error)
    if error.status == 403:
        return _denied(error, text)
    return HostError(
        "aws-unreachable",
        f"{error.action} did not work: {error.status or 'no answer'}: {text}",
        next_step="the machine tries again every minute; if it stays so, look at its network: "
        "port 443 out, a route to AWS, and DNS",
        command=error.action,
        tail=text.splitlines(),
    )


def told(text: str) -> str:
    """AWS's own sentence in an answer of it, JSON or XML."""
    found = re.search(r'<Message>(.*?)</Message>|"[Mm]essage"\s*:\s*"(.*?)"', text, re.DOTALL)
    sentence = (found[1] or found[2]) if found else text
    return " ".join(sentence.split())[:400]


def _denied(error: Failed, text: str) -> HostError:
    return HostError(
        "access-denied",
        f"the machine's role lacks the right {error.action}: {text}",
        next_step=f"allow {error.action} in the role's policy, and look for a Deny in the "
        "account's policies; `provision up` puts the kit's own policy back",
        command=error.action,
        tail=[text],
    )


def _clock(error: Failed, text: str) -> HostError:
    return clock_off(f"AWS refused {error.action}: {text}")


def clock_off(why: str) -> HostError:
    """The error for a clock that AWS and certificates do not accept."""
    return HostError(
        "clock-off",
        f"the machine's clock is wrong: {why}",
        next_step="let it reach a time server (169.254.169.123 on AWS) or restart it; "
        "it tries again every minute",
    )


def _no_metadata(error: Failed) -> HostError:
    missing = error.status == 404 and "security-credentials" in error.action
    what = "has no role" if missing else "gets no answer from its metadata service"
    return HostError(
        "no-role" if missing else "no-metadata",
        f"the machine {what}: {error}",
        next_step="attach its instance profile: `provision up`"
        if missing
        else "restart the machine; its metadata options must allow IMDSv2",
        command=error.action,
    )


_EXPLANATIONS: Final[tuple[tuple[tuple[str, ...], Callable[[Failed, str], HostError]], ...]] = (
    (_CLOCK, _clock),
    (_DENIED, _denied),
)
