"""Follows an account: whatever changes there happens in the lab a moment later."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from provision.emulator.lab.machine import Done
from provision.emulator.lab.view import Account
from provision.errors import ProvisionError

_LOG = logging.getLogger("provision.emulator.lab")
_PATH = "/provision/rehearsal"
_GLANCE_SECONDS = 2  # machines that end by themselves are noticed so late at most
_LONGEST_COMMAND = 3600.0  # the document's own default
_SHELL = "AWS-RunShellScript"


class Watched(Protocol):
    """A machine of the account."""

    @property
    def console(self) -> Path:
        """What it wrote to its console."""

    @property
    def has_agent(self) -> bool:
        """Whether commands reach it."""

    def run(self, words: Sequence[str], *, given: str, patience: float) -> Done:
        """Run a command in it."""


class Place(Protocol):
    """What follows the account: a lab, or folders."""

    account: Account
    problem: str
    source_of: Callable[[str], str]
    """Which snapshot a database was made from; empty where it was made empty."""

    @property
    def snapshots(self) -> Collection[str]:
        """The databases' snapshots that hold something."""

    @property
    def machines(self) -> Mapping[str, Watched]:
        """The machines by their ids."""

    def look(self, boots: Mapping[str, int] | None = None) -> None:
        """Be what the account says."""

    def lost_machines(self) -> bool:
        """Whether a machine that should run has ended by itself."""

    def show_memory(self) -> None:
        """Let each machine read how much of its memory is used."""


class Watcher:
    """One thread that looks, and one for each command that the account was sent."""

    def __init__(self, site: Place) -> None:
        self._site = site
        self._host = urlsplit(site.account.endpoint).netloc
        self._seen = -1
        self._taken: set[tuple[str, str]] = set()
        self._told: dict[str, Any] = {}
        self.ending = threading.Event()
        site.source_of = self._source_of

    def watch(self) -> None:
        """Until the account is gone, or `ending` is set."""
        while not self.ending.is_set():
            try:
                news = self._news()
            except OSError:
                _LOG.info("the account has ended, and so does the lab")
                return
            self._follow(news)

    def _follow(self, news: dict[str, Any]) -> None:
        if news["version"] != self._seen or self._site.lost_machines():
            self._site.problem = self._look(news["boots"])
        self._seen = news["version"]
        self._site.show_memory()
        self._tell_of_machines()
        for command in news["commands"]:
            self._take(command)

    def _look(self, boots: dict[str, int]) -> str:
        """Follow the account; returns what went wrong, which is tried again at the next change."""
        try:
            self._site.look(boots)
        except ProvisionError as error:
            _LOG.error("%s; %s", error.message, error.next_step)
            return f"{error.message}; {error.next_step}"
        except Exception as error:
            _LOG.exception("the lab could not follow its account")
            return f"{type(error).__name__}: {error}"
        return ""

    def _news(self) -> dict[str, Any]:
        found = self._ask("GET", f"{_PATH}?after={self._seen}&wait={_GLANCE_SECONDS}")
        return dict(json.loads(found))

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _source_of(self, database: str) -> str:
        told: dict[str, str] = json.loads(self._ask("GET", _PATH))["restored"]
        return told.get(database, "")

    def tell(self, told: dict[str, Any]) -> None:
        """Tell the account what only its machines can know."""
        self._ask("PUT", _PATH, json.dumps(told))

    def _tell_of_machines(self) -> None:
        """The stand-in for Systems Manager's agent is there once a machine has installed it."""
        machines = self._site.machines
        told = {
            "agents": sorted(name for name, machine in machines.items() if machine.has_agent),
            "consoles": {name: str(machine.console) for name, machine in machines.items()},
            "snapshots": sorted(self._site.snapshots),
        }
        if told != self._told:
            self._told = told
            self.tell(told)

    def _take(self, command: dict[str, Any]) -> None:
        name = (command["id"], command["instance"])
        if name not in self._taken:
            self._taken.add(name)
            threading.Thread(target=self._execute, args=(command,), daemon=True).start()

    def _execute(self, command: dict[str, Any]) -> None:
        code, out, err = 1, "", f"the lab knows no document {command['document']}"
        machine = self._site.machines.get(command["instance"])
        if machine is not None and command["document"] == _SHELL:
            script = "\n".join([*command["lines"], ""])
            done = machine.run(["/bin/sh", "-s"], given=script, patience=_LONGEST_COMMAND)
            code, out, err = done.code, done.out, done.err
        result = {"id": command["id"], "instance": command["instance"]}
        self.tell({"results": [{**result, "code": code, "out": out, "err": err}]})
