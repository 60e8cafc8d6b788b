"""Everything that `provision check` can find wrong: the one table, with causes and next steps.

Ids are stable: scripts compare them. `docs/reference/findings.md` is made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from provision.model.problem import Problem
from provision.model.report import Outcome, Severity

_LOGS: Final = "Run `provision logs` on the server's machine: the error is at its end."
_ROOT: Final = (
    "Start the server with its artifacts served (`provision up` does) and without an artifact root "
    "of its own. An experiment keeps the root it was created with: log to a new one."
)

_ALL: Final = (
    Problem(
        "dns.unknown-name",
        "The name `{host}` is not known to this machine's name servers.",
        "Check the spelling against `provision status`. A name of a private network resolves only "
        "inside it: connect to its VPN first.",
    ),
    Problem(
        "dns.resolver-silent",
        "This machine's name servers do not answer, so no name can be looked up.",
        "Check this machine's own network connection, then run `provision check` again.",
    ),
    Problem(
        "tcp.refused",
        "`{host}` is there, but no process listens on port {port}: the server is not running, or "
        "it listens on another port or address.",
        "Run `provision status`; if the server is stopped, `provision up`, and `provision logs` "
        "says why it stopped.",
    ),
    Problem(
        "tcp.timed-out",
        "Nothing answers on port {port}, not even with a refusal: a firewall or security group "
        "drops the packets, or the machine is switched off.",
        "Run `provision status` to see that the machine is on; then let this machine's address "
        "through to port {port} under `access` in provision.yaml and run `provision up`.",
    ),
    Problem(
        "tcp.unreachable",
        "This machine has no route to `{host}`.",
        "Check this machine's own network connection; for an address of a private network, connect "
        "to its VPN.",
    ),
    Problem(
        "tcp.proxy",
        "{proxy_variable} is set, and MLflow's client obeys it for this server; this check "
        "connects directly, so the client may fail where the check passes.",
        "Take the server out of the proxy's reach: `export NO_PROXY={host}`.",
        Outcome.WARNING,
        Severity.LOW,
    ),
    Problem(
        "tls.ca-file",
        "The file of CA certificates that this endpoint names cannot be used.",
        "Run `provision up`, which writes {ca_file} again, or copy it from the server's machine.",
    ),
    Problem(
        "tls.unknown-ca",
        "The server's certificate was signed by a CA that this client does not trust.",
        "Set MLFLOW_TRACKING_SERVER_CERT_PATH to the CA's PEM file, as `provision env` does for a "
        "server of ours. MLflow's client does not look into the system's certificate store.",
    ),
    Problem(
        "tls.expired",
        "The server's certificate has expired.",
        "Renew it with `provision up`; if it is fresh, set this machine's clock.",
    ),
    Problem(
        "tls.not-yet-valid",
        "The server's certificate is not valid yet: one of the two machines has a wrong clock.",
        "Set this machine's clock (`date` shows it), then the server's.",
    ),
    Problem(
        "tls.wrong-name",
        "The server's certificate was made out for other names than `{host}`.",
        "Use the name in the certificate as the tracking URI's host, or have a certificate made "
        "that includes `{host}`.",
    ),
    Problem(
        "tls.not-tls",
        "The program on port {port} does not speak TLS: the tracking URI says https, the server "
        "plain http.",
        "Use `http://{netloc}` as the tracking URI, or the port on which TLS is served.",
    ),
    Problem(
        "tls.failed",
        "Client and server could not agree on a TLS connection.",
        "Run `openssl s_client -connect {host}:{port}` and look at its first lines.",
    ),
    Problem(
        "http.silent",
        "The port accepts connections, but nothing answers on them: the server hangs, has no free "
        "worker, or cannot reach its database.",
        "Run `provision logs` on the server's machine, then `provision down` and `provision up`.",
    ),
    Problem(
        "http.closed",
        "The server closes the connection without an answer: it expects https, is just starting or "
        "stopping, or crashes.",
        "Wait a few seconds and run `provision check` again; if it stays, run `provision logs`, "
        "and try the tracking URI with https.",
    ),
    Problem(
        "http.speaks-tls",
        "The server expects https, and the tracking URI says http.",
        "Use `https://{netloc}` as the tracking URI.",
    ),
    Problem(
        "http.not-http",
        "The program on port {port} does not speak HTTP: it is not a tracking server.",
        "Run `provision status` for the server's port; `ss -ltnp` on `{host}` names the program.",
    ),
    Problem(
        "http.not-mlflow",
        "A program answers on port {port}, but it is not MLflow.",
        "Run `provision status` for the server's own port and path; `ss -ltnp` on `{host}` names "
        "the program on this one.",
    ),
    Problem(
        "http.redirected",
        "The server sends clients on to another address, and MLflow's client loses what it posts "
        "on the way.",
        "Use the address named in the answer as the tracking URI: {location}",
    ),
    Problem(
        "http.gateway",
        "A proxy answers, but the MLflow server behind it does not.",
        "Run `provision status` and `provision logs` on the server's machine; a server that has "
        "just been started needs some seconds.",
    ),
    Problem(
        "http.artifacts-only",
        "This server was started with --artifacts-only: it serves artifacts and tracks nothing.",
        "Use the tracking server's URI, or start the server without --artifacts-only.",
    ),
    Problem(
        "http.server-error",
        "MLflow answers with an error of its own; most often it cannot use its database.",
        _LOGS,
    ),
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
    Problem(
        "experiment.forbidden",
        "This user may read but not create experiments.",
        "Ask the server's administrator for EDIT permission or an account that has it.",
    ),
    Problem(
        "experiment.failed",
        "MLflow answers, but cannot store an experiment; most often its database is read-only, "
        "full or of another MLflow version.",
        _LOGS,
    ),
    Problem("run.forbidden", "This user may not log runs, even to an own experiment.", _LOGS),
    Problem(
        "run.failed",
        "The experiment was stored, but a run with metrics, params and tags was not.",
        _LOGS,
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
    Problem("artifact-upload.forbidden", "This user may not write artifacts.", _LOGS),
    Problem(
        "artifact-upload.failed",
        "The server could not write to its artifact store: it is full, unreachable, or the server "
        "has no permission to write there.",
        _LOGS,
    ),
    Problem(
        "artifact-download.differs",
        "The artifact that came back is not the one that was uploaded: something between client "
        "and store changes or cuts it.",
        "Look for a proxy that rewrites or compresses bodies; then compare the object in the "
        "artifact store with the SHA-256 above.",
    ),
    Problem("artifact-download.forbidden", "This user may not read artifacts.", _LOGS),
    Problem(
        "artifact-download.failed",
        "The server accepted the artifact but cannot read it back: most often it may write to its "
        "artifact store but not read or list it.",
        _LOGS,
    ),
    Problem(
        "registry.forbidden",
        "This user may log runs but not register models.",
        "Ask the server's administrator for permission on registered models.",
    ),
    Problem(
        "registry.failed",
        "Runs can be logged, but the model registry cannot be used.",
        _LOGS,
    ),
    Problem(
        "registry.differs",
        "A model's alias returns another version than it was set to.",
        "Make sure that every server behind this address uses the same database.",
    ),
    Problem(
        "cleanup.left-behind",
        "The check could not delete all that it had created; the names are random, so nothing "
        "else is in the way.",
        "Delete the named things in MLflow's UI. If only the artifact is left, allow the server to "
        "delete in its artifact store: `mlflow gc` needs that too.",
    ),
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

PROBLEMS: Final[Mapping[str, Problem]] = {problem.id: problem for problem in _ALL}
