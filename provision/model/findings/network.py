"""The way to a tracking server: names, ports, certificates, HTTP."""

from __future__ import annotations

from typing import Final

from provision.model.problem import LOGS, Problem
from provision.model.report import Outcome, Severity

PROBLEMS: Final = (
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
        LOGS,
    ),
    Problem(
        "http.database-gone",
        "MLflow runs, but cannot reach its database, so every request fails while its health "
        "check says OK.",
        "Run `provision status` and `provision logs database`; on AWS, see that the RDS instance "
        "is available (it is stopped for a backup window, or by somebody) and run `provision up`.",
        symptom="`psycopg2.OperationalError: connection to server ... failed`",
    ),
    Problem(
        "http.database-tls",
        "MLflow and its database do not agree on encryption: one wants TLS and the other has "
        "none, or the certificate is of another authority than MLflow trusts.",
        "Run `provision up`, which writes the connection with `sslmode=verify-full` and the "
        "authorities of RDS. For a server of your own: add `?sslmode=verify-full&sslrootcert=...`.",
        symptom="`no pg_hba.conf entry for host ..., no encryption` (RDS from PostgreSQL 15 on), "
        "or `server does not support SSL, but SSL was required`",
    ),
    Problem(
        "http.database-password",
        "The database does not accept MLflow's password.",
        "Run `provision up` (on AWS `provision repair`), which fetches the password anew. In a "
        "URI of your own, percent-encode the password's special characters.",
        symptom="`FATAL: password authentication failed for user`",
    ),
    Problem(
        "http.connections-used-up",
        "All connections of the database are taken, or all of MLflow's own pool: more requests "
        "run at once than there are connections.",
        "Run `provision up`: it fits workers and pools to the database. For a server of your own, "
        "lower --workers and MLFLOW_SQLALCHEMYSTORE_POOL_SIZE, or raise max_connections.",
        symptom="`FATAL: remaining connection slots are reserved`, `sorry, too many clients "
        "already` or `QueuePool limit of size ... reached`",
    ),
    Problem(
        "http.schema",
        "The database has not the tables that this MLflow expects: it is of another version, or "
        "its migration broke off.",
        "Run `provision up --upgrade-database`, which makes a backup first.",
        symptom="`Detected out-of-date database schema`, `no such table`, or "
        "`relation ... does not exist`",
    ),
    Problem(
        "http.store-denied",
        "The server's own role may not do this in its artifact store: the right that it lacks is "
        "named above.",
        "Allow it in the role's policy, and look for a Deny in the policies of the bucket and of "
        "the account; `provision up` puts the kit's own policy back. `provision logs` has AWS's "
        "own words.",
        symptom="`PERMISSION_DENIED: the server's role is not authorized to perform: s3:PutObject`",
    ),
    Problem(
        "http.store-gone",
        "The server does not reach its artifact store, or has no credentials for it.",
        "`provision status` shows how its machine is. On AWS it needs a way to S3 on port 443, its "
        "metadata service and a right clock; it goes on by itself once they are back.",
        symptom="`TEMPORARILY_UNAVAILABLE: the server does not reach its artifact store`",
    ),
    Problem(
        "http.disk-full",
        "The server's disk is full.",
        "Make room on it: `provision gc` deletes for good what was deleted in MLflow, `df -h` and "
        "`du` show the rest. On AWS, a larger `database.storage` or machine in provision.yaml.",
        symptom="`database or disk is full`, `No space left on device`",
    ),
)
