#!/usr/bin/env python3
"""Looks at this machine as MLflow's client does, and says what keeps it from logging to a server.

    python3 check_client.py [TRACKING_URI]

It needs Python 3.8 or newer and nothing else. It changes nothing, here or on the server, sends the
password to the tracking server alone, and prints no secret. Ends with 0, or 6 when a client would
fail.
"""

from __future__ import annotations

import base64
import glob
import http.client
import json
import os
import socket
import ssl
import sys
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

# Filled in by `provision check --client --print-script` and `provision handout`: what each finding
# means (outcome, cause, next step), and the server that this file was handed out for.
TEXTS: Dict[str, List[str]] = {}
HANDED_OUT: Dict[str, str] = {}

TIMEOUT = 5.0
FAILED, WARNING, OK = "failed", "warning", "ok"
URI = "MLFLOW_TRACKING_URI"
CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
SHOWN = (URI, CERTIFICATE, INSECURE, USERNAME, "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME")
PROBE = "/api/2.0/mlflow/experiments/search"
VERIFY = {9: "not-yet-valid", 10: "expired", 18: "unknown-ca", 19: "unknown-ca", 20: "unknown-ca"}
VERIFY.update({21: "unknown-ca", 62: "wrong-name", 64: "wrong-name"})


class Seen(NamedTuple):
    """One thing seen: a finding's id, what was observed, and facts for its texts."""

    id: str
    observed: str
    facts: Mapping[str, str] = {}


class BrokenError(Exception):
    """The way to the server is broken here."""

    def __init__(self, found: str, observed: str, **facts: str) -> None:
        super().__init__(found)
        self.seen = Seen(found, observed, facts)


def look(
    environment: Mapping[str, str], folder: str, uri: str = "", timeout: float = TIMEOUT
) -> Iterator[Seen]:
    """Everything about this client, the settings first, then the way to the server."""
    yield variables(environment)
    version = installed_version()
    yield from settings(environment, folder, uri)
    chosen = uri or environment.get(URI, "").strip() or HANDED_OUT.get("uri", "")
    if chosen and not malformed(chosen):
        yield from way(chosen, environment, timeout, version)
    elif not version:
        yield Seen("client.no-mlflow", sys.executable)


def variables(environment: Mapping[str, str]) -> Seen:
    """Which variables of MLflow and AWS are set: all names, and values that are no secret."""
    names = sorted(n for n in environment if n.startswith(("MLFLOW_", "AWS_")))
    shown = [f"{n}={public(environment[n])}" if n in SHOWN else n for n in names]
    return Seen("client", ", ".join(shown) or "no MLFLOW_ or AWS_ variable is set")


def public(value: str) -> str:
    """A value without what stands before an @ in a URI."""
    scheme, mark, rest = value.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else value


