"""What is wrong on a user's own machine: variables, files, and the MLflow that is installed."""

from __future__ import annotations

from typing import Final

from provision.model.problem import Problem
from provision.model.report import Outcome, Severity

_PASTE: Final = (
    "Run `provision env` on the machine of the stack and paste what it prints here, or use the "
    "files of your hand-out."
)

PROBLEMS: Final = (
    Problem(
        "client.no-uri",
        "MLFLOW_TRACKING_URI is not set, so MLflow says nothing and logs into a store of its own "
        "in the folder where the program happens to run: `mlruns`, or `mlflow.db`.",
        "Set it where the program runs, in a notebook before `import mlflow` or with "
        "`mlflow.set_tracking_uri(...)`. " + _PASTE,
        symptom="Training works, and nothing appears on the server; a folder `mlruns` appears.",
    ),
    Problem(
        "client.local-uri",
        "MLFLOW_TRACKING_URI names a store on this machine, not a server.",
        "If the runs are meant for the server: " + _PASTE,
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "client.malformed-uri",
        "MLFLOW_TRACKING_URI is no address: the scheme is missing, or quotes or blanks got into it "
        "with a copy.",
        "Write it as http://HOST:PORT, or https://HOST, with nothing around it. " + _PASTE,
        symptom="`UnsupportedModelRegistryStoreURIException`, `InvalidSchema`, or `Could not find "
        "a registered artifact repository`",
    ),
    Problem(
        "client.other-uri",
        "MLFLOW_TRACKING_URI is set to another server than the one that this file was made for.",
        "If that is not meant: set it to {wanted}, in a new shell too (look into ~/.bashrc, .env "
        "and the notebook's first cells).",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "client.local-runs",
        "In this folder lie runs of a program that ran without a tracking URI; the server does "
        "not have them.",
        "`provision restore mlruns` brings them into a new, empty stack; or move the folder away "
        "so that nobody takes it for the server's.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "client.other-registry",
        "MLFLOW_REGISTRY_URI points somewhere else than MLFLOW_TRACKING_URI: runs go to one "
        "server, models to another.",
        "Take it away: `unset MLFLOW_REGISTRY_URI`; MLflow then uses the tracking URI for both.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "client.half-account",
        "Of user name and password only one is set, and MLflow sends neither.",
        "Set both MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. " + _PASTE,
        Outcome.WARNING,
        Severity.MEDIUM,
        "`HTTP 401: You are not authenticated`",
    ),
    Problem(
        "client.password-in-uri",
        "The tracking URI carries a user name, and perhaps a password: it is shown in logs and "
        "tracebacks, and saved in notebooks.",
        "Leave it out of the URI, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. "
        "If the notebook was shared, have the password changed.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "client.insecure-tls",
        "MLFLOW_TRACKING_INSECURE_TLS switches the check of the server's certificate off: whoever "
        "is in between may read the password and change what is logged.",
        "`unset MLFLOW_TRACKING_INSECURE_TLS`, and set MLFLOW_TRACKING_SERVER_CERT_PATH to the "
        "authority's PEM file.",
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "client.tls-clash",
        "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set, and "
        "MLflow refuses to do anything then.",
        "`unset MLFLOW_TRACKING_INSECURE_TLS`.",
        symptom="`When 'ignore_tls_verification' is true then 'server_cert_path' must not be set!`",
    ),
    Problem(
        "client.ca-file",
        "{variable} names a file of certificates that is not there, or is none.",
        "Copy `ca.pem` from your hand-out (or the machine of the stack) and give its full path; or "
        "`unset {variable}` if the server has a public certificate.",
        symptom="`OSError: Could not find a suitable TLS CA certificate bundle, invalid path`",
    ),
    Problem(
        "client.no-mlflow",
        "The Python that runs this has no MLflow: a notebook or a terminal may well use another "
        "one.",
        "Run this with the Python that trains (`python -m pip install mlflow` installs into it; in "
        "a notebook `%pip install mlflow`).",
        Outcome.WARNING,
        Severity.MEDIUM,
        "`ModuleNotFoundError: No module named 'mlflow'`",
    ),
)
