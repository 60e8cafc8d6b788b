"""Asking the program that speaks with the database (`provision.server.database_role`)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.run import Host
from provision.host.server_file import DATABASE, ROLE, application

_REFUSED: Final = ("password authentication failed", "no password supplied", "fe_sendauth")


@dataclass(frozen=True)
class Answer:
    """What came back: `problem` is empty when it worked, `others` use the role too."""

    problem: str = ""
    others: tuple[str, ...] = ()
    made: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the database answered, but knows another password or no such role."""
        return any(words in self.problem for words in _REFUSED)

    @property
    def lacks_database(self) -> bool:
        """Whether there is no such database yet."""
        return "does not exist" in self.problem


class RoleProgram:
    """The server's own role, seen from one machine."""

    def __init__(self, host: Host, address: str, port: int) -> None:
        self._host = host
        self._address = address
        self._port = port

    def look(self) -> Answer:
        """Connect with the role's own password."""
        return self._ask("look")

    def make(self, admin: dict[str, str]) -> Answer:
        """Make role and database with the admin's rights, and keep the new password."""
        password = secrets.token_urlsafe(32)
        answer = self._ask("make", admin=admin, password=password)
        if not answer.problem and not answer.others:
            self._keep(password)
        return answer

    def renew(self) -> Answer:
        """Give the role a new password and keep it.

        It is on the disk before the database learns it, so that no crash loses it: see `recover`.
        """
        password = secrets.token_urlsafe(32)
        self._write(self._next, password)
        answer = self._ask("renew", password=password)
        if not answer.problem:
            self._next.replace(self._host.places.passfile)
        return answer

    def recover(self) -> bool:
        """Take up the password of a renewal that was cut off, if the database has learned it."""
        if not self._next.exists():
            return False
        learned = not self._ask("look", passfile=str(self._next)).problem
        if learned:
            self._next.replace(self._host.places.passfile)
        return learned

    @property
    def _next(self) -> Any:
        return self._host.places.passfile.with_name("database.pass.next")

    def _keep(self, password: str) -> None:
        self._write(self._host.places.passfile, password)
        self._next.unlink(missing_ok=True)

    def _write(self, path: Any, password: str) -> None:
        line = f"{self._address}:{self._port}:*:{ROLE}:{password}\n"
        files.write(path, line, 0o600, self._host.places.user)

    def _ask(self, action: str, **more: Any) -> Answer:
        places = self._host.places
        server = {"host": self._address, "port": self._port}
        server["sslrootcert"] = str(places.database_ca)
        question = {
            "action": action,
            "server": server,
            "role": ROLE,
            "database": DATABASE,
            "passfile": str(places.passfile),
            "application": application(self._host.instance),
            **more,
        }
        command = [str(places.python), "-P", "-m", "provision.server.database_role"]
        text = self._host.commands.run(*command, stdin=json.dumps(question), timeout=120)
        return _answer(text)


def _answer(text: str) -> Answer:
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise HostError(
            "unexpected",
            f"the database program answered {text[:200]!r}",
            next_step="`provision repair` tries again",
        ) from error
    if not raw["ok"]:
        return Answer(problem=raw["problem"])
    return Answer("", tuple(raw.get("others", ())), tuple(raw.get("made", ())))


def database_of(host: Host) -> tuple[str, int]:
    """Where the database is, as the passfile of an earlier phase has it.

    Raises HostError `database-unknown` before that phase.
    """
    line = files.read(host.places.passfile)
    address, _, rest = line.partition(":")
    port = rest.partition(":")[0]
    if not port.isdecimal():
        raise HostError(
            "database-unknown",
            "this machine does not know its database yet",
            next_step="run all phases: `provision repair`",
        )
    return address, int(port)
