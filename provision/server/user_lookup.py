"""Who is this user: asked at every request with accounts on, so asked in one plain statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow.server.auth.db.models import SqlUser
from mlflow.server.auth.entities import User
from sqlalchemy import bindparam, select

_COLUMNS = ("id", "username", "password_hash", "is_admin")


def shorten(store: Any) -> None:
    """Let `store.get_user` read one row; MLflow's own way makes a session and an object for it.

    `store` is MLflow's store of users. An unknown user is left to MLflow's way, and its words.
    """
    engine = store.engine
    if engine.dialect.name == "postgresql":
        # One round trip instead of three: no transaction is opened and closed around it.
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    columns = [getattr(SqlUser.__table__.c, name) for name in _COLUMNS]
    question = select(*columns).where(SqlUser.__table__.c.username == bindparam("name"))
    thorough: Callable[[str], User] = store.get_user

    def get_user(username: str) -> User:
        with engine.connect() as connection:
            rows = connection.execute(question, {"name": username}).all()
        if len(rows) != 1:
            return thorough(username)
        identity, name, password_hash, is_admin = rows[0]
        return User(id_=identity, username=name, password_hash=password_hash, is_admin=is_admin)

    store.get_user = get_user
