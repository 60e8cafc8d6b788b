"""One kept-alive connection to one tracking server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from provision._version import __version__
from provision.adapters.tracking import direct
from provision.adapters.tracking.connecting import (
    basic,
    certificate_of,
    exchange_error,
    parse_uri,
    read_password,
    tls_context,
    tls_error,
)
from provision.model.endpoint import Endpoint
from provision.model.secrets import Secret
from provision.model.tracking import (
    Answer,
    ErrorKind,
    RunRecord,
    TrackingError,
    dig,
    json_object,
    pairs,
    raise_for_status,
    run_record,
)

_API: Final = "/api/2.0/mlflow/"
_BLOCK: Final = 1024 * 1024
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_NO_HEADERS: Final[Mapping[str, str]] = {}
_JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}


class TrackingClient:
    """One kept-alive connection to one tracking server.

    `resolve`, `open` and `secure` climb the network's layers one at a time for `provision check`;
    every other method does what is still missing of them by itself. Every failure is a
    `TrackingError`. `timeout` is in seconds and holds for connecting to all of the server's
    addresses together, and then for each wait on the network, not for a whole request.
    """

    def __init__(
        self, endpoint: Endpoint, password: Secret | None = None, timeout: float = 10
    ) -> None:
        self._url = parse_uri(endpoint.uri)
        self._host = self._url.hostname or ""
        self._secured = self._url.scheme == "https"
        self._port = self._url.port or (443 if self._secured else 80)
        self._ca_file = endpoint.ca_file
        self._timeout = timeout
        self._addresses: tuple[str, ...] = ()
        self._connection = http.client.HTTPConnection(self._host, self._port)
        # The connection gets its socket from here, and leaves the port out of the Host header
        # where it is the scheme's own, as every other client does.
        self._connection.auto_open = 0
        self._connection.default_port = 443 if self._secured else 80
        self._headers = {"User-Agent": f"provision/{__version__}", "Accept": "*/*"}
        if endpoint.credentials is not None and password is not None:
            self._headers["Authorization"] = basic(endpoint.credentials.username, password)

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint, timeout: float = 10) -> Self:
        """A client that has read its password from the endpoint's password file.

        Raises MissingError where that file cannot be read.
        """
        if endpoint.credentials is None:
            return cls(endpoint, None, timeout)
        return cls(endpoint, read_password(endpoint.credentials.password_file), timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        self._connection.close()

    def wait(self, seconds: float) -> None:
        """Wait this long for the network from now on."""
        self._timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    # The layers below HTTP.

    def resolve(self) -> tuple[str, ...]:
        """The server's addresses, in the order in which they are tried."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            reason = "resolver-silent" if again else "unknown-name"
            raise TrackingError(ErrorKind.DNS, f"{self._host}: {error}", reason=reason) from error
        self._addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        return self._addresses

    def open(self) -> str:
        """Connect over TCP, and return the address that answered."""
        self.close()
        failure: OSError | None = None
        addresses = self._addresses or self.resolve()
        until = time.monotonic() + self._timeout
        for address in addresses:
            # A name with many addresses of which none answers takes no longer than one with one.
            left = max(until - time.monotonic(), self._timeout / 10)
            try:
                connected = socket.create_connection((address, self._port), left)
            except OSError as error:
                failure = error
                continue
            connected.settimeout(self._timeout)
            # Headers and body go out in two writes, which Nagle's algorithm would delay by 40 ms.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.sock = connected
            return address
        raise self._connect_error(failure) from failure

    def secure(self) -> str:
        """Speak TLS on the open connection, and return the protocol's version."""
        context = tls_context(self._ca_file)
        try:
            secured = context.wrap_socket(self._connection.sock, server_hostname=self._host)
        except (OSError, ValueError) as error:
            self.close()
            raise tls_error(error) from error
        self._connection.sock = secured
        return secured.version() or "TLS"

    # MLflow's REST API.

    def probe(self) -> Answer:
        """Ask for one experiment and return whatever comes back, of any status.

        MLflow answers `/health` and `/version` without looking at the Host header, so they say
        nothing about a client's chances; this route passes every check that a client's do.
        """
        body = json.dumps({"max_results": 1}).encode()
        return self._send("POST", f"{_API}experiments/search", body, _JSON)

    def version(self) -> str:
        """The server's MLflow version."""
        answer = self.ask("GET", "/version")
        return answer.body.decode("utf-8", "replace").strip()

    def server_status(self) -> dict[str, Any] | None:
        """What a server started by this package says about itself; None from any other server.

        A degraded one says so with 503. What begins with `certificate_` is about the one that it
        showed, as `certificate_of` has it.
        """
        answer = self._send("GET", "/provision/status")
        if answer.status == 404:
            return None
        if answer.status != 503:
            raise_for_status("GET /provision/status", answer)
        return {**_of_itself(json_object(answer)), **certificate_of(self._connection.sock)}

    def create_experiment(self, name: str) -> str:
        """Create an experiment and return its id."""
        return str(dig(self.post("experiments/create", name=name), "experiment_id"))

    def delete_experiment(self, experiment_id: str) -> None:
        """Move an experiment to MLflow's trash, where `mlflow gc` finds it."""
        self.post("experiments/delete", experiment_id=experiment_id)

    def create_run(self, experiment_id: str, name: str) -> RunRecord:
        """Start a run now."""
        now = _milliseconds()
        reply = self.post("runs/create", experiment_id=experiment_id, run_name=name, start_time=now)
        return run_record(reply)

    def log_batch(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Log metrics (step 0, now), params and tags in one request, as `mlflow.log_*` do."""
        now = _milliseconds()
        points = [
            {"key": key, "value": value, "timestamp": now, "step": 0}
            for key, value in metrics.items()
        ]
        self.post(
            "runs/log-batch",
            run_id=run_id,
            metrics=points,
            params=pairs(params),
            tags=pairs(tags),
        )

    def get_run(self, run_id: str) -> RunRecord:
        """A run with the latest value of each of its metrics."""
        return run_record(self.get("runs/get", run_id=run_id))

    def delete_run(self, run_id: str) -> None:
        """Move a run to MLflow's trash."""
        self.post("runs/delete", run_id=run_id)

    def upload(self, path: str, content: bytes) -> None:
        """Write one artifact through the server. `path` is relative to the artifact root."""
        headers = {"Content-Type": "application/octet-stream"}
        self.ask("PUT", f"{_ARTIFACTS}/{quote(path)}", content, headers)

    def download(self, path: str) -> bytes:
        """One artifact's content, through the server."""
        return self.ask("GET", f"{_ARTIFACTS}/{quote(path)}").body

    def upload_stream(self, path: str, size: int, blocks: Iterable[bytes]) -> None:
        """Write one artifact of `size` bytes without ever holding it in memory."""
        self.close()  # what was sent from a stream cannot be sent once more
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self.ask("PUT", f"{_ARTIFACTS}/{quote(path)}", blocks, headers)

    def download_stream(self, path: str) -> Iterator[bytes]:
        """One artifact's content, block by block."""
        self.close()
        self._connect()
        target = f"{self._url.path.rstrip('/')}{_ARTIFACTS}/{quote(path)}"
        try:
            self._connection.request("GET", target, headers=self._headers)
            response = self._connection.getresponse()
            if response.status != 200:
                raise_for_status(f"GET {target}", Answer(response.status, {}, response.read(4096)))
            while block := response.read(_BLOCK):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise exchange_error(f"GET {target}", error) from error
        finally:
            self.close()

    def upload_direct(self, path: str, size: int, blocks: Iterable[bytes]) -> None:
        """As `upload_stream`, past the server: straight to its store, by addresses it signs."""
        direct.upload(self.ask, path, size, blocks, self._timeout)

    def download_direct(self, path: str) -> Iterator[bytes]:
        """As `download_stream`, straight from the store."""
        return direct.download(self.ask, path, self._timeout)

    def list_artifacts(self, path: str) -> tuple[str, ...]:
        """The names in one artifact folder."""
        return tuple(name for name, _ in self.list_folder(path))

    def list_folder(self, path: str) -> tuple[tuple[str, bool], ...]:
        """The names in one artifact folder, and whether each is a folder itself."""
        reply = json_object(self.ask("GET", f"{_ARTIFACTS}?{urlencode({'path': path})}"))
        files = reply.get("files", ())
        return tuple((str(entry["path"]), bool(entry.get("is_dir"))) for entry in files)

    def delete_artifact(self, path: str) -> None:
        """Remove one artifact or artifact folder from the store."""
        self.ask("DELETE", f"{_ARTIFACTS}/{quote(path)}")

    def create_registered_model(self, name: str) -> None:
        """Create a registered model without versions."""
        self.post("registered-models/create", name=name)

    def create_model_version(self, name: str, source: str, run_id: str) -> str:
        """Register a version whose files lie at `source`, and return its number."""
        reply = self.post("model-versions/create", name=name, source=source, run_id=run_id)
        return str(dig(reply, "model_version", "version"))

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias of a registered model at a version."""
        self.post("registered-models/alias", name=name, alias=alias, version=version)

    def version_by_alias(self, name: str, alias: str) -> str:
        """The number of the version that an alias points at."""
        reply = self.get("registered-models/alias", name=name, alias=alias)
        return str(dig(reply, "model_version", "version"))

    def delete_registered_model(self, name: str) -> None:
        """Remove a registered model with its versions and aliases; there is no trash for these."""
        self._call("DELETE", "registered-models/delete", json.dumps({"name": name}).encode())

    # One request.

    def post(self, route: str, **fields: Any) -> dict[str, Any]:
        """One request with a body."""
        return self._call("POST", route, json.dumps(fields).encode())

    def get(self, route: str, **query: str) -> dict[str, Any]:
        """One reading request of MLflow's REST API."""
        return self._call("GET", f"{route}?{urlencode(query)}")

    def _call(self, method: str, route: str, body: bytes | None = None) -> dict[str, Any]:
        return json_object(self.ask(method, f"{_API}{route}", body, _JSON if body else _NO_HEADERS))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Answer:
        """One request to any route; raises TrackingError for an answer other than 2xx."""
        return raise_for_status(f"{method} {path}", self._send(method, path, body, headers))

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Answer:
        """Send once more where the server had closed the kept-alive connection meanwhile."""
        kept = self._connection.sock is not None
        try:
            return self._exchange(method, path, body, headers)
        except TrackingError as error:
            if not (kept and error.kind is ErrorKind.CLOSED):
                raise
            return self._exchange(method, path, body, headers)

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        self._connect()
        target = self._url.path.rstrip("/") + path
        try:
            # A server that refuses a body may answer and close before it has read all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.request(method, target, body, {**self._headers, **headers})
            response = self._connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise exchange_error(f"{method} {target}", error) from error

    def _connect(self) -> None:
        if self._connection.sock is None:
            self.open()
        if self._secured and not isinstance(self._connection.sock, ssl.SSLSocket):
            self.secure()

    def _connect_error(self, error: OSError | None) -> TrackingError:
        where = f"{self._host} port {self._port}"
        if isinstance(error, ConnectionRefusedError):
            return TrackingError(ErrorKind.REFUSED, f"{where}: connection refused")
        if isinstance(error, TimeoutError):
            message = f"{where}: no answer within {self._timeout:g} s"
            return TrackingError(ErrorKind.TIMED_OUT, message)
        return TrackingError(ErrorKind.UNREACHABLE, f"{where}: {error}")


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _of_itself(told: dict[str, Any]) -> dict[str, Any]:
    """With accounts, a database that is away is met before the question about it is."""
    if "error_code" not in told:
        return told
    return {"state": "degraded", "database": {"ok": False, "error": told.get("message")}}
