"""Which known holes a version of MLflow has: a dated table against a version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from provision.model.questions import Verdict

_OLD_DAYS: Final = 183


@dataclass(frozen=True)
class Hole:
    """One CVE, and the first version without it.

    `also_from`: starts of later lines that never had it, where an older one was mended by itself.
    """

    id: str
    mended: str
    severity: str
    what: str
    also_from: tuple[str, ...] = ()

    def is_in(self, version: str) -> bool:
        """Whether this version has it; a pre-release of the mended one still has."""
        here = _order(version)
        if any(here >= _order(start) for start in self.also_from):
            return False
        return here < _order(self.mended)


@dataclass(frozen=True)
class Holes:
    """The table, `provision/data/cves.json`, and its day."""

    as_of: date
    holes: tuple[Hole, ...]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Holes:
        """The table as it is stored."""
        rows = [
            Hole(**{**row, "also_from": tuple(row.get("also_from", ()))})
            for row in document["holes"]
        ]
        return cls(date.fromisoformat(document["as_of"]), tuple(rows))

    def judged(self, version: str, today: date) -> Verdict:
        """What the table says of a server's version."""
        if not re.match(r"\d+\.\d+", version):
            why = "the server does not say its version"
            return Verdict("no version", "audit.not-known", {"why": why})
        found = [hole for hole in self.holes if hole.is_in(version)]
        if found:
            critical = [hole for hole in found if hole.severity == "critical"]
            named = ", ".join(f"{hole.id} ({hole.what})" for hole in critical or found)
            facts = {"version": version, "cves": named}
            problem = "cve.critical" if critical else "cve.known"
            return Verdict(f"MLflow {version}: {len(found)} known", problem, facts)
        observed = f"MLflow {version}: none of the {len(self.holes)} of {self.as_of}"
        if (today - self.as_of).days > _OLD_DAYS:
            return Verdict(observed, "cve.table-old", {"date": str(self.as_of)})
        return Verdict(observed)


def _order(version: str) -> tuple[tuple[int, ...], int]:
    """Release numbers, and whether it is a release (1) or a candidate of it (0)."""
    match = re.match(r"(\d+(?:\.\d+)*)(.*)", version)
    if match is None:
        return (), 0
    numbers = tuple(int(part) for part in match[1].split("."))
    return (*numbers, *([0] * (3 - len(numbers)))), 0 if re.match(
        r"\.?(a|b|rc|dev)", match[2]
    ) else 1
