"""`/provision/accounts`: many accounts at once, for administrators, with MLflow's own log-in."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

from provision.model.secrets import generate
from provision.server import accounts_route
from tests.server.conftest import Cluster
from tests.server.running import ADMIN, Server, auth_for, serving, settings_for

pytestmark = pytest.mark.slow
PATH = accounts_route.PATH
WHO = "/api/2.0/mlflow/users/current"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("accounts")
    with serving(folder, settings_for(folder, auth=auth_for(folder), workers=1)) as found:
        yield found


def drawn() -> str:
    return generate(24).reveal()


def put(server: Server, accounts: Any, user: tuple[str, str] | None = ADMIN) -> Any:
    return server.call("POST", PATH, {"accounts": accounts}, user=user)


def test_accounts_are_made_log_in_and_get_other_passwords(server: Server) -> None:
    first, then = drawn(), drawn()
    assert put(server, {"ana": first, "bo": drawn()}).json()["created"] == ["ana", "bo"]
    assert server.call("GET", WHO, user=("ana", first)).status == 200
    assert put(server, {"ana": then}).json()["created"] == []
    assert server.call("GET", WHO, user=("ana", first)).status == 401
    assert server.call("GET", WHO, user=("ana", then)).status == 200


def test_only_administrators_get_in(server: Server) -> None:
    password = drawn()
    put(server, {"mal": password})
    for user, status in ((("mal", password), 403), (("mal", "wrong" * 5), 401), (None, 401)):
        assert server.call("GET", PATH, user=user).status == status
        assert put(server, {"mal": drawn()}, user).status == status
    facts = server.call("GET", PATH, user=ADMIN).json()
    assert facts["default_permission"] == "READ"


@pytest.mark.parametrize(
    "accounts",
    [
        None,
        [],
        {},
        {"eve": "password1234"},
        {"eve": "a" * 24},
        {"eve": "correct horse battery staple"},
        {"eve": 7},
        {"": "x"},
        {"e:ve": "aB3dE6gH9jK2mN5pQ8sT1vW4"},
        {f"s{n}": "aB3dE6gH9jK2mN5pQ8sT1vW4" for n in range(accounts_route.MOST + 1)},
    ],
)
def test_anything_but_drawn_passwords_is_refused_whole(server: Server, accounts: Any) -> None:
    answer = put(server, accounts)
    assert answer.status == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    names = [entry["username"] for entry in users(server)]
    assert "eve" not in names and "s0" not in names


def users(server: Server) -> list[dict[str, Any]]:
    found = server.call("GET", "/api/2.0/mlflow/users/list", user=ADMIN).json()["users"]
    assert isinstance(found, list)
    return found


def test_every_password_that_we_draw_is_taken() -> None:
    """The check for drawn passwords must not refuse one in a million of them."""
    letters = string.ascii_letters + string.digits
    for _ in range(20_000):
        assert accounts_route._is_drawn("".join(secrets.choice(letters) for _ in range(24)))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/users.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.url(request.getfixturevalue("database"))


def test_mlflow_itself_takes_the_passwords_in_its_own_format(url: str) -> None:
    store = SqlAlchemyStore()
    store.init_db(url)
    password = drawn()
    assert accounts_route.put(store, {"ana": password, "o'neill; --": drawn()}) == [
        "ana", "o'neill; --",
    ]  # fmt: skip
    assert store.authenticate_user("ana", password)
    assert not store.authenticate_user("ana", password + "x")
    assert store.get_user("ana").is_admin is False
    kind = store.get_user("ana").password_hash.split(":")[0]
    store.create_user("by-mlflow", "a-long-enough-password")
    assert store.get_user("by-mlflow").password_hash.split(":")[0] == kind
    store.update_user("ana", is_admin=True)
    accounts_route.put(store, {"ana": drawn()})
    assert store.get_user("ana").is_admin is True, "a new password leaves the rights alone"
    store.engine.dispose()


def test_guests_create_nothing_and_others_do(server: Server) -> None:
    accounts = {"gus": drawn(), "stu": drawn()}
    put(server, accounts)
    role = server.call(
        "POST", "/api/3.0/mlflow/roles/create",
        {"name": accounts_route.GUESTS, "workspace": "default"}, user=ADMIN,
    ).json()["role"]["id"]  # fmt: skip
    assign = {"username": "gus", "role_id": role}
    assert server.call("POST", "/api/3.0/mlflow/roles/assign", assign, user=ADMIN).status == 200
    for name, status in (("gus", 403), ("stu", 200)):
        user = (name, accounts[name])
        for route in ("experiments/create", "registered-models/create"):
            made = server.call("POST", f"/api/2.0/mlflow/{route}", {"name": name}, user=user)
            assert made.status == status, (name, route)
