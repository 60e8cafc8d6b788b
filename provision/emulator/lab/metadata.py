"""The instance metadata service, version 2 alone (EC2 user guide, "Use the IMDS").

Tokens with a time to live, 401 without one, 403 to forwarded requests, folders, the user data, the
identity document, and credentials of the instance's role out of the emulated STS. Each request is
noted in `imds.log`: time, machine, method, path, whether it had a token, status.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

from provision.emulator.lab.view import Account, Instance

_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_LONGEST_TTL = 21600
_RENEW = timedelta(minutes=20)  # EC2 has new credentials well before the old ones end
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}

Answer = tuple[int, str, dict[str, str]]


class Metadata:
    """A WSGI application that answers each machine of an account with what is its own."""

    def __init__(self, account: Account, log: Path) -> None:
        self._account = account
        self._log = log.open("a", buffering=1, encoding="utf-8")
        self._tokens: dict[str, tuple[str, float]] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._renewing = threading.Lock()
        self.instances: Mapping[str, Instance] = {}  # by private address
        self.slow_seconds = 0.0
        self.ahead = 0.0

    def __call__(self, environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        time.sleep(self.slow_seconds)
        status, text, headers = self._answer(environ)
        self._note(environ, status)
        body = text.encode()
        plain = {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Server": "EC2ws"}
        plain["Date"] = formatdate(time.time() + self.ahead, usegmt=True)
        start(f"{status} {_REASONS[status]}", list((plain | headers).items()))
        return [body]

    def _note(self, environ: Mapping[str, Any], status: int) -> None:
        token = "yes" if "HTTP_X_AWS_EC2_METADATA_TOKEN" in environ else "no"
        what = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} token={token} {status}"
        self._log.write(f"{time.time():.3f} {environ['REMOTE_ADDR']} {what}\n")

    def _answer(self, environ: Mapping[str, Any]) -> Answer:
        instance = self.instances.get(environ["REMOTE_ADDR"])
        path = environ["PATH_INFO"]
        if instance is None or environ["REQUEST_METHOD"] not in ("GET", "PUT", "HEAD"):
            return 404, "", {}
        if environ["REQUEST_METHOD"] == "PUT":
            return self._token(environ, instance) if path == _TOKEN_PATH else (404, "", {})
        owner, until = self._tokens.get(environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", ""), ("", 0.0))
        if owner != instance.id or until < time.monotonic():
            return 401, "", {}
        return self._read(instance, path)

    def _token(self, environ: Mapping[str, Any], instance: Instance) -> Answer:
        if "HTTP_X_FORWARDED_FOR" in environ:
            return 403, "", {}
        asked = environ.get("HTTP_" + _TTL.upper().replace("-", "_"), "")
        if not asked.isdigit() or not 1 <= int(asked) <= _LONGEST_TTL:
            return 400, "", {}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = (instance.id, time.monotonic() + int(asked))
        return 200, token, {_TTL: asked}

    def _read(self, instance: Instance, path: str) -> Answer:
        _, _, rest = path.lstrip("/").partition("/")  # the version: `latest`, or a date
        if rest == "user-data":
            data = self._account.user_data(instance.id)
            return (200, data.decode("latin-1"), {}) if data else (404, "", {})
        tree = self._tree(instance)
        if rest in tree:
            value = tree[rest]
            return 200, self._credentials(instance) if value is None else value, {}
        inside = _listing(tree, rest)
        return (200, "\n".join(inside), {}) if inside else (404, "", {})

    def _tree(self, instance: Instance) -> dict[str, str | None]:
        """Path -> value; `None` stands for the role's credentials."""
        meta = _about(instance, self._account.region)
        if role := self._role(instance):
            told = {
                "Code": "Success",
                "LastUpdated": instance.launched,
                "InstanceProfileArn": instance.profile,
            }
            meta["iam/info"] = json.dumps(told)
            meta[f"iam/security-credentials/{role.rpartition('/')[2]}"] = None
        identity = json.dumps(_identity(instance, self._account), indent=2)
        return {
            **{f"meta-data/{key}": value for key, value in meta.items()},
            "dynamic/instance-identity/document": identity,
        }

    def _role(self, instance: Instance) -> str:
        return self._account.role_of(instance.profile) if instance.profile else ""

    def _credentials(self, instance: Instance) -> str:
        with self._renewing:
            found = self._sessions.get(instance.id)
            if found is None or found["Expiration"] - datetime.now(UTC) < _RENEW:
                found = self._account.session(self._role(instance), instance.id)
                self._sessions[instance.id] = found
        told = {
            "Code": "Success",
            "LastUpdated": _moment(datetime.now(UTC)),
            "Type": "AWS-HMAC",
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "Token": found["SessionToken"],
            "Expiration": _moment(found["Expiration"]),
        }
        return json.dumps(told, indent=2)


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listing(tree: Mapping[str, Any], path: str) -> list[str]:
    start = f"{path.rstrip('/')}/" if path else ""
    inside = (key[len(start) :] for key in tree if key.startswith(start))
    return sorted({key.split("/")[0] + ("/" if "/" in key else "") for key in inside})


def _about(instance: Instance, region: str) -> dict[str, str | None]:
    name = host_name(instance, region)
    card = f"network/interfaces/macs/{instance.mac}"
    found = {
        "ami-id": instance.image,
        "ami-launch-index": "0",
        "hostname": name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.type,
        "local-hostname": name,
        "local-ipv4": instance.private_ip,
        "mac": instance.mac,
        "placement/availability-zone": instance.zone,
        "placement/region": region,
        "security-groups": "\n".join(instance.groups),
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
        f"{card}/device-number": "0",
        f"{card}/local-ipv4s": instance.private_ip,
        f"{card}/mac": instance.mac,
        f"{card}/subnet-id": instance.subnet_id,
        f"{card}/subnet-ipv4-cidr-block": instance.subnet,
        f"{card}/vpc-id": instance.vpc,
        f"{card}/vpc-ipv4-cidr-block": instance.vpc_cidr,
    }
    if instance.public_ip:
        found |= {"public-ipv4": instance.public_ip, f"{card}/public-ipv4s": instance.public_ip}
    return dict(found)


def host_name(instance: Instance, region: str) -> str:
    """The name that EC2 gives a machine by its address (user guide, "Instance hostname types")."""
    return f"ip-{instance.private_ip.replace('.', '-')}.{region}.compute.internal"


def _identity(instance: Instance, account: Account) -> dict[str, Any]:
    return {
        "accountId": account.number,
        "architecture": "x86_64",
        "availabilityZone": instance.zone,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "pendingTime": instance.launched,
        "privateIp": instance.private_ip,
        "region": account.region,
        "version": "2017-09-30",
    }
