"""Debian's archive as this machine reaches it: its own mirrors and proxies, none of ours."""

from __future__ import annotations

from provision.emulator.lab.needs import path_of
from provision.emulator.lab.system import run

SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
_FORMAT = "$(REPO_URI) $(SUITE) $(CODENAME) $(COMPONENT) $(ORIGIN)"
# What says how to get somewhere; everything else in apt's settings is about this machine alone.
_WAYS = ("Acquire::http", "Acquire::https", "Acquire::ftp")


def archives() -> dict[str, str]:
    """Address by suite, where this machine's apt has Debian 12 itself; empty elsewhere."""
    if path_of("apt-get") is None:
        return {}
    found: dict[str, str] = {}
    targets = run(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"])
    for line in targets.splitlines():
        words = line.split()
        if len(words) == 5 and words[3:] == ["main", "Debian"] and words[2] in SUITES:
            found.setdefault(words[2], words[0].rstrip("/"))
    return found if set(found) == set(SUITES) else {}


def lines() -> list[str]:
    """The archive as mmdebstrap takes it; without any it uses Debian's own addresses."""
    return [f"deb {address} {suite} main" for suite, address in archives().items()]


def options() -> list[str]:
    """This machine's proxies and certificates, as lines of an apt.conf."""
    if path_of("apt-config") is None:
        return []
    dumped = run(["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', *_WAYS])
    return [line for line in dumped.splitlines() if line.startswith(_WAYS)]
