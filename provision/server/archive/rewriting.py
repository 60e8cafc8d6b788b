"""Artifact locations on their way from one store to another.

In between, every location is a served one (`mlflow-artifacts:/...`): so it is in an archive too,
and `mlflow server` in the archive's folder finds its artifacts without any option.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, Table

from provision.server import locations
from provision.server.archive.tables import Rewrite, Row
from provision.server.places import Place

ELSEWHERE = "elsewhere"
"""Where artifacts go that lay outside the store's own folder."""

# What MLflow puts below an experiment's location: `RUN/artifacts`, `models/ID/artifacts` and
# `traces/ID/artifacts` (its file store keeps its own records beside them).
_RUN = re.compile(r"[0-9a-f]{32}")
_SHARED = ("models", "traces")
# These lead to something inside the store, wherever it is.
_RELATIVE = ("models:", "runs:", "mlflow-artifacts:/")

Change = Callable[[str], str | None]


@dataclass(frozen=True)
class Root:
    """A folder of artifacts: what locations call it, where it is, what it is called in an archive.

    `whole` means every file in it; otherwise only what MLflow itself puts below a location.
    """

    named: Path
    folder: Path
    prefix: str
    whole: bool

    def serves(self) -> Change:
        """What makes a location below it a served one."""
        return locations.server(self.named, self.prefix)

    def parts(self) -> list[Path]:
        """The folders below it that belong to the store."""
        if not self.folder.is_dir():
            return []
        if self.whole:
            return [self.folder]
        runs = self.folder.glob("*/artifacts")
        shared = (found for name in _SHARED for found in self.folder.glob(f"{name}/*/artifacts"))
        return sorted([*(run for run in runs if _RUN.fullmatch(run.parent.name)), *shared])


def roots_of(connection: Connection, experiments: Table, place: Place) -> list[Root]:
    """The store's own folder, and with `own_files` those of experiments that lie elsewhere."""
    own = Path(place.artifacts)
    found = [Root(own, own, "", whole=True)]
    if not place.own_files:
        return found
    columns = experiments.c.experiment_id, experiments.c.artifact_location
    for number, location in connection.execute(sqlalchemy.select(*columns)):
        path = locations.local_path(location or "")
        if path is not None and not path.is_relative_to(own):
            found.append(Root(path, path, f"{ELSEWHERE}/{number}", whole=False))
    return sorted(found, key=lambda root: len(root.named.parts), reverse=True)


@dataclass
class Rewriter:
    """Changes locations in rows, and counts what it did and what it had to leave.

    `left` counts locations that lead out of the store: other servers, buckets, other machines.
    """

    changes: Sequence[Change]
    target: Change | None = None
    changed: int = 0
    left: int = 0
    examples: list[str] = field(default_factory=list)

    def location(self, old: str) -> str:
        """The location as the target names it."""
        served = next((new for change in self.changes if (new := change(old)) is not None), old)
        new = (self.target(served) or served) if self.target else served
        if new != old:
            self.changed += 1
        elif not old.startswith(_RELATIVE) or old.startswith(locations.SCHEME + "/"):
            self._leave(old)
        return new

    def _leave(self, old: str) -> None:
        # MLflow writes words here too, where there is no place: "dummy-source".
        is_place = "://" in old or locations.local_path(old) is not None
        if is_place and not (self.target and locations.local_path(old)):
            self.left += 1
            if len(self.examples) < 5:
                self.examples.append(old)

    def rows_of(self, table: str, names: Sequence[str]) -> Rewrite | None:
        """What changes a row of this table; `None` where no column holds a location."""
        places = [
            (names.index(column), names.index("key") if keys else -1, keys)
            for known, column, keys in locations.COLUMNS
            if known == table
        ]
        if not places:
            return None

        def rewrite(row: Row) -> Row:
            items = list(row)
            for index, key, keys in places:
                if items[index] is not None and (not keys or items[key] in keys):
                    items[index] = self.location(items[index])
            return tuple(items)

        return rewrite


def without_nan(row: Row) -> Row:
    """SQLite has no NaN: it stores NULL, and so does a row that is compared with its rows.

    MLflow keeps a metric's NaN in a column of its own (`is_nan`), so none of those is touched.
    """
    if any(isinstance(item, float) and math.isnan(item) for item in row):
        return tuple(None if isinstance(item, float) and math.isnan(item) else item for item in row)
    return row
