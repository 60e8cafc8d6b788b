"""Brings the bootstrap program from the stack's bucket and starts it: all that user data holds.

It stands alone: this very text becomes a file on the machine, so it imports the standard library
only. The bucket may come minutes after the machine, so it waits; what it fetched is checked against
the manifest's hashes; and while the bucket is out of reach, the bundle of the last time serves.
Credentials reach curl through its standard input, never through its arguments.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

STACK = Path("/etc/provision/stack.json")
BUNDLES = Path("/opt/provision/bundles")
CURRENT = Path("/opt/provision/bundle")
PREFIX = "provision/host/"
EMPTY = hashlib.sha256(b"").hexdigest()
PAUSE = 5.0
PATIENCE = {True: 60.0, False: 1800.0}  # seconds, with an older bundle at hand and without

Options = list[tuple[str, str]]


class Failed(Exception):  # noqa: N818
    """A request without success: `status` is HTTP's, 0 without an answer; `text` is what came."""

    def __init__(self, status: int, text: str, action: str) -> None:
        super().__init__(f"{action}: {status or 'no answer'}: {' '.join(text[:300].split())}")
        self.status, self.text, self.action = status, text, action


def curl(options: Options, action: str, seconds: float = 60) -> bytes:
    """One request and its body; `options` are curl's long ones. Raises Failed."""
    every = [("max-time", str(seconds)), ("connect-timeout", "10"), *options]
    every.append(("write-out", "\n%{http_code}"))
    config = "".join(f"{name} = {quoted(value)}\n" for name, value in every)
    command = ["curl", "-q", "--silent", "--show-error", "--config", "-"]
    done = subprocess.run(command, input=config.encode(), capture_output=True, check=False)
    body, _, code = done.stdout.rpartition(b"\n")
    if done.returncode or not code.startswith(b"2"):
        text = (done.stderr if done.returncode else body).decode("utf-8", "replace")
        raise Failed(0 if done.returncode else int(code), text, action)
    return body


def quoted(value: str) -> str:
    """A value as curl's configuration files want it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter, letter) for letter in value) + '"'


class Cloud:
    """AWS as this machine's role sees it.

    `stack` names region and bucket; `metadata` and `endpoint` are there for a rehearsal without
    a machine, where one address answers for every service.
    """

    def __init__(self, stack: dict[str, str]) -> None:
        self.region, self.bucket = stack["region"], stack["bucket"]
        self.imds = stack.get("metadata", "http://169.254.169.254")
        self.endpoint = stack.get("endpoint")
        self._keys: dict[str, str] = {}
        self._until = 0.0

    def metadata(self, path: str) -> str:
        """An answer of the instance metadata service, version 2. Raises Failed."""
        ttl = ("header", "X-aws-ec2-metadata-token-ttl-seconds: 300")
        common: Options = [("retry", "4"), ("retry-max-time", "20"), ("noproxy", "*")]
        address = ("url", f"{self.imds}/latest/api/token")
        token = curl([*common, ("request", "PUT"), ttl, address], "metadata token", 10).decode()
        header = ("header", f"X-aws-ec2-metadata-token: {token}")
        url = ("url", f"{self.imds}/latest/{path}")
        return curl([*common, header, url], f"metadata {path}", 10).decode()

    def credentials(self) -> dict[str, str]:
        """The role's keys, asked for anew every five minutes."""
        if time.monotonic() > self._until:
            base = "meta-data/iam/security-credentials/"
            self._keys = json.loads(self.metadata(base + self.metadata(base).split()[0]))
            self._until = time.monotonic() + 300
        return self._keys

    def host(self, service: str) -> str:
        """The address of a service in this region."""
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.endpoint or f"https://{service}.{self.region}.{suffix}"

    def signed(self, service: str, url: str, digest: str) -> Options:
        """The options of a request signed with the role's keys (SigV4)."""
        keys = self.credentials()
        return [
            ("url", url),
            ("aws-sigv4", f"aws:amz:{self.region}:{service}"),
            ("user", f"{keys['AccessKeyId']}:{keys['SecretAccessKey']}"),
            ("header", f"x-amz-security-token: {keys['Token']}"),
            ("header", f"x-amz-content-sha256: {digest}"),
        ]

    def object_url(self, key: str) -> str:
        """Where S3 has an object of the stack's bucket."""
        if self.endpoint:
            return f"{self.endpoint}/{self.bucket}/{quote(key)}"
        return self.host("s3").replace("//", f"//{self.bucket}.") + "/" + quote(key)

    def get(self, key: str, target: Path | None = None) -> bytes:
        """An object of the stack's bucket, into a file if one is named. Raises Failed."""
        options = self.signed("s3", self.object_url(key), EMPTY)
        if target:
            options.append(("output", str(target)))
        return curl(options, "s3:GetObject", 600 if target else 60)

    def put(self, key: str, text: str, kind: str = "application/json") -> None:
        """Write a small object into the stack's bucket. Raises Failed."""
        options = self.signed("s3", self.object_url(key), hashlib.sha256(text.encode()).hexdigest())
        options += [("request", "PUT"), ("header", f"Content-Type: {kind}"), ("data-raw", text)]
        curl(options, "s3:PutObject", 30)


