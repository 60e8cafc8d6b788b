"""`provision version --json`: what is installed."""

from __future__ import annotations

from dataclasses import dataclass

from provision._version import __version__
from provision.adapters.packages import installed_version, python_version


@dataclass(frozen=True)
class Versions:
    """Versions of what a report of a fault should name."""

    provision: str
    python: str
    mlflow: str | None


def versions() -> Versions:
    """The versions, read from the packages' metadata."""
    return Versions(__version__, python_version(), installed_version("mlflow"))
