"""The admin's account: its password is made here, once, and kept in Secrets Manager.

Nobody can sign up by himself: only admins make users (MLflow's `validate_can_create_user`).
"""

from __future__ import annotations

import json
import secrets
import string
from typing import Final

from provision.host import files
from provision.host.failures import HostError
from provision.host.run import Host, Step
from provision.host.server_file import ADMIN
from provision.host.server_state import write_secret, write_session_key

# No letter that a shell, a URL or a person would stumble over.
_LETTERS: Final = string.ascii_letters + string.digits
_LENGTH: Final = 24


def run(host: Host, step: Step) -> None:
    """Bring the secrets of the accounts to their files."""
    if write_session_key(host):
        step.changed("the key of browser sessions")
    value = _from_secret(host, step) if host.settings.admin_secret else _own(host)
    if write_secret(host, "gateway-passphrase", value["gateway_passphrase"]):
        step.changed("the passphrase of stored API keys")
    if host.settings.auth == "none":
        step.detail("accounts are off: whoever reaches the server may do everything")
        return
    if write_secret(host, host.places.admin_password.name, value["password"]):
        step.changed("the admin's password, from Secrets Manager")
    step.detail(f"the user {ADMIN}; nobody can sign up by himself")


def _from_secret(host: Host, step: Step) -> dict[str, str]:
    name = host.settings.admin_secret
    text = host.aws.secret(name)
    if text is None:
        host.aws.put_secret(name, json.dumps(_fresh()))
        step.changed("a password for the admin, kept in Secrets Manager")
        # Another machine may have been quicker: what counts is what is there now.
        text = host.aws.secret(name) or ""
    return _read(name, text, host, step)


def _read(name: str, text: str, host: Host, step: Step) -> dict[str, str]:
    try:
        value = dict(json.loads(text))
        if len(str(value["password"])) < 12:
            raise ValueError("its password is shorter than 12 characters, which MLflow refuses")
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(
            "secret-unusable",
            f"the secret {name} does not hold the admin's password: {error}",
            next_step='put {"username": "admin", "password": "..."} into it (at least 12 '
            "characters); the machine tries again every minute",
        ) from error
    if "gateway_passphrase" not in value:
        value |= _own(host)
        host.aws.put_secret(name, json.dumps(value))
        step.changed("the passphrase of stored API keys, kept in Secrets Manager")
    return {key: str(entry) for key, entry in value.items()}


def _fresh() -> dict[str, str]:
    password = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    passphrase = secrets.token_urlsafe(32)
    return {"username": ADMIN, "password": password, "gateway_passphrase": passphrase}


def _own(host: Host) -> dict[str, str]:
    kept = files.read(host.places.settings / "gateway-passphrase").strip()
    return {"gateway_passphrase": kept or secrets.token_urlsafe(32)}
