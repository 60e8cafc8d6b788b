"""The server's user, folders, memory, and package sources that need port 443 alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from provision.host import files, users
from provision.host.commands import disk_full
from provision.host.failures import HostError
from provision.host.machine import machine
from provision.host.places import SERVER_USER
from provision.host.run import Host, Step
from provision.model.sizing import MIB

SHORT_MEMORY: Final = 2048 * MIB
"""Below this the machine gets swap: package updates need room beside the server for a moment."""

SWAP_BYTES: Final = 1024 * MIB
_SWAP: Final = "/opt/provision/swap"
_SWAP_UNIT: Final = "opt-provision-swap.swap"
_LEAST_FREE: Final = 200 * MIB
_ENVIRONMENT_BYTES: Final = 1600 * MIB  # the wheels while they are unpacked, and the result


def run(host: Host, step: Step) -> None:
    """Make what everything else stands on."""
    _check_space(host)
    users.ensure(host, step, SERVER_USER, host.places.server)
    _folders(host, step)
    if encrypted_sources(host.places.at("/etc/apt")):
        step.changed("package sources over https")
    memory = machine(host.places).memory
    note = _swap(host, step) if memory < SHORT_MEMORY else ""
    step.detail(f"{memory // MIB} MiB of memory{note}")


def _check_space(host: Host) -> None:
    free = shutil.disk_usage(host.places.root).free
    needed = _LEAST_FREE if host.places.python.exists() else _ENVIRONMENT_BYTES
    if free < needed:
        raise disk_full(f"{free // MIB} MiB are free, {needed // MIB} MiB are needed")


def _folders(host: Host, step: Step) -> None:
    places = host.places
    made = [
        files.folder(places.code),
        files.folder(places.settings, 0o750, group=places.user),
        files.folder(places.state),
        files.folder(places.server, 0o700, places.user),
        files.folder(places.server / "tmp", 0o700, places.user),
    ]
    if any(made):
        step.changed("folders")


def encrypted_sources(apt: Path) -> bool:
    """Let apt use https alone, as port 80 is closed; returns whether anything had to change.

    Debian's mirrors answer both. The cloud images keep the mirror's address in a list of its own.
    """
    found = [apt / "sources.list", *apt.glob("sources.list.d/*"), *apt.glob("mirrors/*")]
    changed = [_encrypt(path) for path in found if path.is_file()]
    return any(changed)


def _encrypt(path: Path) -> bool:
    text = files.read(path)
    better = re.sub(r"^(?!\s*#)(.*?)\bhttp://", r"\1https://", text, flags=re.MULTILINE)
    return better != text and files.write(path, better)


def _swap(host: Host, step: Step) -> str:
    unit = host.places.at(f"/etc/systemd/system/{_SWAP_UNIT}")
    if unit.exists():
        return ""
    text = f"[Swap]\nWhat={_SWAP}\n\n[Install]\nWantedBy=swap.target\n"
    try:
        _make_swap(host)
        files.write(unit, text)
        host.commands.run("systemctl", "daemon-reload")
        host.commands.run("systemctl", "enable", "--now", _SWAP_UNIT)
    except HostError as error:
        # Where the machine is a container or the disk is short, the server runs without it.
        host.commands.succeeds("systemctl", "disable", _SWAP_UNIT)
        unit.unlink(missing_ok=True)
        host.places.at(_SWAP).unlink(missing_ok=True)
        return f"; no swap: {error.message}"
    step.changed(f"{SWAP_BYTES // MIB} MiB of swap")
    return ""


def _make_swap(host: Host) -> None:
    path = host.places.at(_SWAP)
    path.unlink(missing_ok=True)
    host.commands.run("fallocate", "--length", str(SWAP_BYTES), str(path))
    path.chmod(0o600)
    host.commands.run("mkswap", str(path))
