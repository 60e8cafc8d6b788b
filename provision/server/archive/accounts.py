"""Accounts and permissions into a stack, whose administrator keeps the password of that stack."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.errors import RefusedError
from provision.server.archive import copying, stores
from provision.server.archive.reporting import Reporter
from provision.server.archive.stores import Tables
from provision.server.database import initialise
from provision.server.environment import secret
from provision.server.places import Place
from provision.server.schemas import AUTH, State


def restore(
    source: Place, target: Place, reporter: Reporter, *, replace: bool = False
) -> int | None:
    """Replace the target's accounts by the source's; returns how many there are, `None` for none.

    Raises `RefusedError` where the target has accounts that the source does not know, unless they
    may go too (`replace`).
    """
    if source.users_url is None or target.users_url is None:
        return None
    old_engine, engine = map(stores.engine_for, (source.users_url, target.users_url))
    if AUTH.state(old_engine)[0] is State.EMPTY:
        return None
    stores.require_current(old_engine, AUTH, "the archive's accounts")
    if AUTH.state(engine)[0] is State.EMPTY:
        initialise(engine, AUTH)
    stores.require_current(engine, AUTH, "the stack's accounts")
    old, new = stores.tables_of(old_engine, AUTH), stores.tables_of(engine, AUTH)
    with stores.snapshot(old_engine) as reading, stores.filling(engine) as writing:
        if not replace:
            _require_known(writing, new["users"], _names(reading, old["users"]), target)
        copying.clear(writing, new)
        written = copying.copy((reading, old), (writing, new), None, reporter, "the accounts")
        copying.prove(writing, new, written, reporter)
        copying.set_sequences(writing, new)
        _keep_admin(writing, new, target)
    return written["users"].rows


def forget_experiments(place: Place, numbers: Sequence[str]) -> None:
    """Take away what anybody was granted on experiments that are going for good.

    SQLite gives the number of the last experiment to the next one, which is somebody else's; MLflow
    takes grants away with nothing but models and the like.
    """
    if place.users_url is None or not numbers:
        return
    engine = stores.engine_for(place.users_url)
    if AUTH.state(engine)[0] is State.EMPTY:
        return
    stores.require_current(engine, AUTH, "the accounts")
    known = stores.tables_of(engine, AUTH)
    grants, old = known["role_permissions"], known["experiment_permissions"]
    with engine.begin() as writing:
        for number in numbers:
            on_it = grants.c.resource_type == "experiment", grants.c.resource_pattern == number
            inside = (
                grants.c.resource_type == "scorer",
                grants.c.resource_pattern.startswith(f"{number}/", autoescape=True),
            )
            writing.execute(grants.delete().where(*on_it))
            writing.execute(grants.delete().where(*inside))
            writing.execute(old.delete().where(old.c.experiment_id == number))


def _names(connection: Connection, users: Table) -> set[str]:
    return set(connection.execute(sqlalchemy.select(users.c.username)).scalars())


def _require_known(writing: Connection, users: Table, known: set[str], target: Place) -> None:
    strangers = sorted(_names(writing, users) - known - {target.admin})
    if strangers:
        raise RefusedError(
            f"{target.name} has accounts that are not in what is restored: "
            + ", ".join(strangers[:5]),
            next_step="add --no-users to leave the accounts of this stack as they are",
        )


def _keep_admin(writing: Connection, known: Tables, target: Place) -> None:
    """The stack's own administrator is in its secrets folder, and must still get in."""
    users = known["users"]
    hasher = import_module("mlflow.server.auth.sqlalchemy_store").generate_password_hash
    values = {"password_hash": hasher(secret(target.admin_password_file)), "is_admin": True}
    named = users.c.username == target.admin
    if writing.execute(users.update().where(named).values(values)).rowcount == 0:
        writing.execute(users.insert().values(username=target.admin, **values))
