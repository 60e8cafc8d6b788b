"""From what a request came back with to what is wrong. Pure: the same answer, the same finding."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from provision.model.endpoint import Endpoint
from provision.model.findings import PROBLEMS
from provision.model.tracking import SIGNED_ADDRESS, Answer, ErrorKind, TrackingError, json_object

_INVALID_HOST: Final = "invalid host header"
# The layers that the first exchange goes through.
_FIRST_LAYERS: Final = ("dns", "tcp", "tls", "http", "host", "auth")
_CLOUD_SCHEMES: Final = frozenset(
    {"s3", "gs", "wasb", "wasbs", "abfs", "abfss", "r2", "b2", "oss", "hdfs", "viewfs", "dbfs"}
)
# The kinds that can end any exchange, whichever layer it belongs to.
_CONNECTION: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.REFUSED: "tcp.refused",
    ErrorKind.TIMED_OUT: "tcp.timed-out",
    ErrorKind.UNREACHABLE: "tcp.unreachable",
    ErrorKind.SILENT: "http.silent",
    ErrorKind.CLOSED: "http.closed",
}

# What psycopg2, SQLite, SQLAlchemy and the system say; the first that fits is the most exact.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "http.disk-full": ("disk is full", "no space left on device"),
    "http.connections-used-up": (
        "remaining connection slots", "too many clients", "too many connections", "queuepool limit",
    ),
    "http.database-tls": (
        "no encryption", "no pg_hba.conf entry", "does not support ssl", "ssl error",
        "root certificate", "certificate verify failed",
    ),
    "http.database-password": ("password authentication failed", "no password supplied"),
    "http.store-denied": ("not authorized to perform",),
    "http.store-gone": ("does not reach its artifact store", "clock of the server's machine"),
    "http.schema": (
        "out-of-date database schema", "no such table", "no such column", "undefinedtable",
        "undefinedcolumn",
    ),
    "http.database-gone": (
        "connection to server", "could not connect to server", "server closed the connection",
        "could not translate host name", "terminating connection", "connection timed out",
        "the database system is",
    ),
}  # fmt: skip


def of_first_answer(answer: Answer, *, with_credentials: bool) -> str:
    """The problem that the answer to the first API request shows, or "" where it shows none.

    Its layer is `http`, `host` or `auth`: one answer tells about all three.
    """
    text = answer.body[:4096].decode("utf-8", "replace").lower()
    if answer.status == 401:
        return _of_unauthorized(answer, text, with_credentials)
    if answer.status == 403:
        return "host.not-allowed" if _INVALID_HOST in text else "auth.forbidden"
    if _is_mlflow(answer):
        return "" if answer.status == 200 else of_server_words(text) or "http.server-error"
    return _of_stranger(answer, text)


def _of_stranger(answer: Answer, text: str) -> str:
    if 300 <= answer.status < 400:
        return "http.redirected"
    if answer.status == 503 and "--artifacts-only" in text:
        return "http.artifacts-only"
    if answer.status == 400 and "https port" in text:
        return "http.speaks-tls"
    return "http.gateway" if answer.status in (502, 503, 504) else "http.not-mlflow"


def _of_unauthorized(answer: Answer, text: str, with_credentials: bool) -> str:
    realm = answer.headers.get("www-authenticate", "").lower()
    if "mlflow" not in realm and "mlflow" not in text:
        return "auth.other-gate"
    return "auth.wrong" if with_credentials else "auth.missing"


def _is_mlflow(answer: Answer) -> bool:
    """MLflow answers a search with {"experiments": [...]}, or {} if empty; else error_code."""
    try:
        reply = json_object(answer)
    except TrackingError:
        return False
    return "error_code" in reply or not reply or isinstance(reply.get("experiments"), list)


def of_error(layer: str, error: TrackingError) -> str:
    """The problem behind an error met in `layer`: always one of that layer's own, or a lower's.

    A connection that breaks in a later layer is reported in that layer, as its failure.
    """
    if error.kind is ErrorKind.DNS:
        return _known(f"dns.{error.reason}", "dns.unknown-name")
    if error.kind is ErrorKind.TLS:
        return _known(f"tls.{error.reason}", "tls.failed")
    if error.kind is ErrorKind.NOT_HTTP and layer == "http":
        return "http.speaks-tls" if error.reason == "speaks-tls" else "http.not-http"
    if layer in _FIRST_LAYERS:
        return _CONNECTION.get(error.kind, "http.not-mlflow")
    return _of_status(layer, error)


def _of_status(layer: str, error: TrackingError) -> str:
    if layer == "version":
        return "version.unknown"
    if layer == "large-artifact":
        return _of_large(error)
    words = of_server_words(error.body.lower())
    if words:
        return _known(f"{layer}.{words.partition('.')[2]}", words)
    return _of_refusal(layer, error)


def _of_refusal(layer: str, error: TrackingError) -> str:
    if layer == "artifact-upload" and error.status == 413:
        return "artifact-upload.too-large"
    if layer == "artifact-upload" and "--no-serve-artifacts" in error.body:
        return "artifact-upload.disabled"
    if error.status in (401, 403):
        return _known(f"{layer}.forbidden", f"{layer}.failed")
    return f"{layer}.failed"


def _of_large(error: TrackingError) -> str:
    if error.status == 413:
        return "large-artifact.too-large"
    if error.reason == SIGNED_ADDRESS:
        return "large-artifact.store-unreachable"
    words = of_server_words(error.body.lower())
    if error.status == 507 or words == "http.disk-full":
        return "large-artifact.disk-full"
    if words.startswith("http.store-"):
        return words
    given_up = error.kind in (ErrorKind.SILENT, ErrorKind.CLOSED) or error.status in (408, 504)
    return "large-artifact.timed-out" if given_up else "large-artifact.failed"


def of_server_words(text: str) -> str:
    """The problem that a server's own error, in lower case, tells by its words; or ""."""
    return next(
        (problem for problem, words in _WORDS.items() if any(word in text for word in words)), ""
    )


