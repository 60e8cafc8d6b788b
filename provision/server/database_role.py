"""The server's own role and database in a PostgreSQL that has an admin: made, checked, renewed.

`python -m provision.server.database_role`, with one JSON document on standard input and one on
standard output. It runs with the server's Python, because only that one has a database driver.
Passwords come by standard input and reach the database as SCRAM verifiers: a server that logs its
DDL, as ours on RDS does, would write a password out.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

_CONNECT_SECONDS = 10
_TURN = "SELECT pg_advisory_lock(1886547830)"  # "prov", as in provision.server.database
_OTHERS = (
    "SELECT DISTINCT application_name, host(client_addr) FROM pg_stat_activity "
    "WHERE usename = %s AND application_name LIKE 'provision %%' AND application_name <> %s"
)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Do what `question["action"]` says: `look`, `make` or `renew`.

    Each answers `{"ok": true, ...}`, or false with libpq's first words as `problem`.
    """
    actions = {"look": _look, "make": _make, "renew": _renew}
    try:
        return {"ok": True, **actions[question["action"]](question)}
    except psycopg2.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"ok": False, "problem": lines[0] if lines else type(error).__name__}


def _connect(question: dict[str, Any], **who: str) -> Any:
    connection = psycopg2.connect(
        **question["server"], **who, sslmode="verify-full", connect_timeout=_CONNECT_SECONDS,
        keepalives_idle=15, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=30000,
    )  # fmt: skip
    connection.autocommit = True
    return connection


def _own(question: dict[str, Any]) -> Any:
    names = {"user": question["role"], "dbname": question["database"]}
    return _connect(question, **names, passfile=question["passfile"])


def _look(question: dict[str, Any]) -> dict[str, Any]:
    """Whether the role's own password works, and which other machines use the role now."""
    with closing(_own(question)) as connection, connection.cursor() as cursor:
        return {"others": _others(cursor, question)}


def _renew(question: dict[str, Any]) -> dict[str, Any]:
    """Let the role change its own password."""
    with closing(_own(question)) as connection:
        _set_password(connection, question, "ALTER ROLE {} PASSWORD {}")
    return {}


def _make(question: dict[str, Any]) -> dict[str, Any]:
    """Make role and database with the admin's rights, unless another machine uses them now."""
    admin = question["admin"]
    who = {"user": admin["username"], "password": admin["password"], "dbname": "postgres"}
    with closing(_connect(question, **who)) as connection, connection.cursor() as cursor:
        cursor.execute(_TURN)
        if others := _others(cursor, question):
            return {"others": others, "made": []}
        return {"others": [], "made": _made(connection, cursor, question)}


def _others(cursor: Any, question: dict[str, Any]) -> list[str]:
    cursor.execute(_OTHERS, (question["role"], question["application"]))
    return [f"{name.removeprefix('provision ')} ({address})" for name, address in cursor]


def _made(connection: Any, cursor: Any, question: dict[str, Any]) -> list[str]:
    role, database = sql.Identifier(question["role"]), sql.Identifier(question["database"])
    made = []
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (question["role"],))
    if cursor.fetchone():
        _set_password(connection, question, "ALTER ROLE {} LOGIN PASSWORD {}")
        made.append("a new password for the role")
    else:
        _set_password(connection, question, "CREATE ROLE {} LOGIN PASSWORD {}")
        made.append("the role")
    # The admin is no superuser on RDS: only a member may make the role an owner.
    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (question["database"],))
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        made.append("the database")
    return made


def _set_password(connection: Any, question: dict[str, Any], statement: str) -> None:
    role = question["role"]
    verifier = encrypt_password(question["password"], role, connection, "scram-sha-256")
    with connection.cursor() as cursor:
        words = (sql.Identifier(role), sql.Literal(verifier))
        cursor.execute(sql.SQL(statement).format(*words))


def main() -> None:
    """Answer the question on standard input."""
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
