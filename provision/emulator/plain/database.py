"""PostgreSQL as RDS in a folder: TLS and passwords alone, a master that is no superuser."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2

from provision.emulator.lab.authority import Authority
from provision.emulator.lab.needs import postgres_folder
from provision.emulator.lab.superuser import Superuser
from provision.errors import MissingError, ProvisionError

HOST = "localhost"
_SUPERUSER = "rdsadmin"
_START_SECONDS = 60.0
_WORD = "superuser"  # among its data, so that a copy of it can be opened
_SETTINGS = """
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
password_encryption = scram-sha-256
unix_socket_directories = ''
max_connections = 200
fsync = off
"""


def programs() -> Path:
    """Where PostgreSQL's programs are; raises `MissingError` without."""
    found = shutil.which("initdb")
    folder = Path(found).resolve().parent if found else postgres_folder()
    if folder is None:
        raise MissingError(
            "the rehearsed database needs PostgreSQL, which is not installed",
            next_step="apt-get install postgresql (macOS: brew install postgresql@17)",
        )
    return folder


class Database(Superuser):
    """One database of the account. Its folder lies where PostgreSQL's own account can go."""

    def __init__(self, root: Authority, identifier: str, records: Path, resource: str) -> None:
        self.resource = resource
        self._record = records / f"{identifier}.json"
        self.identifier = identifier
        self._folder = Path(tempfile.mkdtemp(prefix="provision-rds-"))
        self._root = root
        self._password = secrets.token_urlsafe(21)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    @property
    def runs(self) -> bool:
        """Whether its server is there."""
        return self._process is not None and self._process.poll() is None

    def bring(self, given: Callable[[Path], None], user: str, password: str) -> None:
        """Start it with the data of a snapshot, and a new password for RDS' master."""
        data = self._folder / "data"
        given(data)
        # The snapshot knows the superuser by its own database's password.
        self._password = (data / _WORD).read_text(encoding="ascii")
        self._give(self._folder)
        for path in (data, *data.rglob("*")):
            self._give(path)
        self.start()
        self.set_password(user, password)

    def make(self, user: str, password: str) -> None:
        """Make and start it, with RDS' master (user guide, "Master user account")."""
        word = self._folder / "word"
        word.write_text(self._password, encoding="ascii")
        certificate, key = self._root.issue(self._folder, HOST)
        for path in (self._folder, word, certificate, key):
            self._give(path)
        data = self._folder / "data"
        words = [str(programs() / "initdb"), "-D", str(data), "-U", _SUPERUSER, "-N"]
        made = subprocess.run(
            [*words, "--auth=scram-sha-256", f"--pwfile={word}"],
            cwd=self._folder, capture_output=True, check=False, text=False, **self._owner(),
        )  # fmt: skip
        if made.returncode:
            raise self._failed(made.stderr.decode(errors="replace"))
        for name, path in (("server.crt", certificate), ("server.key", key)):
            self._give(Path(shutil.copyfile(path, data / name)), 0o600)
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        self._give(Path(shutil.copyfile(word, data / _WORD)), 0o600)
        self.start()
        self.tell("create role rds_superuser createdb createrole")
        self.tell("grant pg_monitor, pg_signal_backend to rds_superuser")
        rights = "login createdb createrole in role rds_superuser"
        self.tell(f'create role "{user}" {rights} password %s', password)

    @staticmethod
    def _owner() -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        found = pwd.getpwnam("postgres")
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}

    def _give(self, path: Path, mode: int | None = None) -> None:
        owner = self._owner()
        path.chmod(mode or (0o700 if path.is_dir() else 0o600))
        if owner:
            os.chown(path, owner["user"], owner["group"])

    def start(self) -> None:
        """Start its server and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            program, data = str(programs() / "postgres"), str(self._folder / "data")
            words = [program, "-D", data, "-p", str(self.port)]
            self._process = subprocess.Popen(
                words, cwd=self._folder, stdout=log, stderr=log, start_new_session=True,
                text=False, **self._owner(),
            )  # fmt: skip
        self._record.parent.mkdir(exist_ok=True)
        told = {"pid": self._process.pid, "folder": str(self._folder)}
        self._record.write_text(json.dumps(told), encoding="utf-8")
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if not self.runs or time.monotonic() > deadline:
                raise self._failed((self._folder / "log").read_text(errors="replace"))
            time.sleep(0.1)

    def _failed(self, said: str) -> ProvisionError:
        last = " | ".join(said.strip().splitlines()[-3:])
        return ProvisionError(
            f"the rehearsed database does not start: {last}",
            next_step="mend what it says (free space, ports), then run this again",
        )

    def connected(self) -> Any:
        """By the port of this machine."""
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user=_SUPERUSER, password=self._password,
            dbname="postgres", connect_timeout=5,
        )  # fmt: skip

    def copy_to(self, folder: Path) -> None:
        """Its data as of one moment, while it serves."""
        words = [str(programs() / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(self.port)]
        words += ["-U", _SUPERUSER, "-D", str(folder), "-c", "fast", "-X", "stream"]
        done = subprocess.run(
            words, env={"PGPASSWORD": self._password, "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        if done.returncode:
            raise self._failed(done.stderr)

    def remove(self) -> None:
        """Away with it and its data."""
        if self._process is not None and self.runs:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._record.unlink(missing_ok=True)


def secret_of(user: str, password: str) -> str:
    """What RDS keeps in Secrets Manager for its master."""
    return json.dumps({"username": user, "password": password})
