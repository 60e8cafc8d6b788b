"""The short way to a user gives what MLflow's own way gives, at once after every change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

from provision.server import user_lookup
from tests.server.conftest import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/users.db"
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    yield cluster.url(request.getfixturevalue("database"))


def store_on(url: str) -> Any:
    store = SqlAlchemyStore()
    store.init_db(url)
    return store


def as_seen(user: Any) -> tuple[Any, ...]:
    return user.id, user.username, user.password_hash, user.is_admin


def test_users_are_the_same_both_ways_and_changes_count_at_once(url: str) -> None:
    theirs, ours = store_on(url), store_on(url)
    user_lookup.shorten(ours)
    for name, is_admin in (("anna", False), ("o'neill; --", True), ("zoë", False)):
        theirs.create_user(name, "a-long-enough-password", is_admin)
        assert as_seen(ours.get_user(name)) == as_seen(theirs.get_user(name))
    theirs.update_user("anna", is_admin=True)
    assert ours.get_user("anna").is_admin is True
    theirs.delete_user("anna")
    said = []
    for store in (theirs, ours):
        with pytest.raises(MlflowException) as refused:
            store.get_user("anna")
        said.append((refused.value.error_code, str(refused.value)))
        store.engine.dispose()
    assert said[0] == said[1]
