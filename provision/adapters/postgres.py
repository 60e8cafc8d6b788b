"""The door to a private PostgreSQL made from the machine's own binaries."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from provision.errors import MissingError, ProvisionError, RefusedError
from provision.model.secrets import Secret

ROLE = "mlflow"
DATABASE = "mlflow"
_SUPERUSER = "postgres"
_SERVICE_ACCOUNT = "postgres"
_KNOWN_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/usr/local/pgsql/bin",
)
_INSTALL_HINT = (
    "install PostgreSQL (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install "
    "postgresql-server; macOS: brew install postgresql@17), or set database.engine: sqlite"
)
_OLDEST_MAJOR = 13
_POLL_SECONDS = 0.05
_HOST_RULES = f"host {DATABASE} {ROLE} 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Binaries:
    """One installed PostgreSQL: where its programs are, and its major version."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        """The path of one of its programs."""
        return self.folder / name


@dataclass(frozen=True)
class Account:
    """The system user that a cluster runs as; `None` in all fields means: ourselves."""

    name: str | None = None
    uid: int | None = None
    gid: int | None = None


def find_binaries(cluster: Path) -> Binaries:
    """The PostgreSQL for this cluster: its own major version if it exists, else the newest.

    Raises `MissingError` when there is none, or none of the cluster's version (a data directory
    opens only with its own major version: PostgreSQL manual, chapter 19.6).
    """
    found = {binaries.major: binaries for binaries in _installed()}
    wanted = _cluster_major(cluster)
    if wanted is not None and wanted not in found:
        raise MissingError(
            f"{cluster} was made by PostgreSQL {wanted}, which is not installed any more",
            next_step=f"install PostgreSQL {wanted} again (apt-get install postgresql-{wanted}); "
            "the data is untouched",
        )
    if not found:
        raise MissingError(
            "database.engine is postgres, but no PostgreSQL server is installed here",
            next_step=_INSTALL_HINT,
        )
    return found[wanted if wanted is not None else max(found)]


def _installed() -> list[Binaries]:
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _KNOWN_PLACES:
        places.extend(sorted(Path("/").glob(pattern.lstrip("/"))))
    versions = ((folder, _major(folder)) for folder in dict.fromkeys(places))
    return [Binaries(f, major) for f, major in versions if major is not None]


def _major(folder: Path) -> int | None:
    if not all((folder / name).exists() for name in ("initdb", "postgres", "pg_dump")):
        return None
    output = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout
    words = output.split()
    major = words[2].split(".")[0] if len(words) > 2 else ""
    return int(major) if major.isdigit() and int(major) >= _OLDEST_MAJOR else None


def _cluster_major(cluster: Path) -> int | None:
    try:
        text = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except (FileNotFoundError, PermissionError):
        return None
    return int(text) if text.isdigit() else None


def account_for(folder: Path) -> Account:
    """Who must run the cluster: PostgreSQL refuses to run as root.

    Raises `MissingError` when root has no such account, `RefusedError` when the account cannot
    reach the folder.
    """
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(_SERVICE_ACCOUNT)
    except KeyError:
        raise MissingError(
            f"PostgreSQL does not run as root, and there is no user {_SERVICE_ACCOUNT} here",
            next_step="run provision as an ordinary user, or " + _INSTALL_HINT,
        ) from None
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    _require_reachable(folder, account)
    return account


def _require_reachable(folder: Path, account: Account) -> None:
    probe = subprocess.run(
        ["test", "-x", folder], user=account.uid, group=account.gid, extra_groups=[], check=False
    )
    if probe.returncode != 0:
        raise RefusedError(
            f"you are root, so PostgreSQL runs as user {account.name}, who cannot reach {folder}",
            next_step="put the stack where that user can go, for example "
            "--state-dir /srv/provision, or run provision as an ordinary user",
        )


def create_cluster(
    binaries: Binaries, cluster: Path, account: Account, *, role_password: Secret
) -> None:
    """Make a new cluster with one database and one role of its own; a half-made one is redone.

    Authentication is SCRAM for every connection. The cluster is made beside its place and moved
    there when it is whole.
    """
    if (cluster / "PG_VERSION").exists():
        return
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account.uid is not None:
        os.chown(unfinished, account.uid, account.gid or 0)
    _initdb(binaries, unfinished, account)
    _single_user(binaries, unfinished, account, _setup_sql(role_password))
    unfinished.rename(cluster)


def _initdb(binaries: Binaries, folder: Path, account: Account) -> None:
    """Make the data directory; its superuser has no password, which under SCRAM locks it."""
    locale = "--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"
    command = [str(binaries.program("initdb")), "-D", ".", "-U", _SUPERUSER, "-E", "UTF8", locale]
    _run([*command, "--auth=reject", "--no-instructions"], folder, account, "")
    _write_owned(folder / "pg_hba.conf", _HOST_RULES, account)


def _setup_sql(password: Secret) -> str:
    return (
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password.reveal()}';\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE};\n"
    )


def _single_user(binaries: Binaries, folder: Path, account: Account, sql: str) -> None:
    _run(
        [str(binaries.program("postgres")), "--single", "-D", ".", "postgres"], folder, account, sql
    )


def _run(command: list[str], folder: Path, account: Account, stdin: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
        umask=0o077,
    )
    if done.returncode != 0:
        last = done.stdout.strip().splitlines()[-5:]
        raise ProvisionError(
            f"{Path(command[0]).name} failed in {folder}: " + " | ".join(last),
            next_step="mend what it says (free space, permissions), then run provision up again",
        )


def write_server_config(
    cluster: Path, account: Account, *, port: int, max_connections: int
) -> None:
    """Where the cluster listens and how large it is; written at every start, as sizing may change.

    Loopback only, no Unix socket (its path would be limited to 107 bytes), full durability.
    """
    _write_owned(
        cluster / "provision.conf",
        f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n"
        f"max_connections = {max_connections}\nshared_buffers = 64MB\n"
        "password_encryption = 'scram-sha-256'\nlog_min_duration_statement = 2000\n"
        "log_line_prefix = '%m [%p] %u@%d '\n",
        account,
    )
    main = cluster / "postgresql.conf"
    include = "include_if_exists = 'provision.conf'\n"
    if include not in main.read_text(encoding="utf-8"):
        with main.open("a", encoding="utf-8") as handle:
            handle.write(include)


def _write_owned(path: Path, text: str, account: Account) -> None:
    path.write_text(text, encoding="utf-8")
    if account.uid is not None:
        os.chown(path, account.uid, account.gid or 0)


@contextlib.contextmanager
def running(
    binaries: Binaries,
    cluster: Path,
    account: Account,
    *,
    log: Path,
    environment: Mapping[str, str],
) -> Iterator[None]:
    """Run a stopped cluster while the body does, as it was configured last.

    Raises `ProvisionError` when it ends at once; its log says why. Clients wait for it themselves
    while it recovers.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [binaries.program("postgres"), "-D", cluster],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            start_new_session=True,
            umask=0o077,
        )
    try:
        _wait_until_ready(process, cluster, log)
        yield
    finally:
        # Fast shutdown: nobody is waited for, the data is written out.
        process.send_signal(signal.SIGINT)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], cluster: Path, log: Path) -> None:
    while process.poll() is None:
        # The eighth line of the lock file says how far it is (PostgreSQL's pidfile.h).
        with contextlib.suppress(OSError):
            lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            if lines[0] == str(process.pid) and lines[7:8] and lines[7].strip() == "ready":
                return
        time.sleep(_POLL_SECONDS)
    raise ProvisionError(
        f"PostgreSQL in {cluster} ended at once (code {process.returncode})",
        next_step=f"look at the end of {log}, mend what it says, then run this again",
    )


def connection_url(port: int, passfile: Path) -> str:
    """SQLAlchemy's URL for MLflow, without a password: libpq reads it from `passfile` each time."""
    return (
        f"postgresql+psycopg2://{ROLE}@127.0.0.1:{port}/{DATABASE}"
        f"?passfile={quote(str(passfile), safe='')}"
        "&connect_timeout=5&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"
    )


def passfile_line(password: Secret) -> str:
    """libpq's password file for the role, on any port (PostgreSQL manual, chapter 34.16)."""
    return f"127.0.0.1:*:{DATABASE}:{ROLE}:{password.reveal()}\n"
