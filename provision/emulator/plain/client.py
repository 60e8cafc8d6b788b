"""A rehearsal without booting, as long as this process lives: see `PlainLab`."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from provision.adapters import workspace
from provision.emulator import client as accounts
from provision.emulator.lab import authority
from provision.emulator.lab.metadata import Metadata
from provision.emulator.lab.snapshots import Snapshots
from provision.emulator.lab.view import Account, View
from provision.emulator.lab.view import Database as Asked
from provision.emulator.lab.watcher import Watcher
from provision.emulator.plain.database import HOST, Database, programs, secret_of
from provision.emulator.plain.keeper import clean
from provision.emulator.plain.machine import Machine
from provision.errors import MissingError, ProvisionError, RefusedError

_LOG = logging.getLogger("provision.emulator.lab")
_GONE = ("terminated", "shutting-down")
FRONT = "127.0.0.1:8443"
"""Where a client finds the server: at the end that a tunnel to a machine has."""


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Nothing: the metadata service keeps a log of its own."""


class PlainLab:
    """What surrounds the emulated account of another folder; ends with this process.

    It does what a lab does, without a machine: databases answer on the loopback, instances are
    folders in which the host program runs.
    """

    def __init__(self, folder: Path, account: Path, region: str) -> None:
        self.folder = folder.resolve()
        self._account_folder = account.resolve()
        self._region = region
        self._site: _Site | None = None
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log: logging.FileHandler | None = None
        # What follows the account notes its troubles; here they are no business of the terminal.
        _LOG.propagate = False

    @property
    def is_up(self) -> bool:
        """Whether it follows its account."""
        return self._thread is not None and self._thread.is_alive()

    def up(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Begin to follow the account. Raises `MissingError` for what this machine lacks."""
        if self.is_up:
            return
        _require()
        found = accounts.find(self._account_folder)
        if found is None:
            raise MissingError("there is no emulated account", next_step="start one first")
        say(f"no machine boots: the host's program runs in {self.folder}")
        workspace.make_folder(self.folder)
        clean(self.folder)
        self._log = logging.FileHandler(self.folder / "lab.log")
        _LOG.addHandler(self._log)
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "provision.emulator.plain.keeper", str(self.folder)],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._site = _Site(self.folder, Account(found.endpoint, self._region), found.door)
        self._watcher = Watcher(self._site)
        self._site.tell = self._watcher.tell
        self._watcher.tell({"endpoints": {}})
        self._thread = threading.Thread(target=self._watcher.watch, daemon=True)
        self._thread.start()

    def down(self) -> None:
        """End all that runs in it, and remove its folder."""
        if self._watcher is not None and self._thread is not None:
            self._watcher.ending.set()
            self._thread.join()
        if self._site is not None:
            self._site.close()
        if self._keeper is not None:
            self._keeper.communicate()
        if self._log is not None:
            _LOG.removeHandler(self._log)
            self._log.close()
        workspace.remove_folder(self.folder)

    def trouble(self) -> str:
        """Why no host can run in it."""
        problem = self._site.problem if self._site else ""
        return f"the rehearsal cannot do what its account says: {problem}" if problem else ""

    def rotate(self, identifier: str | None = None) -> None:
        """Renew a database's managed password, in the database and in its secret."""
        if self._site is None:
            raise ProvisionError("the rehearsal is not up", next_step="provision rehearse")
        self._site.rotate(identifier)


def _require() -> None:
    programs()
    if shutil.which("curl") is None:
        raise MissingError("the host's program needs curl", next_step="install curl")
    host, _, port = FRONT.rpartition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        raise RefusedError(
            f"clients find the rehearsed server at {FRONT}, and something else is there",
            next_step=f"end what listens on port {port} (a tunnel?), then run this again",
        ) from error


class _Site:
    """The account as folders and processes; one thread looks."""

    def __init__(self, folder: Path, account: Account, door: str) -> None:
        logging.getLogger("botocore").setLevel(logging.WARNING)
        self.folder = folder
        self.account = account
        self.machines: dict[str, Machine] = {}
        self.databases: dict[str, Database] = {}
        self.view = View()
        self.problem = ""
        self.tell: Callable[[dict[str, Any]], None] = lambda _: None
        self._door = door
        self.source_of: Callable[[str], str] = lambda _: ""
        self._snapshots = Snapshots(folder / "snapshots")
        self._root = authority.keep(folder, "rds-ca")
        self._metadata = Metadata(account, folder / "imds.log")
        server = make_server("127.0.0.1", 0, self._metadata, threaded=True, request_handler=_Quiet)
        self._imds = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def look(self, boots: Mapping[str, int] | None = None) -> None:
        """Be what the account says."""
        self.view = self.account.look()
        self._follow_databases()
        here = [i for i in self.view.instances if i.state not in _GONE]
        for gone in set(self.machines) - {i.id for i in here}:
            self.machines.pop(gone).remove()
        for instance in here:
            # All come from one address, so there can be one.
            self._metadata.instances = {"127.0.0.1": instance}
            machine = self.machines.get(instance.id) or self._machine(instance)
            machine.instance = instance
            self._follow(machine, (boots or {}).get(instance.id, 0))

    def _machine(self, instance: Any) -> Machine:
        facts = {"endpoint": self._door, "metadata": self._imds, "front": FRONT}
        units = {
            "AWS_ENDPOINT_URL": self._door,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self._imds,
        }
        made = Machine(self.folder / "machines" / instance.id, instance, facts, units)
        made.keep_authorities(self._root.pem)
        self.machines[instance.id] = made
        return made

    def _follow(self, machine: Machine, asked: int) -> None:
        state = machine.instance.state
        if state == "running" and machine.runs and asked > machine.asked_boots:
            machine.power_off()
        if state == "running" and not machine.runs:
            machine.asked_boots = asked
            data = self.account.user_data(machine.instance.id)
            machine.boot(data, self.account.memory_of(machine.instance.type))
        elif state in ("stopped", "stopping") and machine.runs:
            machine.power_off()

    def _follow_databases(self) -> None:
        seen = {d.identifier: d for d in self.view.databases if d.status != "deleting"}
        self._snapshots.follow(self.view.snapshots, self.databases)
        for name, database in list(self.databases.items()):
            if name not in seen or seen[name].resource != database.resource:
                self.databases.pop(name).remove()
        for identifier, found in seen.items():
            if identifier not in self.databases:
                made = self.databases[identifier] = self._new_database(found)
                self.tell({"endpoints": {identifier: [HOST, made.port]}})

    def _new_database(self, found: Asked) -> Database:
        made = Database(self._root, found.identifier, self.folder / "databases", found.resource)
        password = json.loads(self.account.secret(found.secret))["password"]
        source = self.source_of(found.identifier)
        if source:
            made.bring(partial(self._snapshots.give, source), found.user, password)
        else:
            made.make(found.user, password)
        return made

    @property
    def snapshots(self) -> Collection[str]:
        """The databases' snapshots that hold something."""
        return self._snapshots.names

    def rotate(self, identifier: str | None) -> None:
        """As RDS does each week."""
        name = identifier or next(iter(self.databases))
        found = next(d for d in self.view.databases if d.identifier == name)
        password = secrets.token_urlsafe(21)
        self.databases[name].set_password(found.user, password)
        self.account.client("secretsmanager").put_secret_value(
            SecretId=found.secret, SecretString=secret_of(found.user, password)
        )

    def show_memory(self) -> None:
        """Nothing: a folder has no memory of its own."""

    def lost_machines(self) -> bool:
        """None ends by itself."""
        return False

    def close(self) -> None:
        """End everything."""
        for machine in self.machines.values():
            machine.remove()
        for database in self.databases.values():
            database.remove()
