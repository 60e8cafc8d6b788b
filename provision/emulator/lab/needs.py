"""What a rehearsal needs of this machine, said before anything is started."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from provision.errors import MissingError
from provision.installing import install_extra

# Program -> the package of Debian and Ubuntu that has it.
_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "dnsmasq": "dnsmasq-base",
    "iptables-restore": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "curl": "curl",
}
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CAP_SYS_ADMIN = 21  # capabilities(7), linux/capability.h
_CAP_NET_ADMIN = 12
_WITHOUT = (
    "provision rehearse --no-boot, which boots none, or do this as root on a Linux machine of your "
    "own"
)


def path_of(program: str) -> str | None:
    """Where a program is; a user's PATH may lack the folders of the system's own."""
    return shutil.which(program, path=f"{os.defpath}:{_SYSTEM_FOLDERS}")


def require() -> None:
    """Raise `MissingError` for the first thing that is missing, with what to do about it."""
    require_rights()
    require_programs()


def require_rights() -> None:
    """Raise `MissingError` where no machine may be booted: no Linux, no root, a kernel without."""
    if sys.platform != "linux":
        raise MissingError("a rehearsal boots a machine, which takes Linux", next_step=_WITHOUT)
    if os.geteuid() != 0:
        raise MissingError(
            "a rehearsal makes network namespaces and mounts, which takes root",
            next_step="run this as root (sudo), or provision rehearse --no-boot, which boots none",
        )
    _require_capabilities()


def _require_capabilities() -> None:
    held = _capabilities()
    missing = [
        name
        for name, bit in (("CAP_SYS_ADMIN", _CAP_SYS_ADMIN), ("CAP_NET_ADMIN", _CAP_NET_ADMIN))
        if not held >> bit & 1
    ]
    if missing:
        raise MissingError(
            f"root lacks {' and '.join(missing)} here, as in a container without privileges",
            next_step=_WITHOUT,
        )
    for name in ("squashfs", "overlay"):
        if name not in Path("/proc/filesystems").read_text(encoding="ascii").split():
            _load(name)


def _load(module: str) -> None:
    """A file system that is a module is loaded at its first mount, where there are modules."""
    if not any(Path("/lib/modules").glob(f"{os.uname().release}/**/{module}.ko*")):
        raise MissingError(
            f"this kernel cannot mount {module}", next_step=f"use a kernel with {module}"
        )


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return int(line.split()[1], 16)


def require_programs() -> None:
    """Raise `MissingError` naming every program and package that is not installed."""
    missing = [name for name in _PROGRAMS if path_of(name) is None]
    packages = sorted({_PROGRAMS[name] for name in missing})
    if postgres_folder() is None:
        missing.append("postgres")
        packages.append("postgresql")
    if missing:
        raise MissingError(
            f"a rehearsal needs {', '.join(missing)}, not installed here",
            next_step=f"apt-get install --no-install-recommends {' '.join(packages)}",
        )
    if find_spec("moto") is None:
        raise MissingError(
            "the emulated AWS needs moto, which is not installed",
            next_step=install_extra("rehearsal"),
        )


def postgres_folder() -> Path | None:
    """Where the newest installed PostgreSQL server has its programs."""
    folders = [p.parent for p in Path("/").glob("usr/lib/postgresql/*/bin/initdb")]
    return max(folders, key=lambda folder: int(folder.parent.name), default=None)
