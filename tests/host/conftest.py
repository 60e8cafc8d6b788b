"""A host in a folder: real files, doors that a test can watch, a Postgres that behaves as RDS."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from provision.adapters.postgres import find_binaries
from provision.host.aws import Aws, DatabaseFacts
from provision.host.commands import SystemCommands, failed
from provision.host.failures import HostError
from provision.host.places import Places
from provision.host.run import Host
from provision.host.settings import HostSettings
from tests.certificates import Authority
from tests.mlflow_servers import free_port

SETTINGS = HostSettings(
    name="demo",
    region="eu-west-1",
    bucket="provision-demo",
    artifact_root="s3://provision-demo/artifacts",
    database_identifier="provision-demo",
    mlflow_version="3.17.2",
    admin_secret="provision-demo/admin",
    hosts=("198.51.100.7",),
)
ADMIN_PASSWORD = "the admin's : own \\ password"


@dataclass
class Commands:
    """Programs of another machine: what was run is kept, and answered from `answers`.

    The key of an answer is how the command begins; a HostError is raised, a function is called.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stdin: list[str] = field(default_factory=list)

    def run(
        self,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> str:
        self.asked.append(" ".join(command))
        self.stdin.append(stdin)
        for start, answer in self.answers.items():
            if self.asked[-1].startswith(start):
                return self._give(answer)
        return ""

    @staticmethod
    def _give(answer: Any) -> str:
        if isinstance(answer, HostError):
            raise answer
        return str(answer() if callable(answer) else answer)

    def succeeds(self, *command: str) -> bool:
        try:
            self.run(*command)
        except HostError:
            return False
        return True

    def fail(self, start: str, output: str = "it broke") -> None:
        """Let commands that begin so fail with this output."""
        self.answers[start] = failed(start.split(), "exit code 1", output)


@dataclass
class Account(Aws):
    """AWS as the phases see it, kept in dictionaries; the requests have tests of their own."""

    objects: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str | None] = field(default_factory=dict)
    databases: dict[str, DatabaseFacts] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    notices: list[tuple[str, str, str]] = field(default_factory=list)
    tags: list[tuple[str, str, str]] = field(default_factory=list)
    skew: float = 0.0
    region: str = "eu-west-1"
    bucket: str = "provision-demo"
    endpoint: str | None = "http://127.0.0.1:9"

    def _allow(self, action: str) -> None:
        if action in self.refused:
            raise HostError("access-denied", f"lacks {action}", next_step="allow it")

    def server_time(self) -> float | None:
        return time.time() - self.skew

    def instance(self) -> str:
        self._allow("metadata")
        return "i-0123456789abcdef0"

    def role(self) -> str:
        self._allow("metadata")
        return "demo-server"

    def database(self, identifier: str) -> DatabaseFacts | None:
        self._allow("rds:DescribeDBInstances")
        return self.databases.get(identifier)

    def secret(self, name: str) -> str | None:
        self._allow("secretsmanager:GetSecretValue")
        return self.secrets[name]

    def put_secret(self, name: str, value: str) -> None:
        self._allow("secretsmanager:PutSecretValue")
        self.secrets[name] = value

    def publish(self, key: str, text: str, kind: str = "application/json") -> None:
        self._allow("s3:PutObject")
        self.objects[key] = text

    def recall(self, key: str) -> str:
        self._allow("s3:GetObject")
        return self.objects.get(key, "")

    def notify(self, topic: str, subject: str, text: str) -> None:
        self._allow("sns:Publish")
        self.notices.append((topic, subject, text))

    def tag_machine(self, instance: str, key: str, value: str) -> None:
        self._allow("ec2:CreateTags")
        self.tags.append((instance, key, value))

    def tag_database(self, arn: str, key: str, value: str) -> None:
        self._allow("rds:AddTagsToResource")
        self.tags.append((arn, key, value))


class Told:
    """What a phase said."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.details: list[str] = []
        self.waited: list[str] = []

    def changed(self, what: str) -> None:
        self.changes.append(what)

    def detail(self, text: str) -> None:
        self.details.append(text)

    def waits(self, reason: str) -> None:
        self.waited.append(reason)


class Clock:
    """Time that passes only when somebody sleeps, and what happens while he does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()

    def __call__(self) -> float:
        return self.now


