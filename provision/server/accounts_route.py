"""`/provision/accounts`: many accounts at once, and what MLflow's own routes do not tell.

MLflow stretches every password (werkzeug's scrypt, about 0.1 s of CPU) when it is set, and again
at each first request of an account on each worker. That is right for passwords that people think
up; one that a program drew needs no stretching (NIST SP 800-63B, 5.1.2.2: look-up secrets of at
least 112 bits). So the passwords that come in here, 142 bits of letters and digits, are stored in
the same format with a smaller cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

PATH = "/provision/accounts"
SCHEMA = "provision.accounts/1"
GUESTS = "guests"
"""The role whose members create nothing."""

_COST = "scrypt:1024:8:1"
"""1 MiB and about 3 ms; MLflow's check reads the cost from the hash (`check_password_hash`)."""

_DRAWN = re.compile("[A-Za-z0-9]{24,128}")
_DIFFERENT = 10  # of 24 letters and digits that were drawn, 18 to 22 differ
MOST = 100


def add(app: Flask) -> None:
    """Add the route to MLflow's Flask application, with auth on; before the first request."""
    app.add_url_rule(PATH, "provision_accounts", _accounts, methods=["GET"])
    app.add_url_rule(PATH, "provision_accounts_put", _put_accounts, methods=["POST"])


def keep_guests_out(auth: Any) -> None:
    """Let members of the role GUESTS create nothing; without workspaces MLflow lets everybody.

    `auth` is MLflow's auth module, in which every creation asks this one function.
    """
    may_create = auth._can_create_in_workspace

    def _can_create_in_workspace(username: str) -> bool:
        return bool(may_create(username)) and not _is_guest(auth.store, username)

    auth._can_create_in_workspace = _can_create_in_workspace


def _is_guest(store: Any, username: str) -> bool:
    return any(role.name == GUESTS for role in store.list_user_roles(store.get_user(username).id))


def _accounts() -> tuple[Mapping[str, Any], int]:
    from mlflow.server import auth  # noqa: PLC0415

    if not auth.sender_is_admin():
        return {"error_code": "PERMISSION_DENIED"}, 403
    permission = auth.auth_config.default_permission
    return {"schema": SCHEMA, "default_permission": permission, "most": MOST}, 200


def _put_accounts() -> tuple[Mapping[str, Any], int]:
    """Create each account that is missing and set the password of each, in one transaction."""
    from flask import request  # noqa: PLC0415
    from mlflow.server import auth  # noqa: PLC0415

    if not auth.sender_is_admin():
        return {"error_code": "PERMISSION_DENIED"}, 403
    accounts = _wanted(request.get_json(silent=True))
    if isinstance(accounts, str):
        return {"error_code": "INVALID_PARAMETER_VALUE", "message": accounts}, 400
    created = put(auth.store, accounts)
    for name in accounts:
        auth._invalidate_user_auth_cache(name)
    return {"schema": SCHEMA, "created": created}, 200


def _wanted(document: Any) -> dict[str, str] | str:
    """Passwords by name; a text says what is wrong."""
    entries = document.get("accounts") if isinstance(document, dict) else None
    if not isinstance(entries, dict) or not 0 < len(entries) <= MOST:
        return f"`accounts` has to hold 1 to {MOST} passwords by user name"
    for name, password in entries.items():
        if not 0 < len(name) <= 255 or ":" in name:
            return "a user name has 1 to 255 characters and no colon"
        if not (isinstance(password, str) and _is_drawn(password)):
            return f"{name}: only passwords that a program drew: 24 or more letters and digits"
    return entries


def _is_drawn(password: str) -> bool:
    return _DRAWN.fullmatch(password) is not None and len(set(password)) >= _DIFFERENT


def put(store: Any, accounts: Mapping[str, str]) -> Sequence[str]:
    """Write accounts (passwords by name) to MLflow's store of users; returns who is new."""
    from mlflow.server.auth.db.models import SqlUser  # noqa: PLC0415
    from werkzeug.security import generate_password_hash  # noqa: PLC0415

    hashes = {name: generate_password_hash(accounts[name], _COST) for name in accounts}
    with store.ManagedSessionMaker(read_only=False) as session:
        found = session.query(SqlUser).filter(SqlUser.username.in_(hashes)).all()
        for user in found:
            user.password_hash = hashes.pop(user.username)
        for name, password_hash in hashes.items():
            session.add(SqlUser(username=name, password_hash=password_hash, is_admin=False))
    return sorted(hashes)
