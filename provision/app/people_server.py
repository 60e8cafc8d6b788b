"""People on a tracking server: MLflow's REST API for accounts, roles and grants, in our words.

The routes are those of MLflow 3.17 (`mlflow/server/auth/routes.py`), and `/provision/accounts` of
our own server for many passwords at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from provision.errors import MissingError, RefusedError
from provision.model.people import Account, Grant, Kind, Server, Step
from provision.model.secrets import Secret
from provision.model.tracking import Answer, TrackingError, dig, json_object

_V2: Final = "/api/2.0/mlflow/"
_V3: Final = "/api/3.0/mlflow/"
_OURS: Final = "/provision/accounts"
_WORKSPACE: Final = "default"  # the only one, while workspaces are off
_JSON: Final = {"Content-Type": "application/json"}
_EXISTS: Final = "RESOURCE_ALREADY_EXISTS"


class Asks(Protocol):
    """A client of a tracking server; `adapters.tracking.TrackingClient` is one."""

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = ...
    ) -> Answer:
        """One request; raises TrackingError for an answer other than 2xx."""


class PeopleServer:
    """A server's people, as seen and changed by an administrator."""

    def __init__(self, client: Asks) -> None:
        self._client = client
        self._experiments: dict[str, str] = {}
        self._roles: dict[str, int] = {}
        self._most = 1

    def observe(self) -> Server:
        """Everything about people.

        Raises RefusedError where the account is no administrator, MissingError where the server has
        no accounts or is not ours.
        """
        facts = self._facts()
        self._most = int(dig(facts, "most"))
        accounts = [_account(entry) for entry in dig(self._get(f"{_V2}users/list"), "users")]
        roles = {role["name"]: role for role in dig(self._get(f"{_V3}roles/list"), "roles")}
        self._roles = {name: int(role["id"]) for name, role in roles.items()}
        active, trashed = self._all_experiments()
        self._experiments = active | trashed
        return Server(
            accounts={account.username: account for account in accounts},
            roles={name: _grants(role) for name, role in roles.items()},
            experiments=active,
            trashed=trashed,
            default_permission=str(dig(facts, "default_permission")),
        )

    def parts(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        """`names` in parts of as many as the server takes at once; after `observe`."""
        for start in range(0, len(names), self._most):
            yield names[start : start + self._most]

    def put_accounts(self, passwords: Mapping[str, Secret]) -> None:
        """Create accounts or change their passwords: all of them, or none."""
        self._post(_OURS, accounts={name: found.reveal() for name, found in passwords.items()})

    def take(self, step: Step) -> None:
        """Take any step but the creation of an account. Safe to repeat."""
        _STEPS[step.kind](self, step)

    # What there is.

    def _facts(self) -> Mapping[str, Any]:
        try:
            return self._get(_OURS)
        except TrackingError as error:
            if error.status == 404:
                raise _no_accounts() from error
            if error.status == 403:
                raise RefusedError(
                    "only an administrator of the server may look after its people",
                    next_step="ask whoever ran provision up, or take their stack's folder",
                ) from error
            raise

    def _all_experiments(self) -> tuple[dict[str, str], dict[str, str]]:
        active: dict[str, str] = {}
        trashed: dict[str, str] = {}
        token = ""
        while True:
            query = {"max_results": 1000, "view_type": "ALL", "page_token": token}
            reply = self._post(f"{_V2}experiments/search", **query)
            for found in reply.get("experiments", ()):
                there = active if found["lifecycle_stage"] == "active" else trashed
                there[found["name"]] = found["experiment_id"]
            token = reply.get("next_page_token", "")
            if not token:
                return active, trashed

    # One step.

    def _create_experiment(self, step: Step) -> None:
        reply = self._post(f"{_V2}experiments/create", name=step.subject)
        self._experiments[step.subject] = str(dig(reply, "experiment_id"))

    def _restore(self, step: Step) -> None:
        self._post(f"{_V2}experiments/restore", experiment_id=self._experiments[step.subject])

    def _create_role(self, step: Step) -> None:
        reply = self._post(f"{_V3}roles/create", name=step.subject, workspace=_WORKSPACE)
        self._roles[step.subject] = int(dig(reply, "role", "id"))

    def _permit(self, step: Step) -> None:
        resource, pattern = self._resource(step)
        wanted = {"resource_type": resource, "resource_pattern": pattern}
        role = self._roles[step.subject]
        try:
            self._post(
                f"{_V3}roles/permissions/add", role_id=role, permission=step.permission, **wanted
            )
        except TrackingError as error:
            if error.reason != _EXISTS:
                raise
            self._change_permission(role, wanted, step.permission)

    def _change_permission(self, role: int, wanted: Mapping[str, str], permission: str) -> None:
        reply = self._get(f"{_V3}roles/permissions/list", role_id=str(role))
        for found in dig(reply, "role_permissions"):
            if all(found[key] == value for key, value in wanted.items()):
                identity = found["id"]
                self._send(
                    "PATCH", f"{_V3}roles/permissions/update",
                    role_permission_id=identity, permission=permission,
                )  # fmt: skip

    def _give(self, step: Step) -> None:
        resource, pattern = self._resource(step)
        wanted = {"username": step.subject, "resource_type": resource, "resource_id": pattern}
        grant = {**wanted, "permission": step.permission}
        try:
            self._post(f"{_V3}users/permissions/grant", **grant)
        except TrackingError as error:
            if error.reason != _EXISTS:
                raise
            self._post(f"{_V3}users/permissions/revoke", **wanted)
            self._post(f"{_V3}users/permissions/grant", **grant)

    def _resource(self, step: Step) -> tuple[str, str]:
        resource, _, name = step.target.partition(":")
        return resource, name if name == "*" else self._experiments[name]

    def _membership(self, step: Step) -> None:
        route = "assign" if step.kind is Kind.JOIN else "unassign"
        role = self._roles[step.target]
        method = "POST" if step.kind is Kind.JOIN else "DELETE"
        self._send(method, f"{_V3}roles/{route}", username=step.subject, role_id=role)

    def _admin(self, step: Step) -> None:
        wanted = step.kind is Kind.PROMOTE
        self._send("PATCH", f"{_V2}users/update-admin", username=step.subject, is_admin=wanted)

    def _remove(self, step: Step) -> None:
        self._send("DELETE", f"{_V2}users/delete", username=step.subject)

    # One request.

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return json_object(self._client.ask("GET", f"{path}?{urlencode(query)}" if query else path))

    def _post(self, path: str, **fields: Any) -> dict[str, Any]:
        return json_object(self._send("POST", path, **fields))

    def _send(self, method: str, path: str, **fields: Any) -> Answer:
        return self._client.ask(method, path, json.dumps(fields).encode(), _JSON)


_STEPS: Final[Mapping[Kind, Callable[[PeopleServer, Step], None]]] = {
    Kind.EXPERIMENT: PeopleServer._create_experiment,
    Kind.RESTORE: PeopleServer._restore,
    Kind.ROLE: PeopleServer._create_role,
    Kind.PERMIT: PeopleServer._permit,
    Kind.PROMOTE: PeopleServer._admin,
    Kind.DEMOTE: PeopleServer._admin,
    Kind.GIVE: PeopleServer._give,
    Kind.JOIN: PeopleServer._membership,
    Kind.LEAVE: PeopleServer._membership,
    Kind.REMOVE: PeopleServer._remove,
}


def _no_accounts() -> MissingError:
    return MissingError(
        "the server has no accounts, or is older than this command",
        next_step="set auth: basic under access in provision.yaml, then provision up",
    )


def _account(entry: Mapping[str, Any]) -> Account:
    """An account of `users/list`: its own grants lie in a role that MLflow keeps for it alone."""
    own = f"__user_{entry['id']}__"
    roles = {role["name"]: role for role in entry["roles"]}
    return Account(
        username=str(entry["username"]),
        is_admin=bool(entry["is_admin"]),
        roles=frozenset(name for name in roles if name != own),
        grants=_grants(roles[own]) if own in roles else frozenset(),
    )


def _grants(role: Mapping[str, Any]) -> frozenset[Grant]:
    return frozenset(
        Grant(found["resource_type"], found["resource_pattern"], found["permission"])
        for found in role["permissions"]
    )
