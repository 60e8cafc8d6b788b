"""What a rehearsal and an emulated account tell each other, at `/provision/rehearsal`.

- `GET ?after=N&wait=S` answers when the account's version is another than N, at the latest after S
  seconds: `{"version": N, "boots": {instance: number}, "restored": {database: snapshot},
  "commands": [...]}`. `boots` counts how often an instance was told to reboot; `restored` names the
  snapshot that a database was made from; `commands` are those that Run Command was sent and nobody
  has answered yet.
- `PUT` takes `{"agents": [...]}`, the instances whose agent is there (commands to others are
  refused, as AWS does); `{"consoles": {instance: path}}`, where their consoles are kept;
  `{"snapshots": [...]}`, the databases' snapshots that hold something: others are `creating`;
  `{"ahead": seconds}`, how far the account's clock is ahead of this machine's;
  `{"databases": {identifier: status}}`, what RDS says of a database while
  it is not ready; `{"endpoints": {identifier: [host, port]}}`, where databases are that have no
  name: from the first such word on, each one is `creating` until there is one about it;
  `{"results": [...]}`, what became of commands.

Without a rehearsal nobody asks, and everything stays as moto has it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.instances import Instance
from moto.ec2.responses.general import General
from moto.ec2.utils import Base64EncodedString
from moto.rds import models as rds
from moto.ssm import models as ssm
from moto.ssm.exceptions import SSMException

from provision.emulator.calls import Answer, Call, Environ

PATH = "/provision/rehearsal"
_READS = ("Describe", "Get", "List", "Head", "GET", "HEAD")
_LONGEST_WAIT = 30.0
_MOST_CONSOLE = 64 * 1024
_MOST_OUTPUT = 24_000  # characters that Run Command keeps of an output (its quotas)


class Rehearsal:
    """The account's side: one for a process, as moto has one set of accounts for a process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.version = 0
        self.boots: Counter[str] = Counter()
        self.agents: frozenset[str] | None = None
        self.consoles: dict[str, str] = {}
        self.ahead = timedelta(0)
        self.databases: dict[str, str] = {}
        self.endpoints: dict[str, tuple[str, int]] | None = None
        self.snapshots: frozenset[str] | None = None
        self.restored: dict[str, str] = {}
        self.pending: dict[tuple[str, str], Any] = {}

    def time(self) -> datetime:
        """The account's clock, by which signatures are judged."""
        return datetime.now(UTC) + self.ahead

    def note(self, call: Call) -> None:
        """A call was answered; one that may have changed something wakes whoever waits."""
        if call.service != "s3" and not call.action.startswith(_READS):
            with self._changed:
                self.version += 1
                self._changed.notify_all()

    def answer(self, environ: Environ) -> Answer:
        """Answer a request to `PATH`."""
        if environ["REQUEST_METHOD"] == "PUT":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            self._learn(json.loads(body))
        else:
            asked = parse_qs(environ.get("QUERY_STRING", ""))
            self._wait(int(asked.get("after", ["-1"])[0]), float(asked.get("wait", ["0"])[0]))
        text = json.dumps(self._plain()).encode()
        return Answer("200 OK", [("Content-Type", "application/json")], text)

    def _wait(self, after: int, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.version != after, min(seconds, _LONGEST_WAIT))

    def _plain(self) -> dict[str, Any]:
        commands = [
            {"id": c.command_id, "instance": i, "document": c.document_name, "lines": _lines(c)}
            for (_, i), c in list(self.pending.items())
        ]
        return {
            "version": self.version,
            "boots": dict(self.boots),
            "restored": dict(self.restored),
            "commands": commands,
        }

    def _learn(self, told: Mapping[str, Any]) -> None:
        if "agents" in told:
            self.agents = None if told["agents"] is None else frozenset(told["agents"])
        self.consoles.update(told.get("consoles", {}))
        if "snapshots" in told:
            self.snapshots = frozenset(told["snapshots"])
        self.ahead = timedelta(seconds=told.get("ahead", self.ahead.total_seconds()))
        self.databases.update(told.get("databases", {}))
        if "endpoints" in told:
            self.endpoints = (self.endpoints or {}) | told["endpoints"]
        for result in told.get("results", ()):
            command = self.pending.pop((result["id"], result["instance"]), None)
            if command is not None:
                _finish(command, result)


REHEARSAL = Rehearsal()


def _lines(command: Any) -> list[str]:
    found = command.parameters.get("commands", [])
    return [found] if isinstance(found, str) else list(found)


def _finish(command: Any, result: Mapping[str, Any]) -> None:
    state = "Success" if result["code"] == 0 else "Failed"
    for invocation in command.invocations:
        if invocation["InstanceId"] == result["instance"]:
            invocation.update(
                Status=state,
                StatusDetails=state,
                ResponseCode=result["code"],
                StandardOutputContent=result["out"][:_MOST_OUTPUT],
                StandardErrorContent=result["err"][:_MOST_OUTPUT],
            )
    states = {invocation["Status"] for invocation in command.invocations}
    if "InProgress" not in states:
        command.status = command.status_details = "Failed" if "Failed" in states else "Success"