def installed_version() -> str:
    """The version of MLflow that this very Python would import; "" without one."""
    from importlib import metadata

    for name in ("mlflow", "mlflow-skinny"):
        try:
            return str(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return ""


def settings(environment: Mapping[str, str], folder: str, given: str) -> Iterator[Seen]:
    """What the environment and the working directory say."""
    uri = environment.get(URI, "")
    yield from address(uri, folder, given)
    yield from account(uri, environment)
    yield from certificates(environment)
    registry = environment.get("MLFLOW_REGISTRY_URI", "")
    if registry and uri and registry.rstrip("/") != uri.rstrip("/"):
        yield Seen("client.other-registry", f"MLFLOW_REGISTRY_URI={public(registry)}")


def address(uri: str, folder: str, given: str) -> Iterator[Seen]:
    """Whether runs go to a server at all, and to which."""
    local = local_runs(folder)
    if not uri and not given:
        yield Seen("client.no-uri", f"{URI} is not set{'; ' + local if local else ''}")
        return
    if local:
        yield Seen("client.local-runs", local)
    wanted = HANDED_OUT.get("uri", "")
    if uri and not malformed(uri) and wanted and uri.rstrip("/") != wanted.rstrip("/"):
        yield Seen("client.other-uri", f"{URI}={public(uri)}", {"wanted": wanted})
    problem = malformed(uri)
    if problem:
        yield Seen(f"client.{problem}", f"{URI}={public(uri)!r}")


def malformed(uri: str) -> str:
    """What is wrong with a tracking URI that is meant to be a server's, as a slug."""
    if not uri:
        return ""
    if not uri.startswith(("http://", "https://")):
        scheme = uri.partition(":")[0]
        known = scheme in ("file", "sqlite", "postgresql", "mysql", "mssql", "databricks")
        return "local-uri" if known or uri.startswith(("/", ".")) else "malformed-uri"
    strange = any(c.isspace() or c in "\"'\u201c\u201d\u2018\u2019" for c in uri)
    try:
        usable = bool(urlsplit(uri).hostname) and urlsplit(uri).port != 0
    except ValueError:
        usable = False
    return "" if usable and not strange else "malformed-uri"


def local_runs(folder: str) -> str:
    """Which of MLflow's silent local stores lie in the working directory; "" without any."""
    runs = glob.glob(os.path.join(folder, "mlruns", "*", "*", "meta.yaml"))
    found = [f"{len(runs)} runs in {os.path.join(folder, 'mlruns')}"] if runs else []
    database = os.path.join(folder, "mlflow.db")
    found += [f"a local database {database}"] if os.path.exists(database) else []
    return ", ".join(found)


def account(uri: str, environment: Mapping[str, str]) -> Iterator[Seen]:
    """Name and password: both or none, and not in the address."""
    given = [name for name in (USERNAME, PASSWORD) if environment.get(name)]
    if len(given) == 1:
        yield Seen("client.half-account", f"only {given[0]} is set")
    if "@" in uri.partition("://")[2].partition("/")[0]:
        yield Seen("client.password-in-uri", f"{URI}={public(uri)}, with an account before the @")


def certificates(environment: Mapping[str, str]) -> Iterator[Seen]:
    """Which authorities MLflow would trust."""
    insecure = environment.get(INSECURE, "").lower() in ("true", "1")
    path = environment.get(CERTIFICATE, "")
    if insecure and path:
        yield Seen("client.tls-clash", f"{INSECURE} and {CERTIFICATE} are both set")
    elif insecure:
        yield Seen("client.insecure-tls", f"{INSECURE}={environment[INSECURE]}")
    names = (CERTIFICATE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    for name in names:
        if environment.get(name) and not readable(environment[name]):
            yield Seen("client.ca-file", f"{name}={environment[name]}", {"variable": name})


def readable(path: str) -> bool:
    """Whether a file or folder of certificates can be loaded."""
    try:
        if not os.path.isdir(path):
            ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        return False
    return True


def way(uri: str, environment: Mapping[str, str], timeout: float, version: str) -> Iterator[Seen]:
    """The way to the server, layer by layer, to the first that is broken."""
    url = urlsplit(uri)
    facts = facts_of(uri, url, environment)
    proxy = proxy_for(url, environment)
    if proxy:
        yield Seen(
            "tcp.proxy", f"{proxy[0]}={public(proxy[1])}", {**facts, "proxy_variable": proxy[0]}
        )
    try:
        for seen in climb(url, environment, timeout, version):
            yield Seen(seen.id, seen.observed, {**facts, **seen.facts})
    except BrokenError as broken:
        yield Seen(broken.seen.id, broken.seen.observed, {**facts, **broken.seen.facts})


def facts_of(uri: str, url: SplitResult, environment: Mapping[str, str]) -> Dict[str, str]:
    """What the texts may name."""
    return {
        "uri": uri,
        "netloc": url.netloc.rpartition("@")[2],
        "host": url.hostname or "",
        "port": str(port_of(url)),
        "username": environment.get(USERNAME, ""),
        "password_file": f"the variable {PASSWORD}, or the one",
        "ca_file": environment.get(CERTIFICATE, ""),
        "location": "",
    }


def port_of(url: SplitResult) -> int:
    """The port, also where it is the scheme's own."""
    return url.port or (443 if url.scheme == "https" else 80)


def proxy_for(url: SplitResult, environment: Mapping[str, str]) -> Optional[Tuple[str, str]]:
    """The proxy variable that MLflow's client obeys for this address, and its value."""
    names = (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    name = next((n for n in names if environment.get(n)), None)
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    host = url.hostname or ""
    ends = [entry.strip().lstrip(".").lower() for entry in excluded.split(",") if entry.strip()]
    if name is None or any(e in ("*", host) or host.endswith("." + e) for e in ends):
        return None
    return name, environment[name]


def climb(
    url: SplitResult, environment: Mapping[str, str], timeout: float, version: str
) -> Iterator[Seen]:
    """DNS, TCP, TLS, HTTP with the host rule and the account, and the versions."""
    addresses = resolve(url)
    yield Seen("dns", ", ".join(addresses))
    connection = http.client.HTTPConnection(url.hostname or "", port_of(url), timeout=timeout)
    connection.default_port = 443 if url.scheme == "https" else 80
    connection.auto_open = 0
    connection.sock = connected(addresses, url, timeout)
    try:
        yield Seen("tcp", f"connected to port {port_of(url)}")
        if url.scheme == "https":
            connection.sock = secured(connection.sock, url, environment)
            yield Seen("tls", connection.sock.version() or "TLS")
        status, headers, body = ask(connection, url, environment, PROBE + "?max_results=1")
        judge(status, headers, body, bool(environment.get(USERNAME)))
        yield Seen("http", f"HTTP {status}; the host name and the account are accepted")
        yield versions(connection, url, environment, version)
    finally:
        connection.close()


def resolve(url: SplitResult) -> List[str]:
    """The server's addresses."""
    try:
        found = socket.getaddrinfo(url.hostname, port_of(url), type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        problem = "dns.resolver-silent" if again else "dns.unknown-name"
        raise BrokenError(problem, f"{url.hostname}: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connected(addresses: List[str], url: SplitResult, timeout: float) -> socket.socket:
    """A connection to the first address that takes one; all of them have `timeout` together."""
    failure: Optional[OSError] = None
    for address_ in addresses:
        try:
            return socket.create_connection((address_, port_of(url)), timeout / len(addresses))
        except OSError as error:
            failure = error
    where = f"{url.hostname} port {port_of(url)}"
    if isinstance(failure, ConnectionRefusedError):
        raise BrokenError("tcp.refused", f"{where}: connection refused")
    if isinstance(failure, socket.timeout):
        raise BrokenError("tcp.timed-out", f"{where}: no answer within {timeout:g} s")
    raise BrokenError("tcp.unreachable", f"{where}: {failure}")


def secured(plain: Any, url: SplitResult, environment: Mapping[str, str]) -> Any:
    """TLS on a connection, with the authorities that MLflow would trust."""
    if environment.get(INSECURE, "").lower() in ("true", "1"):
        context = ssl._create_unverified_context()
    else:
        try:
            context = ssl.create_default_context(cafile=authorities(environment) or None)
        except (OSError, ssl.SSLError) as error:
            raise BrokenError("tls.ca-file", f"{authorities(environment)}: {error}") from error
    try:
        return context.wrap_socket(plain, server_hostname=url.hostname)
    except ssl.SSLCertVerificationError as error:
        reason = VERIFY.get(error.verify_code, "failed")
        raise BrokenError(f"tls.{reason}", error.verify_message) from error
    except (OSError, ValueError) as error:
        wrong = getattr(error, "reason", "") in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
        gone = isinstance(error, (socket.timeout, ConnectionError, ssl.SSLEOFError))
        problem = "tls.not-tls" if wrong or gone else "tls.failed"
        raise BrokenError(problem, str(error) or type(error).__name__) from error


def authorities(environment: Mapping[str, str]) -> str:
    """The file that MLflow's client (requests) verifies with; "" for this Python's own."""
    names = (CERTIFICATE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    named = next((environment[n] for n in names if environment.get(n)), "")
    if named:
        return named
    from importlib.util import find_spec

    certifi = find_spec("certifi")
    if certifi is None or certifi.origin is None:
        return ""
    return os.path.join(os.path.dirname(certifi.origin), "cacert.pem")


def ask(
    connection: http.client.HTTPConnection,
    url: SplitResult,
    environment: Mapping[str, str],
    path: str,
) -> Tuple[int, Mapping[str, str], bytes]:
    """One request with the client's account; status, headers in lower case, body."""
    headers = {"User-Agent": "provision-check-client", "Accept": "*/*"}
    user = environment.get(USERNAME)
    if user:
        both = f"{user}:{environment.get(PASSWORD, '')}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(both).decode()
    try:
        connection.request("GET", url.path.rstrip("/") + path, headers=headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return response.status, names, response.read()
    except socket.timeout as error:
        raise BrokenError("http.silent", f"GET {path}: no answer") from error
    except (OSError, http.client.IncompleteRead, http.client.RemoteDisconnected) as error:
        raise BrokenError("http.closed", f"GET {path}: {error or type(error).__name__}") from error
    except http.client.HTTPException as error:
        speaks = "speaks-tls" if "\x15\x03" in str(error) else "not-http"
        raise BrokenError(f"http.{speaks}", f"GET {path}: {error!r}") from error


def judge(status: int, headers: Mapping[str, str], body: bytes, has_account: bool) -> None:
    """Raise for an answer that no client could work with."""
    text = body[:4096].decode("utf-8", "replace").lower()
    observed = f"HTTP {status}: {' '.join(text.split())[:200]}"
    location = headers.get("location", "")
    problem = judged(status, headers, text, has_account)
    if problem:
        raise BrokenError(problem, observed, location=location)


def judged(status: int, headers: Mapping[str, str], text: str, has_account: bool) -> str:
    """The finding that an answer shows; "" for one of a server that works."""
    if status == 401:
        realm = headers.get("www-authenticate", "").lower()
        own = "mlflow" in realm or "mlflow" in text
        return ("auth.wrong" if has_account else "auth.missing") if own else "auth.other-gate"
    if status == 403:
        return "host.not-allowed" if "invalid host header" in text else "auth.forbidden"
    if is_mlflow(text):
        return "" if status == 200 else "http.server-error"
    if status == 400 and "https port" in text:
        return "http.speaks-tls"
    strange = {502: "http.gateway", 503: "http.gateway", 504: "http.gateway"}
    return "http.redirected" if 300 <= status < 400 else strange.get(status, "http.not-mlflow")


def is_mlflow(text: str) -> bool:
    """Whether an answer's text is one of MLflow's search; a cut one counts by its beginning."""
    try:
        reply = json.loads(text)
    except ValueError:
        return text.lstrip().startswith('{"experiments"') or '"experiments": [' in text[:200]
    return isinstance(reply, dict) and (
        not reply or bool({"experiments", "error_code"} & set(reply))
    )


def versions(
    connection: http.client.HTTPConnection,
    url: SplitResult,
    environment: Mapping[str, str],
    client: str,
) -> Seen:
    """Whether client and server are of one minor version."""
    try:
        status, _, body = ask(connection, url, environment, "/version")
    except BrokenError:
        status, body = 0, b""
    server = body.decode("utf-8", "replace").strip() if status == 200 else ""
    facts = {"server_version": server, "client_version": client or "none"}
    observed = f"server {server[:40] or 'does not say'}, client {client or 'has no MLflow'}"
    if not client:
        return Seen("client.no-mlflow", sys.executable, facts)
    if not server[:1].isdigit():
        return Seen("version.unknown", observed, facts)
    same = server.split(".")[:2] == client.split(".")[:2]
    return Seen("version" if same else "version.differs", observed, facts)


class Facts(Dict[str, str]):
    """Facts for a text; one that is missing stands there as its name."""

    def __missing__(self, key: str) -> str:
        """The name in angle brackets."""
        return f"<{key}>"


def outcome(seen: Seen) -> str:
    """How bad a finding is."""
    return TEXTS.get(seen.id, [OK])[0] if "." in seen.id else OK


def main(arguments: List[str]) -> int:
    """Look, print, and say by the exit code whether a client works."""
    signs = {FAILED: "FAIL", WARNING: "warn", OK: "ok  "}
    broken = 0
    for seen in look(os.environ, os.getcwd(), arguments[0] if arguments else ""):
        how = outcome(seen)
        print(f"{signs[how]}  {seen.id:<22} {seen.observed}")
        if how != OK:
            _, cause, step = TEXTS[seen.id]
            print(f"      cause: {cause.format_map(Facts(seen.facts))}")
            print(f"      next step: {step.format_map(Facts(seen.facts))}")
        broken += how == FAILED
    print("MLflow's client will not work here." if broken else "MLflow's client can work here.")
    return 6 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