@dataclass
class Machine:
    """A host whose root is a folder."""

    host: Host
    commands: Commands
    account: Account
    clock: Clock

    @property
    def places(self) -> Places:
        return self.host.places

    def with_settings(self, **changes: Any) -> Machine:
        self.host.settings = replace(self.host.settings, **changes)
        return self


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host before its first run."""
    commands, account, clock = Commands(), Account(), Clock()
    host = Host(Places(tmp_path), commands, account, clock.sleep, clock)
    host.settings = SETTINGS
    for folder in (host.places.state, host.places.settings, host.places.code, host.places.server):
        folder.mkdir(parents=True)
    memory = host.places.at("/proc/meminfo")
    memory.parent.mkdir()
    memory.write_text("MemTotal:        4017000 kB\nMemFree: 1 kB\n")
    return Machine(host, commands, account, clock)


@dataclass(frozen=True)
class Rds:
    """PostgreSQL with TLS and passwords, and an admin who is no superuser."""

    port: int
    ca_file: Path

    @property
    def facts(self) -> DatabaseFacts:
        return DatabaseFacts("available", "127.0.0.1", self.port, "rds!db-1")

    def query(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", password="super", dbname=database
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def _as_owner() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


_CONFIG = """
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
log_statement = ddl
password_encryption = 'scram-sha-256'
fsync = off
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[tuple[Rds, Path]]:
    """The cluster and its log."""
    base = Path(tempfile.mkdtemp(prefix="provision-rds-"))
    owner = _as_owner()
    authority = Authority(base)
    pair = authority.issue("127.0.0.1")
    for path in (base, pair.key, pair.certificate):
        if owner:
            os.chown(path, owner["user"], owner["group"])
        path.chmod(0o700 if path == base else 0o600)
    programs = find_binaries(base / "data").program("postgres").parent
    (base / "pw").write_text("super")
    (base / "pw").chmod(0o644)
    subprocess.run(
        [programs / "initdb", "-D", base / "data", "-U", "postgres", "-A", "scram-sha-256", "-N",
         f"--pwfile={base / 'pw'}"],
        check=True, cwd=base, stdout=subprocess.DEVNULL, **owner,
    )  # fmt: skip
    with (base / "data" / "postgresql.conf").open("a") as stream:
        stream.write(_CONFIG.format(certificate=pair.certificate, key=pair.key))
    port, log = free_port(), base / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [programs / "postgres", "-D", base / "data", "-p", str(port), "-k", ""],
            cwd=base, stdout=stream, stderr=stream, **owner,
        )  # fmt: skip
    found = Rds(port, authority.ca_file)
    try:
        _wait(found)
        yield found, log
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(base, ignore_errors=True)


def _wait(found: Rds) -> None:
    for _ in range(300):
        try:
            found.query("SELECT 1")
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PostgreSQL did not start")


@pytest.fixture
def rds(cluster: tuple[Rds, Path], machine: Machine) -> Rds:
    """A fresh database server for one host, whose programs are real ones now."""
    found = cluster[0]
    for sql in (
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE)",
        "DROP ROLE IF EXISTS mlflow",
        "DROP ROLE IF EXISTS provision_admin",
        "CREATE ROLE provision_admin LOGIN CREATEDB CREATEROLE",
        f"ALTER ROLE provision_admin PASSWORD '{ADMIN_PASSWORD.replace(chr(39), chr(39) * 2)}'",
        "GRANT pg_monitor TO provision_admin",
    ):
        found.query(sql)
    places = machine.places
    places.database_ca.write_text(found.ca_file.read_text())
    places.python.parent.mkdir(parents=True)
    places.python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    places.python.chmod(0o755)
    machine.host.commands = SystemCommands()
    machine.account.databases["provision-demo"] = found.facts
    admin = {"username": "provision_admin", "password": ADMIN_PASSWORD}
    machine.account.secrets["rds!db-1"] = json.dumps(admin)
    return found