def _known(problem_id: str, otherwise: str) -> str:
    return problem_id if problem_id in PROBLEMS else otherwise


def of_artifact_root(artifact_uri: str) -> str:
    """The problem with a run's artifact location, or "" where the server serves it.

    MLflow hands a client `mlflow-artifacts:/...` when it serves artifacts itself, and otherwise the
    place itself, for the client to write to with its own means. An experiment's location is fixed
    when it is created, so that a later change of the server's settings does not move it.
    """
    scheme, _, rest = artifact_uri.partition(":")
    if scheme == "mlflow-artifacts" and not rest.startswith("//"):
        return ""
    if scheme in _CLOUD_SCHEMES:
        return "artifact-upload.cloud-root"
    if artifact_uri.startswith("/") or scheme == "file" or ":" not in artifact_uri:
        return "artifact-upload.local-root"
    return "artifact-upload.other-root"


def of_versions(client: str | None, server: str) -> str:
    """The problem with a client and a server of these MLflow versions, or ""."""
    if not server or not server[0].isdigit():
        return "version.unknown"
    if client is None or _minor(client) == _minor(server):
        return ""
    return "version.differs"


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


def of_schema(revision: str | None, known: tuple[str, ...], tables: int) -> str:
    """The problem with a database of this schema revision, or "".

    `known` are the revisions of the installed MLflow, the newest last; empty where none is
    installed, and then every revision is taken as it is.
    """
    if revision is None:
        return "database.foreign" if tables else ""
    if not known or revision == known[-1]:
        return ""
    return "database.older" if revision in known else "database.newer"


def proxy_in_the_way(uri: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The proxy variable that MLflow's client obeys for `uri`, and its value without credentials.

    Follows requests (utils.py: get_environ_proxies, should_bypass_proxies): lower case first, the
    scheme's own variable before ALL_PROXY, and NO_PROXY as a list of domains and CIDR blocks.
    """
    url = urlsplit(uri)
    wanted = (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    name = next((name for name in wanted if environment.get(name)), None)
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if name is None or _is_excluded(url.hostname or "", url.netloc, excluded):
        return None
    return name, _without_credentials(environment[name])


def _is_excluded(host: str, netloc: str, excluded: str) -> bool:
    if excluded.strip() == "*":
        return True
    entries = [entry.lower() for entry in excluded.replace(" ", "").split(",") if entry]
    address = _address(host)
    if address is not None:
        return any(_contains(entry, address) for entry in entries)
    ends = [entry.lstrip(".") for entry in entries]
    names = (host, netloc.lower())
    return any(name == end or name.endswith(f".{end}") for name in names for end in ends)


def _address(host: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _contains(entry: str, address: ipaddress.IPv4Address) -> bool:
    try:
        return address in ipaddress.IPv4Network(entry, strict=False)
    except ValueError:
        return False


def _without_credentials(proxy: str) -> str:
    url = urlsplit(proxy)
    return urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2])) if url.netloc else proxy


def facts(endpoint: Endpoint) -> dict[str, str]:
    """What the texts of findings may name about an endpoint."""
    url = urlsplit(endpoint.uri)
    port = url.port or (443 if url.scheme == "https" else 80)
    account = endpoint.credentials
    return {
        "uri": endpoint.uri,
        "netloc": url.netloc,
        "host": url.hostname or "",
        "port": str(port),
        "username": account.username if account else "",
        "password_file": str(account.password_file) if account else "",
        "ca_file": str(endpoint.ca_file or ""),
        "artifact_root": str(endpoint.artifact_root or ""),
        "endpoint_version": endpoint.mlflow_version,
    }
