"""The lab's PostgreSQL is RDS to whoever uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.conftest import World
from tests.lab.stack import NAME
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("rehearsal"), pytest.mark.xdist_group("lab")]
HOST = f"{NAME}.aaaaaaaaaa.eu-west-1.rds.amazonaws.com"
BUNDLE = "https://truststore.pki.rds.amazonaws.com/eu-west-1/eu-west-1-bundle.pem"


@pytest.fixture(scope="module")
def ready(world: World) -> Iterator[World]:
    world.out("apt-get", "-qq", "update")
    world.out("apt-get", "-qq", "--yes", "--no-install-recommends", "install", "postgresql-client")
    world.out("curl", "-sS", "-f", "-o", "/srv/rds.pem", BUNDLE)
    until(lambda: bool(world.lab.status()["databases"][NAME]["runs"]), "the database is there")
    yield world
    world.lab.mend()


def managed(world: World) -> dict[str, str]:
    found = world.make.client("rds").describe_db_instances(DBInstanceIdentifier=NAME)
    arn = found["DBInstances"][0]["MasterUserSecret"]["SecretArn"]
    text = world.make.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return dict(json.loads(text))


def ask(
    world: World,
    sql: str,
    password: str | None = None,
    options: str = "",
    database: str = "postgres",
) -> tuple[int, str]:
    """Exit code and words of psql in the machine, as the managed user."""
    secret = managed(world)
    where = f"host={HOST} user={secret['username']} dbname=postgres connect_timeout=3 {options}"
    verified = "" if "sslmode" in options else "sslmode=verify-full sslrootcert=/srv/rds.pem"
    word = f"PGPASSWORD={password or secret['password']}"
    done = world.run("env", word, "psql", "-qAt", "-c", sql, f"{where} {verified}")
    return done.code, (done.out + done.err).strip()


def test_it_answers_over_verified_tls_alone(ready: World) -> None:
    assert ask(ready, "select 1") == (0, "1")
    code, words = ask(ready, "select 1", options="sslmode=disable")
    assert code != 0
    assert "no encryption" in words
    other = "sslmode=verify-full sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    code, words = ask(ready, "select 1", options=other)
    assert code != 0
    assert "certificate verify failed" in words


def test_its_master_makes_roles_and_databases_and_is_no_superuser(ready: World) -> None:
    rights = (
        "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
    )
    assert ask(ready, rights) == (0, "f|t|t")
    for sql in ("create role course login password 'x'", "grant course to current_user",
                "create database course owner course"):  # fmt: skip
        assert ask(ready, sql)[0] == 0
    code, words = ask(ready, "copy (select 1) to program 'id'")
    assert code != 0
    assert "permission denied" in words or "must be superuser" in words


def test_nobody_but_the_server_reaches_it(ready: World) -> None:
    host = ready.lab.status()["databases"][NAME]["host"]
    probe = f"exec 3<>/dev/tcp/{host}/5432"
    assert ready.run("timeout", "3", "bash", "-c", probe).code == 0
    assert ready.lab.run("client", ["timeout", "3", "bash", "-c", probe]).code != 0


def test_a_rotation_renews_password_and_secret_at_once(ready: World) -> None:
    before = managed(ready)["password"]
    ready.lab.rotate()
    assert managed(ready)["password"] != before
    assert ask(ready, "select 1") == (0, "1")
    code, words = ask(ready, "select 1", before)
    assert code != 0
    assert "password authentication failed" in words


def test_it_can_restart_and_be_cut_off(ready: World) -> None:
    started = ask(ready, "select pg_postmaster_start_time()")
    ready.lab.restart_database()
    assert ask(ready, "select pg_postmaster_start_time()") != started
    ready.lab.cut("rds", "refuse")
    assert "Connection refused" in ask(ready, "select 1")[1]
    ready.lab.cut("rds", "drop")
    assert "timeout expired" in ask(ready, "select 1")[1]
    ready.lab.mend()
    assert ask(ready, "select 1") == (0, "1")


def test_a_snapshot_brings_the_database_back_as_it_was(ready: World) -> None:
    """All that was in it at that moment, roles too; the master's password is a new one."""
    rds = ready.make.client("rds")
    found = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]
    there = "select count(*) from pg_roles where rolname = 'kept'"
    assert ask(ready, "create role kept")[0] == 0
    rds.create_db_snapshot(DBInstanceIdentifier=NAME, DBSnapshotIdentifier="point")
    until(lambda: state_of(ready, "point") == "available", "the snapshot holds something")
    assert ask(ready, "drop role kept")[0] == 0
    rds.delete_db_instance(DBInstanceIdentifier=NAME, FinalDBSnapshotIdentifier="last")
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=NAME, DBSnapshotIdentifier="point",
        DBSubnetGroupName=found["DBSubnetGroup"]["DBSubnetGroupName"],
        VpcSecurityGroupIds=[g["VpcSecurityGroupId"] for g in found["VpcSecurityGroups"]],
    )  # fmt: skip
    until(lambda: ask(ready, there) == (0, "1"), "the role is back")
    assert state_of(ready, "last") == "available"
    for name in ("point", "last"):
        rds.delete_db_snapshot(DBSnapshotIdentifier=name)


def state_of(world: World, snapshot: str) -> str:
    found = world.make.client("rds").describe_db_snapshots(DBSnapshotIdentifier=snapshot)
    return str(found["DBSnapshots"][0]["Status"])
