"""What an archive says about itself: `manifest.json`, written last, so its presence means whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from provision.errors import MissingError, RefusedError
from provision.server.archive import sums

SCHEMA = "provision.archive/1"
FILE = "manifest.json"
DATABASE = "mlflow.db"
USERS = "users.db"
ARTIFACTS = "mlartifacts"
"""The folder that `mlflow server` serves artifacts from when nobody says otherwise."""
README = "README.txt"

_COUNTED = {
    "experiments": "experiments",
    "runs": "runs",
    "metrics": "metrics",
    "params": "params",
    "tags": "tags",
    "traces": "trace_info",
    "datasets": "datasets",
    "logged_models": "logged_models",
    "registered_models": "registered_models",
    "model_versions": "model_versions",
}

TEXT = """\
An archive of the MLflow server "{name}", made by provision {provision} at {created_at}.

It needs nothing but MLflow {mlflow}. In this folder:

    pip install "mlflow=={mlflow}"
    mlflow server --port 5000

and open http://127.0.0.1:5000. To check that every file is as it was written:

    sha256sum -c SHA256SUMS

mlflow.db      experiments, runs, metrics, models, traces: an SQLite file (MLflow's own schema)
mlartifacts    the artifacts
users.db       accounts and permissions with password hashes, if they were archived: keep it private
manifest.json  what was counted, and the digests of the tables
"""


@dataclass(frozen=True)
class Manifest:
    """Counts and digests. `tables` and `users` hold each table's rows and digest.

    `sha256` covers the databases and SHA256SUMS, which covers every artifact. `left` counts
    locations that lead to other places, whose artifacts are not in the archive. `user`: it holds
    what belongs to that person alone.
    """

    name: str
    created_at: str
    provision: str
    mlflow: str
    revision: str
    tables: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]] | None
    artifacts: Mapping[str, int]
    sha256: Mapping[str, str]
    left: int = 0
    skipped: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    user: str = ""

    def save(self, folder: Path) -> None:
        """Write it in one step."""
        part = folder / (FILE + ".part")
        content = {"schema": SCHEMA, **asdict(self)}
        with part.open("w", encoding="utf-8") as stream:
            json.dump({**content, "own": _own(content)}, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(folder / FILE)


def _own(content: Mapping[str, Any]) -> str:
    """The digest of everything else in the manifest."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def counts_of(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The figures that people ask for."""
    return {name: int(tables[table]["rows"]) for name, table in _COUNTED.items()}


def load(folder: Path) -> Manifest:
    """Read it; raises `MissingError` where there is no archive, `RefusedError` for half of one."""
    try:
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        own = raw.pop("own", "")
        if raw["schema"] == SCHEMA and own != _own(raw):
            raise damaged(folder / FILE)
        if raw.pop("schema") != SCHEMA:
            raise _unknown(folder)
        known = {item.name for item in fields(Manifest)}
        return Manifest(**{key: value for key, value in raw.items() if key in known})
    except FileNotFoundError:
        raise _no_archive(folder) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"{folder / FILE} cannot be read: {error}",
            next_step="use another copy of this archive",
        ) from error


def _unknown(folder: Path) -> RefusedError:
    return RefusedError(
        f"{folder / FILE} is from a version of provision that writes other archives",
        next_step="restore it with that version",
    )


def _no_archive(folder: Path) -> MissingError:
    if (folder / ".journal.db").exists():
        return MissingError(
            f"{folder} is an archive that was not finished",
            next_step=f"run provision archive {folder} again: it goes on where it stopped",
        )
    return MissingError(
        f"{folder} holds no archive (there is no {FILE} in it), and no mlruns folder either",
        next_step="name the folder that provision archive wrote, or an mlruns folder",
    )


def check_sums(folder: Path, manifest: Manifest) -> None:
    """Raise `RefusedError` unless the list of artifacts is the one that was written."""
    if sums.of_file(folder / sums.NAME) != manifest.sha256.get(sums.NAME):
        raise damaged(folder / sums.NAME)


def damaged(path: Path) -> RefusedError:
    """The error for a file that is not as it was written."""
    return RefusedError(
        f"the archive is damaged: {path} is not as it was written",
        next_step="use another copy of this archive; nothing was changed",
    )
