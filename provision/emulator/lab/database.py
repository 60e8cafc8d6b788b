"""PostgreSQL as RDS runs it: TLS alone, a root of its own, a master that is no superuser."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2

from provision.emulator.lab import addresses, namespaces, network
from provision.emulator.lab.authority import Authority
from provision.emulator.lab.needs import postgres_folder
from provision.emulator.lab.superuser import Superuser
from provision.emulator.lab.system import located, run, write
from provision.emulator.lab.view import Account
from provision.emulator.lab.view import Database as Asked
from provision.errors import ProvisionError

_USER = "postgres"  # the account that Debian's package makes for it
_SUPERUSER = "rdsadmin"  # RDS user guide, "Understanding the rdsadmin user"
_PLACE = "/mnt"  # where its data is mounted, for its own processes alone
_START_SECONDS = 60.0
# Nobody comes by the loopback but the lab itself: it is the namespace's own.
_ACCESS = f"""\
host all {_SUPERUSER} 127.0.0.1/32 trust
host replication {_SUPERUSER} 127.0.0.1/32 trust
hostssl all {_SUPERUSER} all reject
hostssl all all all scram-sha-256
"""
_SETTINGS = """
listen_addresses = '*'
unix_socket_directories = ''
ssl = on
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = scram-sha-256
fsync = off
max_connections = 200
log_connections = on
log_line_prefix = '%m [%p] %u@%d %h '
"""


class Database(Superuser):
    """One database of the account; `given` fills its data where it comes from a snapshot."""

    def __init__(
        self, folder: Path, root: Authority, asked: Asked, given: Callable[[Path], None] | None
    ) -> None:
        self._folder = folder
        self._given = given
        self.resource = asked.resource
        self._root = root
        self._space = f"rds-{asked.identifier}"
        self.identifier = asked.identifier
        self.groups = asked.groups
        self.name = asked.address
        self.host = addresses.spare(asked.subnet, asked.identifier)
        self._subnet = asked.subnet
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def runs(self) -> bool:
        """Whether its server is there."""
        return self._process is not None and self._process.poll() is None

    def follow(self, asked: Asked, account: Account) -> None:
        """Be what the account says: there, or stopped."""
        self.groups, self.name = asked.groups, asked.address or self.name
        if asked.status in ("stopped", "stopping"):
            self.stop()
        elif not self.runs:
            self.start()
            if not self._is_made():
                self._make_master(asked, account)

    def _is_made(self) -> bool:
        return (self._folder / "made").exists()

    def start(self) -> None:
        """Start its server, the first time with empty data; waits until it answers."""
        if not namespaces.exists(self._space):
            network.plug(self._space)
            network.settle(self._space, self.host, self._subnet)
        if not (self._folder / "data").exists():
            self._initialise()
        self._process = self._launch()
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if not self.runs or time.monotonic() > deadline:
                raise ProvisionError(
                    f"the database {self.identifier} does not start",
                    next_step=f"read {self._folder / 'postgres.log'}",
                )
            time.sleep(0.05)

    def _initialise(self) -> None:
        data = self._folder / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._given is not None:
            self._given(data)
        else:
            data.mkdir(mode=0o700)
            run(["chown", _USER, data])
            self._as_postgres(["initdb", "-D", _PLACE, "-U", _SUPERUSER, "-A", "trust", "-N"])
            with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
                settings.write(_SETTINGS)
        self._let_in(data)

    def _let_in(self, data: Path) -> None:
        """Its certificate and its rules; all of it is its user's."""
        certificate, key = self._root.issue(self._folder, self.name)
        write(data / "server.crt", certificate.read_bytes(), 0o644)
        write(data / "server.key", key.read_bytes())
        write(data / "pg_hba.conf", _ACCESS)
        run(["chown", "-R", f"{_USER}:", data])

    def _words(self, words: list[str]) -> list[str]:
        """As the database's user, who may not pass through the folders above its data."""
        folder = postgres_folder()
        assert folder is not None  # noqa: S101 - `needs.require` was here first
        script = 'mount --bind "$1" "$2" && cd / && shift 2 && exec "$@"'
        drop = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", "--"]
        program = [*drop, str(folder / words[0]), *words[1:]]
        alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
        return [*alone, str(self._folder / "data"), _PLACE, *program]

    def _as_postgres(self, words: list[str]) -> None:
        run(self._words(words), doing=f"make the database {self.identifier}")

    def _launch(self) -> subprocess.Popen[bytes]:
        words = located(namespaces.within(self._space, self._words(["postgres", "-D", _PLACE])))
        with (self._folder / "postgres.log").open("ab") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def connected(self) -> Any:
        """By the port that only the lab's own account can reach."""
        with namespaces.entered(self._space):
            return psycopg2.connect(
                host="127.0.0.1", user=_SUPERUSER, dbname="postgres", sslmode="disable",
                connect_timeout=5,
            )  # fmt: skip

    def _make_master(self, asked: Asked, account: Account) -> None:
        """RDS' master has these rights and no more (user guide, "Master user account")."""
        password = json.loads(account.secret(asked.secret))["password"] if asked.secret else "none"
        if self._given is not None:
            self.set_password(asked.user, password)
            write(self._folder / "made", "")
            return
        self.tell("create role rds_superuser createdb createrole")
        self.tell("grant pg_monitor, pg_signal_backend, pg_checkpoint to rds_superuser")
        rights = "login createdb createrole in role rds_superuser"
        self.tell(f'create role "{asked.user}" {rights} password %s', password)
        self.tell(f'grant all on database postgres to "{asked.user}" with grant option')
        write(self._folder / "made", "")

    def copy_to(self, folder: Path) -> None:
        """Its data as of one moment, while it serves."""
        program = postgres_folder()
        assert program is not None  # noqa: S101 - `needs.require` was here first
        words: list[str | Path] = [program / "pg_basebackup", "-h", "127.0.0.1", "-U", _SUPERUSER]
        words += ["-D", folder, "-c", "fast", "-X", "stream"]
        run(
            namespaces.within(self._space, words),
            doing=f"take a snapshot of the database {self.identifier}",
        )

    def restart(self, *, seconds_down: float = 0.0) -> None:
        """As `rds:RebootDBInstance`: every connection ends, and it is away for a while."""
        self.stop()
        time.sleep(seconds_down)
        self.start()

    def stop(self) -> None:
        """End its server at once (a "fast" shutdown of PostgreSQL)."""
        if self._process is not None and self.runs:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def remove(self) -> None:
        """Away with it and its data."""
        self.stop()
        if namespaces.exists(self._space):
            namespaces.remove(self._space)
        shutil.rmtree(self._folder, ignore_errors=True)
