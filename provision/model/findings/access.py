"""Whether a tracking server lets this client in: host names, accounts, versions."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Problem
from provision.model.report import Outcome, Severity

PROBLEMS: Final = (
    Problem(
        "host.not-allowed",
        "MLflow refuses requests for the host name `{netloc}`, which is not in its allowed_hosts. "
        "Its health check does not look at the name and stays green.",
        'Add the line `allowed_hosts: ["{netloc}"]` under `access` in provision.yaml (add the name '
        "to the list if there is one) and run `provision up`.",
    ),
    Problem(
        "auth.missing",
        "The server asks for a user name and password, and this client has none.",
        "Run `provision env` and paste what it prints, or set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD to the account that the server's administrator gave you.",
    ),
    Problem(
        "auth.wrong",
        "The server does not accept the password of user `{username}`, or has no such user.",
        "Compare the password with the one in {password_file} on the machine where the stack was "
        "started, or ask the server's administrator for a new one.",
    ),
    Problem(
        "auth.other-gate",
        "A proxy in front of MLflow asks for a login of its own.",
        "Ask who runs the proxy for an account, or use an address that reaches the server "
        "directly.",
    ),
    Problem(
        "auth.forbidden",
        "The server, or a proxy in front of it, forbids this client the tracking API.",
        "If MLflow says so itself, ask its administrator for permission; otherwise look for a rule "
        "about addresses or paths in the proxy.",
    ),
    Problem(
        "version.differs",
        "The installed MLflow client ({client_version}) and the server ({server_version}) are of "
        "different minor versions; calls that only one of them knows fail.",
        'Install the server\'s version: `pip install "mlflow=={server_version}"`.',
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "version.unknown",
        "The server does not say which MLflow version it runs.",
        "Ask its administrator, and pin `mlflow` to that version.",
        Outcome.WARNING,
        Severity.LOW,
    ),
)
