"""An `mlruns` folder of an older MLflow (its file store) as something that can be restored.

MLflow's own `mlflow migrate-filestore` reads it into a SQLite file; what is added here is that the
folder may have been moved since its locations were written.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection

from provision.errors import RefusedError
from provision.server import locations
from provision.server.archive import manifest
from provision.server.archive.artifacts import Folders
from provision.server.archive.reporting import Reporter
from provision.server.archive.restoring import Source, every_item
from provision.server.archive.rewriting import Root
from provision.server.archive.stores import Tables
from provision.server.places import Place

_TRASH = ".trash"


def is_one(folder: Path) -> bool:
    """Whether a folder is a file store, or holds one named `mlruns`, and is no archive."""
    if (folder / manifest.FILE).exists() or not folder.is_dir():
        return False
    return _root(folder) is not None


def _root(folder: Path) -> Path | None:
    for candidate in (folder / "mlruns", folder):
        if any(candidate.glob("*/meta.yaml")) or any(candidate.glob("models/*/meta.yaml")):
            return candidate
    return None


@contextmanager
def converted(
    folder: Path, artifacts: str | None, target: Place, reporter: Reporter
) -> Iterator[Source]:
    """The file store as a source, by way of a SQLite file beside the target's artifacts.

    `artifacts` is the folder behind its `mlflow-artifacts:` locations, if it was served. The file
    store itself is only read.
    """
    root = _root(folder) or folder
    beside = None
    if not target.in_bucket:
        Path(target.artifacts).mkdir(parents=True, exist_ok=True)
        beside = Path(target.artifacts).parent
    work = Path(tempfile.mkdtemp(prefix=".provision-mlruns-", dir=beside))
    try:
        reporter.phase("reading the mlruns folder")
        _migrate(root, work / "mlflow.db")
        place = Place(root.name, f"sqlite:///{work / 'mlflow.db'}", str(root))
        served = Path(artifacts).absolute() if artifacts else None
        yield Source(
            place,
            lambda connection, tables: Folders(_roots(connection, tables, root, served)),
            every_item,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _migrate(root: Path, database: Path) -> None:
    migrate = import_module("mlflow.store.fs2db").migrate
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            migrate(root, f"sqlite:///{database}", progress=False)
    except Exception as error:
        # Whatever a damaged file store makes MLflow raise: YAML errors, missing files, bad values.
        raise RefusedError(
            f"MLflow cannot read {root}: {type(error).__name__}: {error}",
            next_step="`mlflow migrate-filestore` there says more; mend or move away the run that "
            "it names; the folder was not changed",
        ) from error


def _roots(connection: Connection, tables: Tables, root: Path, served: Path | None) -> list[Root]:
    """Where each experiment's artifacts are now, under the name that its locations have."""
    table = tables["experiments"]
    found = [] if served is None else [Root(served, served, "", whole=True)]
    columns = table.c.experiment_id, table.c.artifact_location
    for number, location in connection.execute(sqlalchemy.select(*columns)):
        named = locations.local_path(location or "")
        if named is not None:
            found.append(Root(named, _now(root, str(number), named), str(number), whole=False))
    return sorted(found, key=lambda one: len(one.named.parts), reverse=True)


def _now(root: Path, number: str, named: Path) -> Path:
    """MLflow's own place for it as it lies here; any other as its name says."""
    candidates = (root / number, root / _TRASH / number) if named.name == number else ()
    return next((folder for folder in candidates if folder.is_dir()), named)
