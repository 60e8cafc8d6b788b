"""Everything that one lab runs: network, services, and machines as the account has them."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from provision.emulator.lab import addresses, authority, filters, namespaces, network, shelf
from provision.emulator.lab.database import Database
from provision.emulator.lab.dns import Leases, Names
from provision.emulator.lab.front import Front
from provision.emulator.lab.machine import Machine
from provision.emulator.lab.metadata import Metadata, host_name
from provision.emulator.lab.network import Network
from provision.emulator.lab.snapshots import Snapshots
from provision.emulator.lab.system import run
from provision.emulator.lab.view import Account, Instance, View
from provision.emulator.lab.view import Database as Asked

_LOG = logging.getLogger("provision.emulator.lab")
_GONE = ("terminated", "shutting-down")
_TRUSTSTORE = "truststore.pki.rds.amazonaws.com"


@dataclass(frozen=True)
class Plan:
    """What a lab is made from."""

    lab: str  # eight letters and digits that no other lab has
    folder: Path
    cache: Path
    image: Path
    shelf: Path
    door: tuple[str, int]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing: the applications keep the logs that matter."""


class Site:
    """One lab while it is up. `look` makes it what the account says; one thread at a time."""

    def __init__(self, plan: Plan, account: Account) -> None:
        self.plan = plan
        self.account = account
        self.machines: dict[str, Machine] = {}
        self.databases: dict[str, Database] = {}
        self.cuts: dict[str, str] = {}
        self.office = ""  # where clients seem to come from, when it was chosen by hand
        self.client_s3 = True
        self.disk_bytes: int | None = None
        self.memory_bytes: int | None = None
        self.problem = ""  # why the lab is not what the account says
        self.held: set[str] = set()
        self.view = View()
        self.network = Network(plan.lab)
        self.metadata = Metadata(account, plan.folder / "imds.log")
        self.names = Names(plan.folder, account.region)
        self.leases = Leases(plan.folder, account.region)
        self._leased: list[Instance] = []
        self._ways: set[str] = set()
        self._filters: dict[str, str] = {}
        self._subnets: set[str] = set()
        self.source_of: Callable[[str], str] = lambda _: ""
        self._snapshots = Snapshots(plan.folder / "snapshots")
        self.changing = threading.RLock()

    def open(self) -> None:
        """Wires and services; no machine yet."""
        image = self.plan.folder / "image"
        image.mkdir(exist_ok=True)
        run(["mount", "-t", "squashfs", "-o", "loop,ro", self.plan.image, image])
        self.network.make()
        self.names.start()
        self._serve_metadata()
        self._serve_names()

    def _serve_metadata(self) -> None:
        listener = namespaces.listen("aws", addresses.IMDS, 80)
        # Replies that live for one hop, as the machine's metadata options ask for.
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        server = make_server(
            addresses.IMDS, 80, self.metadata, threaded=True, fd=listener.fileno(),
            request_handler=_Quiet,
        )  # fmt: skip
        server.listener = listener  # type: ignore[attr-defined] # it has to live as long
        _in_background(server.serve_forever)

    def _serve_names(self) -> None:
        roots = {
            _TRUSTSTORE: authority.keep(self.plan.folder / "rds-ca", "rds-ca").pem,
        }
        stock = make_server(
            "127.0.0.1", 0, shelf.Shelf(self.plan.shelf, roots, self.plan.folder / "packages.log"),
            threaded=True, request_handler=_Quiet,
        )  # fmt: skip
        _in_background(stock.serve_forever)

        def route(name: str) -> tuple[str, int]:
            aws = name.endswith(".amazonaws.com") and name != _TRUSTSTORE
            return self.plan.door if aws else ("127.0.0.1", stock.port)

        root = authority.keep(self.plan.cache, "rehearsal-ca")
        places = (addresses.SERVICES, addresses.S3, addresses.PACKAGES)
        listeners = [namespaces.listen("aws", place, 443) for place in places]
        Front(root, self.plan.folder / "certificates", listeners, route).start()

    def look(self, boots: Mapping[str, int] | None = None) -> None:
        """Bring the lab to where the account is now."""
        with self.changing:
            self.view = self.account.look()
            here = [i for i in self.view.instances if i.state not in _GONE]
            self._wire(here)
            self._follow_databases()
            self._follow_names(here)
            self._refilter(here)
            self._follow_machines(here, boots or {})

    def _wire(self, here: list[Instance]) -> None:
        for cidr in {i.subnet for i in here} | {d.subnet for d in self.view.databases}:
            if cidr not in self._subnets:
                network.serve_subnet(cidr)
                self._subnets.add(cidr)
        self.metadata.instances = {i.private_ip: i for i in here}
        wanted = {i.public_ip for i in here if i.public_ip}
        for address in wanted - self._ways:
            self.network.open_way(address)
        for address in self._ways - wanted:
            self.network.close_way(address)
        self._ways = wanted

    def _follow_names(self, here: list[Instance]) -> None:
        plain = [Instance(**{**vars(i), "public_ip": "", "state": ""}) for i in here]
        if plain != self._leased:
            self.leases.give(here)
            self._leased = plain
        machines = {host_name(i, self.account.region): i.private_ip for i in here}
        databases = {d.name: d.host for d in self.databases.values() if d.name}
        self.names.say(machines | databases)

    def _follow_databases(self) -> None:
        seen = {d.identifier: d for d in self.view.databases if d.status != "deleting"}
        # A last snapshot is of a database that the account does not have any more.
        self._snapshots.follow(self.view.snapshots, self.databases)
        same = {d.identifier for d in self.databases.values() if _is_same(d, seen)}
        for gone in set(self.databases) - same:
            self.databases.pop(gone).remove()
        for identifier, found in seen.items():
            if identifier not in self.databases:
                self.databases[identifier] = self._new_database(found)
            if identifier not in self.held:
                self.databases[identifier].follow(found, self.account)

    def _new_database(self, found: Asked) -> Database:
        folder = self.plan.folder / f"rds-{found.identifier}"
        root = authority.keep(self.plan.folder / "rds-ca", "rds-ca")
        source = self.source_of(found.identifier)
        given = partial(self._snapshots.give, source) if source else None
        return Database(folder, root, found, given)

    @property
    def snapshots(self) -> Collection[str]:
        """The databases' snapshots that hold something."""
        return self._snapshots.names

    def _follow_machines(self, here: list[Instance], boots: Mapping[str, int]) -> None:
        for gone in set(self.machines) - {i.id for i in here}:
            _LOG.info("%s is terminated", gone)
            self.machines[gone].remove()
            del self.machines[gone]
        for instance in here:
            machine = self.machines.get(instance.id)
            if machine is None:
                machine = self._new(instance)
            machine.instance = instance
            self._follow(machine, boots.get(instance.id, 0))

    def _new(self, instance: Instance) -> Machine:
        folder = self.plan.folder / "machines" / instance.id
        machine = Machine(self.plan.lab, folder, self.plan.folder / "image", instance)
        self.machines[instance.id] = machine
        return machine

    def _follow(self, machine: Machine, asked_boots: int) -> None:
        state = machine.instance.state
        if state == "running" and not machine.runs:
            if machine.boots and not machine.told_to_stop:
                self._stopped_itself(machine)
                return
            _LOG.info("%s boots", machine.instance.id)
            memory = self.memory_bytes or self.account.memory_of(machine.instance.type)
            machine.boot(memory, disk_bytes=self.disk_bytes)
        elif state in ("stopped", "stopping") and machine.runs:
            _LOG.info("%s is stopped", machine.instance.id)
            machine.power_off()
        elif machine.runs and asked_boots > machine.asked_boots:
            machine.asked_boots = asked_boots
            machine.reboot()

    def _stopped_itself(self, machine: Machine) -> None:
        """A machine that powers itself off is stopped (user guide, "shutdown behavior")."""
        self.account.client("ec2").stop_instances(InstanceIds=[machine.instance.id])
        machine.told_to_stop = True

    def show_memory(self) -> None:
        """Let each machine read how much of its memory is used."""
        for machine in list(self.machines.values()):
            if machine.runs:
                machine.show_memory()

    def lost_machines(self) -> bool:
        """Whether a machine that should run has ended by itself."""
        machines = list(self.machines.values())
        return any(m.instance.state == "running" and not m.runs for m in machines)

    def refilter(self) -> None:
        """Apply the filters anew, after a fault was set or taken back."""
        with self.changing:
            self._refilter(list(self.view.instances))

    def _refilter(self, here: list[Instance]) -> None:
        allowed = {
            r.cidr
            for i in here
            for g in i.groups
            for r in self.view.group(g).ingress
            if r.cidr and r.first <= 443 <= r.last
        }
        office = self.office or addresses.office(allowed)
        texts = {
            "aws": filters.router(self.view, self._hosts(here), self.cuts),
            "outside": filters.outside(self.network.here, office, client_s3=self.client_s3),
        }
        for name, text in texts.items():
            if self._filters.get(name) != text:
                network.filters(name, text)
                self._filters[name] = text

    def _hosts(self, here: list[Instance]) -> filters.Hosts:
        groups = {i.private_ip: i.groups for i in here}
        groups |= {d.host: d.groups for d in self.databases.values()}
        return filters.Hosts(
            public={i.private_ip: i.public_ip for i in here if i.public_ip},
            groups=groups,
            databases=frozenset(d.host for d in self.databases.values()),
            with_s3=frozenset(i.private_ip for i in here if i.vpc in self.view.s3_vpcs),
        )

    def close(self) -> None:
        """Shut everything down that wants to be shut down; the rest ends with this process."""
        with self.changing:
            for machine in self.machines.values():
                machine.remove()
            for database in self.databases.values():
                database.remove()


def _is_same(database: Database, seen: Mapping[str, Asked]) -> bool:
    """Whether the account still has this very one, not only its name."""
    found = seen.get(database.identifier)
    return found is not None and found.resource == database.resource


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()
