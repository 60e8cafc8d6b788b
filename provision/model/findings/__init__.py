"""Everything that can be found wrong: the one table, with severities, causes and next steps.

Ids are stable: scripts compare them. `docs/reference/findings.md` and `docs/troubleshooting` are
made from this table, and `provision explain ID` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from provision.model.findings import (
    access,
    audit,
    client,
    doors,
    files,
    network,
    preflight,
    standing,
    tracking,
)
from provision.model.problem import Group, Layer, Problem

SERVER_LAYERS: Final = (
    Layer("dns", "The server's name resolves"),
    Layer("tcp", "The port accepts connections"),
    Layer("tls", "The certificate is trusted"),
    Layer("http", "MLflow answers"),
    Layer("host", "MLflow accepts this host name"),
    Layer("auth", "The credentials are accepted"),
    Layer("version", "Client and server versions agree"),
    Layer("experiment", "An experiment can be created"),
    Layer("run", "A run's metrics, params and tags come back"),
    Layer("artifact-upload", "An artifact can be uploaded"),
    Layer("artifact-download", "The artifact comes back unchanged"),
    Layer("artifact-root", "Every experiment's artifacts go through the server"),
    Layer("large-artifact", "A large artifact goes up and comes back"),
    Layer("registry", "A model can be registered"),
    Layer("model-load", "The registered model can be loaded"),
    Layer("accounts", "Nobody else gets in"),
    Layer("outside", "Nothing else is open to the world"),
    Layer("cleanup", "What was created can be deleted"),
)

STORE_LAYERS: Final = (
    Layer("database", "The database file can be used"),
    Layer("artifact-folder", "The artifact folder can be written"),
)

_MACHINE: Final = Layer("client", "This machine's own settings")
CLIENT_LAYERS: Final = (_MACHINE, *SERVER_LAYERS[:7])

GROUPS: Final = (
    Group(
        "With a server",
        "provision check",
        SERVER_LAYERS,
        (*network.PROBLEMS, *access.PROBLEMS, *tracking.PROBLEMS, *doors.PROBLEMS),
    ),
    Group("On a client's machine", "provision check --client", (_MACHINE,), client.PROBLEMS),
    Group("Without a server", "provision check", STORE_LAYERS, files.PROBLEMS),
    Group(
        "Before it costs money",
        "provision doctor",
        (*preflight.MACHINE_LAYERS, *preflight.ACCOUNT_LAYERS),
        preflight.PROBLEMS,
    ),
    Group("Safety", "provision audit", audit.LAYERS, audit.PROBLEMS),
    Group("While it stands", "provision status", standing.LAYERS, standing.PROBLEMS),
)

PROBLEMS: Final[Mapping[str, Problem]] = {
    problem.id: problem for group in GROUPS for problem in group.problems
}
