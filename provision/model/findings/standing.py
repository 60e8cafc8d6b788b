"""What `provision status` notices about a stack that stands."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Layer, Problem
from provision.model.report import Outcome, Severity

LAYERS: Final = (
    Layer("serving", "The server answers and is whole"),
    Layer("capacity", "There is room left"),
    Layer("dates", "Nothing ends soon"),
    Layer("safety", "The last audit found nothing"),
    Layer("backup", "What is there can be brought back"),
    Layer("money", "It costs what it should"),
    Layer("drift", "The stack is as the spec says"),
)

PROBLEMS: Final = (
    Problem(
        "serving.not-answering",
        "The stack should be running, and its server does not answer.",
        "Run `provision check`, which names the cause; `provision logs` shows the server's words.",
    ),
    Problem(
        "serving.database",
        "The server runs, but its database does not answer it; MLflow's health check says OK.",
        "Run `provision check` and `provision logs database`.",
    ),
    Problem(
        "serving.artifacts",
        "The server runs, but cannot write to its artifact store.",
        "Run `provision check`: its layer `artifact-upload` names the cause.",
    ),
    Problem(
        "capacity.disk-low",
        "Less than a tenth of the server's disk is free, or less than a gigabyte.",
        "`provision gc` deletes for good what was deleted in MLflow; `df -h` and `du` show the "
        "rest. On AWS, a larger machine or `database.storage` in provision.yaml.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "capacity.memory-low",
        "Less than a tenth of the machine's memory is available: the system will begin to end "
        "programs.",
        "Set a lower `memory` under `server`, or take a larger machine, and run `provision up`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "capacity.connections",
        "Most of the database's connections are taken: {used} of {most}.",
        "See who holds them (`SELECT * FROM pg_stat_activity`); `provision up` fits the server's "
        "pools to the database.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "dates.certificate-ends",
        "The server's certificate ends on {date}, and was not renewed yet.",
        "Run `provision up` (on AWS `provision repair`): it renews it.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "dates.end-passed",
        "The last day that the stack was needed, {date}, is over, and it still runs.",
        "Run `provision down --archive DIR --delete-data`, or set a later `until` under "
        "`lifetime` and run `provision up`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "dates.end-near",
        "The stack is needed until {date}, which is soon.",
        "Archive it in time (`provision archive`), or set a later `until` under `lifetime`.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "safety.audit-failed",
        "The last audit, of {date}, found something of high severity ({what}), and none since says "
        "that it is mended.",
        "Run `provision audit`, which names each with its next step.",
    ),
    Problem(
        "safety.audit-warned",
        "The last audit, of {date}, found something ({what}), and none since says that it is "
        "mended.",
        "Run `provision audit`, which names each with its next step.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "safety.audit-old",
        "The last audit was on {date}; doors and rights may have changed since.",
        "Run `provision audit`.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "backup.old",
        "The database runs, and the last moment that RDS can bring it back to, {at}, is more than "
        "a day ago: its backups stopped.",
        "Look at the database's events in the RDS console; `provision archive DIR` copies "
        "everything now.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "money.database-awake",
        "The machine is stopped and the database runs, which costs. RDS starts a stopped database "
        "by itself after seven days (RDS user guide, Stopping a DB instance), and the idle stop "
        "leaves it on.",
        "`provision pause` stops the database, too, until `provision resume`. AWS "
        "then looks each night, and stops it again when RDS has started it.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "money.budget-near",
        "This month has cost {part} of its budget of {budget} USD.",
        "`provision cost` shows what costs; `provision pause` and office hours (`hours` under "
        "`lifetime`) save most of it.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "money.budget-spent",
        "This month has cost more than its budget of {budget} USD ({part}). AWS goes on: a budget "
        "tells, it stops nothing.",
        "`provision cost` shows what costs; `provision pause` stops most of it, or set a higher "
        "`budget` under `lifetime` and run `provision up`.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "drift.changed",
        "What exists differs from what the spec says: somebody changed it by hand, or the spec was "
        "changed and not applied.",
        "`provision plan` shows each change, `provision up` makes it so.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
)
