"""The files that clients open themselves where there is no server."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Problem

PROBLEMS: Final = (
    Problem(
        "database.no-folder",
        "The folder of the database file does not exist or cannot be written, so no client can "
        "create the file.",
        "Run `provision up`, or `mkdir -p {folder}` and make it writable.",
    ),
    Problem(
        "database.not-sqlite",
        "The file is not a SQLite database.",
        "Move {database} away and put the right file, or a backup, in its place.",
    ),
    Problem(
        "database.damaged",
        "SQLite finds the database file damaged.",
        "Stop every client, then restore the latest backup over {database}; without one, "
        "`sqlite3 {database} .recover | sqlite3 mended.db` saves what can be read.",
    ),
    Problem(
        "database.locked",
        "Another process holds the database's write lock, so clients wait and then fail.",
        "Find it with `fuser -v {database}`, and let it finish or stop it. For several clients at "
        "once, run a server: set `scenario: server` in provision.yaml and run `provision up`.",
    ),
    Problem(
        "database.read-only",
        "This user may read the database file or its folder but not write to it.",
        "Give this user the right to write: `chmod u+w {database}`, and the same for its folder.",
    ),
    Problem(
        "database.older",
        "The database was made by an older MLflow than the one installed, which refuses to open "
        "it.",
        "Copy {database} as a backup, then run `mlflow db upgrade {uri}`.",
    ),
    Problem(
        "database.newer",
        "The database was made by a newer MLflow than the one installed, which refuses to open it.",
        'Install the MLflow that made it: `pip install "mlflow>={endpoint_version}"`.',
    ),
    Problem(
        "database.foreign",
        "The file is a SQLite database of another program.",
        "Point the stack at another file: {database} is not MLflow's.",
    ),
    Problem(
        "artifact-folder.not-writable",
        "Clients cannot write to the artifact folder.",
        "Create it and give this user the right to write: `mkdir -p {artifact_root}`, "
        "`chmod u+w {artifact_root}`; if the disk is full, make room.",
    ),
    Problem(
        "artifact-folder.differs",
        "A file in the artifact folder does not come back as it was written.",
        "Check the disk or network share that holds {artifact_root}.",
    ),
)
