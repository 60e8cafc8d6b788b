"""What a client does with a tracking server: runs, artifacts, models."""

from __future__ import annotations

from typing import Final

from provision.model.problem import LOGS, Problem
from provision.model.report import Outcome, Severity

_ROOT: Final = (
    "Start the server with its artifacts served (`provision up` does) and without an artifact root "
    "of its own. An experiment keeps the root it was created with: log to a new one."
)

PROBLEMS: Final = (
    Problem(
        "experiment.forbidden",
        "This user may read but not create experiments.",
        "Ask the server's administrator for EDIT permission or an account that has it.",
    ),
    Problem(
        "experiment.failed",
        "MLflow answers, but cannot store an experiment; most often its database is read-only, "
        "full or of another MLflow version.",
        LOGS,
    ),
    Problem("run.forbidden", "This user may not log runs, even to an own experiment.", LOGS),
    Problem(
        "run.failed",
        "The experiment was stored, but a run with metrics, params and tags was not.",
        LOGS,
    ),
    Problem(
        "run.differs",
        "The server returns other values than were logged: something between client and database "
        "changes them, or several servers answer with different databases.",
        "Compare the sent and returned values above; then make sure that every server behind this "
        "address uses the same database.",
    ),
    Problem(
        "artifact-upload.local-root",
        "The server tells clients to write artifacts to a folder of their own machine "
        "({artifact_uri}): it was created with an artifact root instead of serving artifacts, so "
        "only clients that share its disk find them.",
        _ROOT,
    ),
    Problem(
        "artifact-upload.cloud-root",
        "The server tells clients to write artifacts straight to {artifact_uri}: each client needs "
        "the cloud's credentials (for s3 the AWS ones) and its SDK, because the server was created "
        "with that artifact root instead of serving artifacts.",
        _ROOT,
    ),
    Problem(
        "artifact-upload.other-root",
        "The server sends artifacts to another address ({artifact_uri}), which this check does not "
        "try.",
        "Start the server with its artifacts served by itself (`provision up` does), or check the "
        "other address by itself.",
    ),
    Problem(
        "artifact-upload.disabled",
        "The server was started with --no-serve-artifacts, though its runs rely on it for "
        "artifacts.",
        _ROOT,
    ),
    Problem(
        "artifact-upload.too-large",
        "A proxy in front of MLflow refuses an upload of {artifact_size}: it limits the size of "
        "requests.",
        "Lift the limit in the proxy (nginx: `client_max_body_size 0;`) and reload it.",
    ),
    Problem(
        "artifact-upload.disk-full",
        "The disk that holds the server's artifacts, or their temporary files, is full.",
        "Make room on it: `provision gc` deletes for good what was deleted in MLflow, `df -h` and "
        "`du` show the rest.",
        symptom="`OSError: [Errno 28] No space left on device`",
    ),
    Problem("artifact-upload.forbidden", "This user may not write artifacts.", LOGS),
    Problem(
        "artifact-upload.failed",
        "The server could not write to its artifact store: it is full, unreachable, or the server "
        "has no permission to write there.",
        LOGS,
    ),
    Problem(
        "artifact-download.differs",
        "The artifact that came back is not the one that was uploaded: something between client "
        "and store changes or cuts it.",
        "Look for a proxy that rewrites or compresses bodies; then compare the object in the "
        "artifact store with the SHA-256 above.",
    ),
    Problem("artifact-download.forbidden", "This user may not read artifacts.", LOGS),
    Problem(
        "artifact-download.failed",
        "The server accepted the artifact but cannot read it back: most often it may write to its "
        "artifact store but not read or list it.",
        LOGS,
    ),
    Problem(
        "artifact-root.frozen",
        "Older experiments keep their artifacts elsewhere: an experiment keeps the place that it "
        "was created with, and clients of these need that place's own credentials and disk.",
        "Log to new experiments. To take the old ones along: `provision archive`, then `provision "
        "restore` into an empty stack writes every location anew.",
        Outcome.WARNING,
        Severity.MEDIUM,
        "`NoCredentialsError: Unable to locate credentials` in some experiments only, often in "
        "`Default`, though the server serves its artifacts by now",
    ),
    Problem(
        "artifact-root.failed",
        "The experiments cannot be listed.",
        LOGS,
        Outcome.WARNING,
        Severity.MEDIUM,
    ),
    Problem(
        "large-artifact.too-large",
        "A proxy in front of MLflow refuses an upload of {large_size}: it limits the size of "
        "requests.",
        "Lift the limit in the proxy (nginx: `client_max_body_size 0;`) and reload it.",
        symptom="`413 Request Entity Too Large`",
    ),
    Problem(
        "large-artifact.timed-out",
        "An upload or download of {large_size} was given up on before its end, by the server or a "
        "proxy in front of it.",
        "Raise the time-outs of the proxy (nginx: `proxy_read_timeout`, `proxy_send_timeout`); on "
        "AWS, `mode: direct` under `artifacts` lets large files bypass the server.",
        symptom="`ConnectionError: ('Connection aborted.', ...)`, `504 Gateway Timeout`, or "
        "`WORKER TIMEOUT` in the server's log",
    ),
    Problem(
        "large-artifact.store-unreachable",
        "Clients send and fetch large files straight at the artifact store (`mode: direct`), and "
        "this machine does not get through to it; MLflow's client tries for minutes.",
        "Let this network reach the store (S3 by HTTPS, past the proxy), or set `mode: proxied` "
        "under `artifacts` and run `provision up`: then all goes through the server.",
    ),
    Problem(
        "large-artifact.disk-full",
        "The server's disk has no room for {large_size}: MLflow and some proxies put a whole "
        "upload into a temporary file first.",
        "Make room on it: `df -h` and `du -h /tmp` on the server; nginx: "
        "`proxy_request_buffering off;`.",
        symptom="`OSError: [Errno 28] No space left on device`",
    ),
    Problem(
        "large-artifact.differs",
        "The large artifact that came back is not the one that was uploaded.",
        "Look for a proxy that cuts or rewrites bodies; then try a smaller `--size` to find where "
        "it begins.",
    ),
    Problem(
        "large-artifact.failed",
        "A small artifact could be stored, one of {large_size} not.",
        LOGS,
    ),
    Problem(
        "registry.forbidden",
        "This user may log runs but not register models.",
        "Ask the server's administrator for permission on registered models.",
    ),
    Problem(
        "registry.failed",
        "Runs can be logged, but the model registry cannot be used.",
        LOGS,
    ),
    Problem(
        "registry.differs",
        "A model's alias returns another version than it was set to.",
        "Make sure that every server behind this address uses the same database.",
    ),
    Problem(
        "model-load.elsewhere",
        "The registry sends clients to another place than the one that the model was saved to, "
        "and its files are not there or not for clients to read.",
        "Compare the place above with the run's artifacts; start the server without "
        "--default-artifact-root, or register the model anew.",
    ),
    Problem(
        "model-load.differs",
        "The files of the registered model are not those that were saved.",
        "Look for a proxy or a cache in front of the server that answers with an older file.",
    ),
    Problem("model-load.forbidden", "This user may register models but not load them.", LOGS),
    Problem(
        "model-load.failed",
        "A model can be registered, but its files cannot be read through the registry.",
        LOGS,
    ),
    Problem(
        "cleanup.left-behind",
        "The check could not delete all that it had created; the names are random, so nothing "
        "else is in the way.",
        "Delete the named things in MLflow's UI. If only the artifact is left, allow the server to "
        "delete in its artifact store: `mlflow gc` needs that too.",
    ),
)
