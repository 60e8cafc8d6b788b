"""The door to what is installed beside us."""

from __future__ import annotations

import platform
import socket
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version
from importlib.resources import files
from pathlib import Path


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, without importing it."""
    try:
        return _version(distribution)
    except PackageNotFoundError:
        return None


def is_in(python: str, distribution: str, version: str) -> bool:
    """Whether another environment, whose interpreter this is, has that very version."""
    if not python or not Path(python).exists():
        return False
    libraries = (Path(python).parent.parent / "lib").glob("python*/site-packages")
    return any((place / f"{distribution}-{version}.dist-info").is_dir() for place in libraries)


def python_version() -> str:
    """Python's own version."""
    return platform.python_version()


def data_file(name: str) -> str:
    """The text of a file that travels in the package."""
    return source_file("data", name)


def source_file(folder: str, name: str) -> str:
    """The text of a file in one of the package's folders."""
    return files("provision").joinpath(folder, name).read_text(encoding="utf-8")


def own_names() -> tuple[str, ...]:
    """Host names and addresses by which others on the network may know this machine."""
    name = socket.gethostname()
    names = dict.fromkeys([name, f"{name.partition('.')[0]}.local", socket.getfqdn()])
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        addresses = set()
    return (*names, *sorted(addresses | _routed_addresses()))


def _routed_addresses() -> set[str]:
    """The address that packets to the world would carry; nothing is sent to find it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
            return {str(probe.getsockname()[0])}
    except OSError:
        return set()
