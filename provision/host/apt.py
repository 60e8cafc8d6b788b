"""Debian's packages: installed where they are missing, nothing upgraded."""

from __future__ import annotations

from typing import Final

from provision.host.failures import HostError
from provision.host.run import Host, Step

_PATIENCE_SECONDS: Final = 900.0
_OPTIONS: Final = (
    "-q", "-y", "-o", "Acquire::Retries=3", "-o", "Acquire::https::Timeout=20",
    "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold",
    # Without it, `apt-get update` is content with what it had when a source does not answer.
    "-o", "APT::Update::Error-Mode=any",
    # Nobody reads descriptions of packages here.
    "-o", "Acquire::Languages=none",
)  # fmt: skip
_AWAY: Final = (
    "Could not resolve", "Could not connect", "Connection failed", "Failed to fetch", "timed out",
    "Unable to fetch", "Cannot initiate the connection", "Temporary failure", "Unable to connect",
)  # fmt: skip


def ensure(host: Host, step: Step, *packages: str) -> None:
    """Leave these packages installed. Raises HostError `packages-away` when no source answers."""
    missing = [package for package in packages if not installed(host, package)]
    if not missing:
        return
    if local := _bundled(host, missing):
        host.commands.run("apt-get", *_OPTIONS, "--no-download", "install", *local)
    else:
        host.patiently(lambda: _install(host, missing), _PATIENCE_SECONDS, ["packages-away"], step)
    for package in missing:
        step.changed(f"the package {package}")


def installed(host: Host, package: str) -> bool:
    """Whether a package is there and set up."""
    try:
        wanted = host.commands.run("dpkg-query", "-W", "-f", "${db:Status-Status}", package)
    except HostError:
        return False
    return wanted == "installed"


def _bundled(host: Host, packages: list[str]) -> list[str]:
    """The bundle's own files of these packages and what they need, for networks without sources."""
    files = sorted((host.places.bundle / "debs").glob("*.deb"))
    has_all = all(any(f.name.startswith(f"{package}_") for f in files) for package in packages)
    return [str(file) for file in files] if has_all else []


def _install(host: Host, packages: list[str]) -> None:
    try:
        # A bootstrap that was cut off may have left packages half set up.
        host.commands.run("dpkg", "--configure", "-a")
        host.commands.run("apt-get", *_OPTIONS, "update")
        host.commands.run("apt-get", *_OPTIONS, "install", "--no-install-recommends", *packages)
    except HostError as error:
        raise _explained(error) from error


def _explained(error: HostError) -> HostError:
    text = "\n".join(error.tail)
    if error.code != "command-failed" or not any(words in text for words in _AWAY):
        return error
    return HostError(
        "packages-away",
        f"Debian's package sources cannot be reached: {error.tail[-1].strip()}",
        next_step="let the machine reach Debian's mirrors on port 443; it tries again every minute",
        command=error.command,
        tail=error.tail,
    )
