"""What can be asked of a lab from outside, faults included: its control socket's methods."""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import Any

from provision.emulator.lab import filters, namespaces
from provision.emulator.lab.control import Handler
from provision.emulator.lab.database import Database
from provision.emulator.lab.machine import Machine
from provision.emulator.lab.site import Site
from provision.emulator.lab.system import located
from provision.emulator.lab.watcher import Watcher
from provision.errors import UsageError

_DENIAL = "rehearsal-denies"
_NAMESPACES = ("client", "outside", "aws")


class Desk:
    """Each public method is one thing to ask; arguments and answers are JSON."""

    def __init__(self, site: Site, watcher: Watcher) -> None:
        self._site = site
        self._watcher = watcher

    def handlers(self) -> dict[str, Handler]:
        """The methods by their names."""
        names = (name for name in dir(self) if not name.startswith("_") and name != "handlers")
        return {name: getattr(self, name) for name in names}

    def status(self) -> dict[str, Any]:
        """What the lab runs, and which faults are set."""
        site = self._site
        return {
            "region": site.account.region,
            "endpoint": site.account.endpoint,
            "machines": {name: _told(machine) for name, machine in site.machines.items()},
            "databases": {
                name: {"runs": d.runs, "host": d.host, "name": d.name}
                for name, d in site.databases.items()
            },
            "cuts": site.cuts,
            "office": site.office,
            "problem": site.problem,
        }

    def look(self) -> None:
        """Do at once what the account says."""
        self._site.look()

    def close(self) -> None:
        """End the lab."""
        self._watcher.ending.set()

    def run(self, where: str, words: list[str], given: str, patience: float) -> dict[str, Any]:
        """Run a command in a machine (its id, or `machine` for the only one) or in a namespace."""
        if where in _NAMESPACES:
            return _within(where, words, given, patience)
        done = self._machine(where).run(words, given=given, patience=patience)
        return {"code": done.code, "out": done.out, "err": done.err}

    def _machine(self, name: str) -> Machine:
        machines = self._site.machines
        if name == "machine" and len(machines) == 1:
            return next(iter(machines.values()))
        if name not in machines:
            raise UsageError(
                f"the lab has no machine {name}",
                next_step=f"it has {', '.join(machines) or 'none'}",
            )
        return machines[name]

    def _database(self, identifier: str | None) -> Database:
        found = self._site.databases
        if identifier is None and len(found) == 1:
            return next(iter(found.values()))
        if identifier not in found:
            raise UsageError(
                f"the lab has no database {identifier}",
                next_step=f"it has {', '.join(found) or 'none'}",
            )
        return found[identifier]

    def cut(self, target: str, how: str) -> None:
        """Let packets to a part of AWS be lost (`drop`) or refused (`refuse`)."""
        targets = (*filters.TARGETS, filters.DATABASE)
        if target not in targets or how not in filters.CUTS:
            raise UsageError(
                f"cannot {how} {target}",
                next_step=f"one of {', '.join(filters.CUTS)}, and one of {', '.join(targets)}",
            )
        self._site.cuts[target] = how
        self._site.refilter()

    def mend(self) -> None:
        """Take back `cut`, `deny`, `slow_metadata`, `clock`, `come_from`, `client_without_s3`."""
        self._allow()
        self.clock(0.0)
        self._site.cuts.clear()
        self._site.metadata.slow_seconds = 0.0
        self._site.office = ""
        self._site.client_s3 = True
        self._site.refilter()

    def slow_metadata(self, seconds: float) -> None:
        """Let each answer of the metadata service take so long."""
        self._site.metadata.slow_seconds = seconds

    def come_from(self, address: str) -> None:
        """Let this machine and the lab's client seem to come from this address."""
        self._site.office = address
        self._site.refilter()

    def client_without_s3(self) -> None:
        """Take the client's way to S3 away."""
        self._site.client_s3 = False
        self._site.refilter()

    def limit(self, disk_bytes: int | None, memory_bytes: int | None) -> None:
        """Limits for machines that boot from now on; a limited disk is empty after a stop."""
        self._site.disk_bytes, self._site.memory_bytes = disk_bytes, memory_bytes

    def deny(self, action: str) -> None:
        """Take a right from the machines' roles, whatever else their policies say."""
        refusal = {"Effect": "Deny", "Action": action, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [refusal]})
        for role in self._roles():
            self._site.account.client("iam").put_role_policy(
                RoleName=role, PolicyName=_DENIAL, PolicyDocument=policy
            )

    def _roles(self) -> set[str]:
        profiles = {i.profile for i in self._site.view.instances if i.profile}
        return {self._site.account.role_of(p).rpartition("/")[2] for p in profiles} - {""}

    def _allow(self) -> None:
        iam = self._site.account.client("iam")
        for role in self._roles():
            if _DENIAL in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                iam.delete_role_policy(RoleName=role, PolicyName=_DENIAL)

    def clock(self, seconds: float) -> None:
        """Let AWS' clock be so far ahead of the machines' (behind: negative)."""
        self._site.metadata.ahead = seconds
        self._watcher.tell({"ahead": seconds})

    def reset(self, where: str) -> None:
        """As a power cut: a machine ends at once, and boots again from its disk."""
        self._machine(where).reset()

    def restart_database(self, identifier: str | None, seconds_down: float) -> None:
        """Restart it as RDS does."""
        self._database(identifier).restart(seconds_down=seconds_down)

    def hold_database(self, identifier: str) -> None:
        """Let a database that is yet to be made be `creating` until it is released."""
        self._site.held.add(identifier)
        self._watcher.tell({"databases": {identifier: "creating"}})

    def release_database(self, identifier: str) -> None:
        """It is ready now."""
        self._site.held.discard(identifier)
        self._watcher.tell({"databases": {identifier: "available"}})
        self._site.look()

    def rotate(self, identifier: str | None) -> None:
        """Renew the managed password, as RDS does each week: in the database and in its secret."""
        database = self._database(identifier)
        found = next(d for d in self._site.view.databases if d.identifier == database.identifier)
        password = secrets.token_urlsafe(21)
        database.set_password(found.user, password)
        self._site.account.client("secretsmanager").put_secret_value(
            SecretId=found.secret,
            SecretString=json.dumps({"username": found.user, "password": password}),
        )


def _told(machine: Machine) -> dict[str, Any]:
    instance = machine.instance
    return {
        "state": instance.state,
        "runs": machine.runs,
        "boots": machine.boots,
        "type": instance.type,
        "private_ip": instance.private_ip,
        "public_ip": instance.public_ip,
        "console": str(machine.console),
    }


def _within(where: str, words: list[str], given: str, patience: float) -> dict[str, Any]:
    command = located(namespaces.within(where, located(words)))
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=patience,
            errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"code": 124, "out": "", "err": f"no end after {patience:g} s"}
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
