"""The server's files on this machine: its settings, and secrets that are made once."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from provision.host import files
from provision.host.machine import machine
from provision.host.run import Host
from provision.host.server_file import Server, server_file


def local_server(host: Host, address: str, port: int, models: int = 0) -> Server:
    """The database's address, this machine's memory and cores, and what models may use of it."""
    return Server(address, port, host.instance, machine(host.places), models)


def write_server_file(host: Host, server: Server, path: Path, report: str = "") -> bool:
    """Write what the server program reads; returns whether anything was different.

    `report` names another boot report below the state folder, for a run as root.
    """
    content = server_file(host.settings, server, host.places)
    if report:
        content["boot_report"] = str(host.places.state / report)
        content["gateway_passphrase_file"] = None
        if content["auth"]:
            content["auth"]["config_file"] = str(host.places.state / "prepare.auth.ini")
    text = json.dumps(content, indent=1) + "\n"
    return files.write(path, text, 0o640, group=host.places.user)


def write_secret(host: Host, name: str, value: str) -> bool:
    """Keep a secret where the server's group may read it; returns whether it was different."""
    path = host.places.settings / name
    return files.write(path, value + "\n", 0o640, group=host.places.user)


def write_session_key(host: Host) -> bool:
    """Make the key of browser sessions, which never leaves this machine, once."""
    kept = files.read(host.places.settings / "session-key").strip()
    return write_secret(host, "session-key", kept or secrets.token_urlsafe(48))