def close_gaps_of_rehearsals() -> None:
    """Let the account tell, and be told."""
    _reboots_are_counted()
    _consoles_are_the_machines()
    _commands_wait_for_their_machine()
    _databases_take_their_time()
    _snapshots_hold_something()
    _public_addresses_are_nobodys()


def _reboots_are_counted() -> None:
    original = Instance.reboot

    def reboot(self: Any) -> None:
        REHEARSAL.boots[self.id] += 1
        original(self)

    Instance.reboot = reboot


def _consoles_are_the_machines() -> None:
    """EC2 keeps the last 64 KB of what a machine printed (GetConsoleOutput); moto has a sample."""
    sample = General.get_console_output

    def told(self: Any) -> Any:
        instance = self._get_param("InstanceId")
        path = REHEARSAL.consoles.get(instance)
        if path is None:
            return sample(self)
        output = Base64EncodedString.from_raw_string(_end_of(Path(path)))
        return ActionResult({"InstanceId": instance, "Timestamp": utcnow(), "Output": output})

    General.get_console_output = told


def _end_of(console: Path) -> str:
    """Nothing for a machine that has not booted yet, or whose disk is gone."""
    try:
        return console.read_bytes()[-_MOST_CONSOLE:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _commands_wait_for_their_machine() -> None:
    """Run Command without a machine behind it says "Success" at once; with one it waits."""
    make, send = ssm.Command.__init__, ssm.SimpleSystemManagerBackend.send_command

    def made(self: Any, *arguments: Any, **given: Any) -> None:
        make(self, *arguments, **given)
        if REHEARSAL.agents is not None:
            self.status = self.status_details = "InProgress"
            for invocation in self.invocations:
                invocation.update(Status="InProgress", StatusDetails="InProgress", ResponseCode=-1)
                REHEARSAL.pending[self.command_id, invocation["InstanceId"]] = self

    def sent(self: Any, *arguments: Any, **given: Any) -> Any:
        wanted = given.get("instance_ids") or []
        if REHEARSAL.agents is not None and not REHEARSAL.agents.issuperset(wanted):
            raise SSMException("InvalidInstanceId", "Instances not in a valid state for account")
        return send(self, *arguments, **given)

    ssm.Command.__init__ = made
    ssm.SimpleSystemManagerBackend.send_command = sent


def _databases_take_their_time() -> None:
    """RDS says `creating` for minutes, without an address; moto's databases are there at once."""
    describe, endpoint = rds.RDSBackend.describe_db_instances, rds.DBInstance.endpoint

    def described(self: Any, *arguments: Any, **given: Any) -> Any:
        found = describe(self, *arguments, **given)
        for database in found:
            if status := REHEARSAL.databases.get(database.db_instance_identifier):
                database.status = status
            if status == "available":
                del REHEARSAL.databases[database.db_instance_identifier]
            elif REHEARSAL.endpoints is not None and database.status in ("creating", "available"):
                there = database.db_instance_identifier in REHEARSAL.endpoints
                database.status = "available" if there else "creating"
        return found

    def reached(self: Any) -> Any:
        if self.status == "creating":
            return None
        found = dict(endpoint.fget(self))
        own = (REHEARSAL.endpoints or {}).get(self.db_instance_identifier)
        return found | ({"Address": own[0], "Port": own[1]} if own else {})

    rds.RDSBackend.describe_db_instances = described
    rds.DBInstance.endpoint = property(reached)


def _snapshots_hold_something() -> None:
    """A snapshot is there once the rehearsed database was copied, and is what it was made from."""
    describe, create = rds.RDSBackend.describe_db_snapshots, rds.RDSBackend.create_db_instance
    restore = rds.RDSBackend.restore_db_instance_from_db_snapshot

    def described(self: Any, *arguments: Any, **given: Any) -> Any:
        found = describe(self, *arguments, **given)
        for snapshot in found:
            there = REHEARSAL.snapshots is None or snapshot.resource_id in REHEARSAL.snapshots
            snapshot.status = "available" if there else "creating"
        return found

    def created(self: Any, kwargs: dict[str, Any]) -> Any:
        # An earlier one of this name is nowhere any more.
        REHEARSAL.restored.pop(kwargs["db_instance_identifier"], None)
        if REHEARSAL.endpoints is not None:
            REHEARSAL.endpoints.pop(kwargs["db_instance_identifier"], None)
        return create(self, kwargs)

    def restored(self: Any, from_snapshot_id: str, overrides: dict[str, Any]) -> Any:
        made = restore(self, from_snapshot_id, overrides)
        REHEARSAL.restored[made.db_instance_identifier] = from_snapshot_id.rpartition(":")[2]
        return made

    rds.RDSBackend.describe_db_snapshots = described
    rds.RDSBackend.create_db_instance = created
    rds.RDSBackend.restore_db_instance_from_db_snapshot = restored


def _public_addresses_are_nobodys() -> None:
    """Elastic IPs out of 198.18.0.0/16, which RFC 2544 keeps for tests of networks.

    moto draws them from the loopback, where no route can lead to another machine.
    """
    make = ElasticAddress.__init__

    def made(self: Any, *arguments: Any, **given: Any) -> None:
        make(self, *arguments, **given)
        if self.public_ip.startswith("127."):
            self.public_ip = "198.18." + ".".join(self.public_ip.split(".")[2:])

    ElasticAddress.__init__ = made