def fetch(cloud: Cloud) -> Path:
    """The bundle that the bucket holds now, whole and checked; raises Failed or ValueError."""
    text = cloud.get(PREFIX + "manifest.json")
    folder = BUNDLES / hashlib.sha256(text).hexdigest()[:16]
    if folder.is_dir():
        return folder
    part = folder.with_name("part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, facts in json.loads(text)["files"].items():
        take(cloud, part, name, facts["sha256"])
    (part / "manifest.json").write_bytes(text)
    part.rename(folder)
    return folder


def take(cloud: Cloud, part: Path, name: str, digest: str) -> None:
    """One file of the bundle: from the last bundle if it is the same, else from the bucket."""
    target, old = part / name, CURRENT / name
    if not target.resolve().is_relative_to(part.resolve()):
        raise ValueError(f"the manifest names a file outside of the bundle: {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    if old.is_file() and sha256(old) == digest:
        shutil.copyfile(old, target)
        return
    cloud.get(PREFIX + name, target)
    if sha256(target) != digest:
        raise ValueError(f"{name} in the bucket is not the file that the manifest describes")


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def use(folder: Path) -> None:
    """Make a bundle the current one, in one step, and remove those before it."""
    link = CURRENT.with_name("bundle.part")
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    link.replace(CURRENT)
    for other in BUNDLES.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def load(cloud: Cloud) -> None:
    """Fetch the bundle, however long it takes to come; an older one is used after a minute."""
    began, told = time.monotonic(), ""
    while True:
        try:
            return use(fetch(cloud))
        except (Failed, ValueError, KeyError, IndexError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        waited = time.monotonic() - began
        if reason != told:
            say(f"waiting for the bundle: {reason}")
        if waited > 30 and reason != told:
            tell(cloud, reason)
            told = reason
        if waited > PATIENCE[CURRENT.exists()]:
            if CURRENT.exists():
                return say("going on with the bundle of the last time")
            sys.exit("the bundle did not come; trying again later")
        time.sleep(PAUSE)


def tell(cloud: Cloud, reason: str) -> None:
    """Write a first boot report, as far as the bucket takes it."""
    try:
        instance = cloud.metadata("meta-data/instance-id")
        cloud.put(f"provision/boot/{instance}.json", json.dumps(report(instance, reason)))
    except (Failed, KeyError, IndexError, ValueError) as error:
        say(f"no report in the bucket: {error}")


def report(instance: str, reason: str) -> dict[str, Any]:
    """A boot report (`provision.boot/1`) of a host that has no program yet."""
    phase = {"name": "bundle", "title": "the program, from the bucket", "state": "running"}
    phase |= {"started_at": now(), "detail": f"waiting: {reason}"}
    times = {"started_at": now(), "updated_at": now()}
    state = {"instance": instance, "run": 0, "state": "running", "failure": None}
    return {"schema": "provision.boot/1", **state, **times, "phases": [phase]}


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def say(text: str) -> None:
    """A line for the journal and the console."""
    sys.stderr.write(f"provision-host: {text}\n")


def main() -> None:
    """Load the bundle and become the program in it."""
    began = now()
    load(Cloud(json.loads(STACK.read_text(encoding="utf-8"))))
    program = [sys.executable, "-I", str(CURRENT / "provision.pyz"), "--since", began]
    os.execv(sys.executable, [*program, *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
