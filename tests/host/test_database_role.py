"""The server's own role in a Postgres that behaves as RDS: made, renewed, and never lost."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy

from provision.host import watch
from provision.host.failures import HostError
from provision.host.phases import database
from provision.host.role_program import RoleProgram, database_of
from provision.host.server_file import Server, database_url
from provision.model.sizing import Machine as Size
from provision.server import postgres_dialect
from tests.host.conftest import ADMIN_PASSWORD, Machine, Rds, Told

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres")]


def program(machine: Machine, rds: Rds) -> RoleProgram:
    return RoleProgram(machine.host, "127.0.0.1", rds.port)


def admin() -> dict[str, str]:
    return {"username": "provision_admin", "password": ADMIN_PASSWORD}


def url(machine: Machine, rds: Rds, instance: str = "i-0123456789abcdef0") -> str:
    server = Server("127.0.0.1", rds.port, instance, Size(2**31, 2))
    return database_url(server, machine.places)


@contextmanager
def connected(machine: Machine, rds: Rds, instance: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url(machine, rds, instance))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_role_and_database_are_made_once(machine: Machine, rds: Rds) -> None:
    own = program(machine, rds)
    assert own.look().refused
    assert own.make(admin()).made == ("the role", "the database")
    assert own.look().problem == ""
    assert machine.places.passfile.stat().st_mode & 0o777 == 0o600
    assert database_of(machine.host) == ("127.0.0.1", rds.port)
    assert own.make(admin()).made == ("a new password for the role",)
    owner = rds.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'mlflow'")
    assert owner == [("mlflow",)]
    assert rds.query("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'mlflow'") == [
        (False, False)
    ]


def test_no_password_reaches_the_log_of_the_database(
    machine: Machine, rds: Rds, cluster: tuple[Rds, Path]
) -> None:
    own = program(machine, rds)
    own.make(admin())
    own.renew()
    password = machine.places.passfile.read_text().strip().rpartition(":")[2]
    log = cluster[1].read_text()
    assert "ROLE" in log and "SCRAM-SHA-256" in log
    assert password not in log


def test_the_server_connects_with_verified_tls_only(machine: Machine, rds: Rds) -> None:
    program(machine, rds).make(admin())
    with connected(machine, rds, "i-0123456789abcdef0") as connection:
        used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(sqlalchemy.text(used)).scalar() is True
        shown = connection.execute(sqlalchemy.text("SHOW tcp_keepalives_idle")).scalar()
        assert shown == "15", "a machine that vanished is forgotten soon"
    other = machine.places.database_ca.with_name("other")
    other.mkdir()
    from tests.certificates import Authority

    machine.places.database_ca.write_text(Authority(other, "Other CA").ca_file.read_text())
    assert "certificate verify failed" in program(machine, rds).look().problem


def test_renewing_loses_no_connection(machine: Machine, rds: Rds) -> None:
    """Connections are opened all the time while the password changes again and again."""
    own = program(machine, rds)
    own.make(admin())
    postgres_dialect.install()
    engine = sqlalchemy.create_engine(url(machine, rds), poolclass=sqlalchemy.pool.NullPool)
    stop, opened, failures = threading.Event(), [0], []

    def work() -> None:
        while not stop.is_set():
            try:
                with engine.connect():
                    opened[0] += 1
            except sqlalchemy.exc.OperationalError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = machine.places.passfile.read_text()
    try:
        for _ in range(5):
            assert watch.renew_password(machine.host)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert opened[0] > 20
    assert machine.places.passfile.read_text() != before


def test_the_admins_rotation_touches_nobody(machine: Machine, rds: Rds, told: Told) -> None:
    own = program(machine, rds)
    own.make(admin())
    rds.query("ALTER ROLE provision_admin PASSWORD 'rotated-by-rds'")
    assert own.look().problem == ""
    assert own.renew().problem == ""
    assert own.make(admin()).refused


@pytest.mark.parametrize("learned", [True, False])
def test_a_renewal_that_was_cut_off_is_taken_up(machine: Machine, rds: Rds, learned: bool) -> None:
    own = program(machine, rds)
    own.make(admin())
    passfile = machine.places.passfile
    old = passfile.read_text()
    cut_off = passfile.with_name("database.pass.next")
    if learned:
        own.renew()
        cut_off.write_text(passfile.read_text())
        passfile.write_text(old)
    else:
        cut_off.write_text(old.rpartition(":")[0] + ":never-told\n")
    cut_off.chmod(0o600)
    assert own.recover() is learned
    assert own.look().problem == ""


def test_a_second_host_on_the_same_database_is_named_and_harms_nobody(
    machine: Machine, rds: Rds, told: Told
) -> None:
    program(machine, rds).make(admin())
    first = machine.places.passfile.read_text()
    with connected(machine, rds, "i-0first"):
        machine.places.passfile.unlink()
        with pytest.raises(HostError) as caught:
            database._own_role(machine.host, told, program(machine, rds), rds.facts)
        assert caught.value.code == "second-host"
        assert "i-0first (127.0.0.1)" in caught.value.message
        assert told.waited
    machine.places.passfile.write_text(first)
    machine.places.passfile.chmod(0o600)
    assert program(machine, rds).look().problem == ""


def test_a_host_takes_over_when_the_one_before_it_is_gone(
    machine: Machine, rds: Rds, told: Told
) -> None:
    program(machine, rds).make(admin())
    engine = sqlalchemy.create_engine(url(machine, rds, "i-0gone"))
    connection = engine.connect()
    machine.places.passfile.unlink()

    def end() -> None:
        if machine.clock.now > 30:
            connection.invalidate()

    machine.clock.meanwhile = end
    database._own_role(machine.host, told, program(machine, rds), rds.facts)
    assert told.changes == ["a new password for the role"]
    engine.dispose()


def test_a_rotation_in_the_middle_is_waited_for(machine: Machine, rds: Rds, told: Told) -> None:
    """RDS has changed the password, and the secret holds the old one for a moment."""
    rds.query("ALTER ROLE provision_admin PASSWORD 'the-new-one'")

    def rotate() -> None:
        machine.account.secrets["rds!db-1"] = (
            '{"username": "provision_admin", "password": "the-new-one"}'
        )

    machine.clock.meanwhile = rotate
    database._own_role(machine.host, told, program(machine, rds), rds.facts)
    assert told.changes == ["the role", "the database"]
    assert "refuses its admin's managed password" in told.waited[0]


def test_no_password_is_in_an_argument_list(machine: Machine, rds: Rds) -> None:
    seen: list[str] = []
    stop = threading.Event()

    def watch_processes() -> None:
        while not stop.is_set():
            seen.append(subprocess.check_output(["ps", "axww", "-o", "args"], text=True))

    thread = threading.Thread(target=watch_processes, daemon=True)
    thread.start()
    try:
        program(machine, rds).make(admin())
    finally:
        stop.set()
        thread.join()
    password = machine.places.passfile.read_text().strip().rpartition(":")[2]
    assert any("database_role" in text for text in seen)
    assert not any(password in text or ADMIN_PASSWORD in text for text in seen)


def test_the_passfile_is_ignored_by_libpq_unless_it_is_private(machine: Machine, rds: Rds) -> None:
    """Why it belongs to the server's user and not to its group: libpq refuses anything wider."""
    program(machine, rds).make(admin())
    machine.places.passfile.chmod(0o640)
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(
            host="127.0.0.1", port=rds.port, user="mlflow", dbname="mlflow",
            passfile=str(machine.places.passfile),
        )  # fmt: skip
