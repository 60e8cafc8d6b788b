"""`provision check`: from a client's side, layer by layer, to the first thing that is broken."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from provision.app.layers import ProblemError, Walk
from provision.app.tracking_server import TrackingServer
from provision.model import diagnosis
from provision.model.checks import found
from provision.model.endpoint import Endpoint
from provision.model.findings import SERVER_LAYERS
from provision.model.problem import Layer
from provision.model.report import Finding, Report
from provision.model.tracking import Answer, RunRecord, TrackingError

# Just above the body size at which nginx refuses by default (client_max_body_size 1m).
_ARTIFACT_BYTES: Final = 1024 * 1024 + 1024
# 0.1 + 0.2 needs all 53 bits of a double, the other two nearly the whole range of its exponent.
_METRICS: Final = {"exact": 0.1 + 0.2, "tiny": 1.5e-300, "large": -1.7976931348623157e300}
_PARAMS: Final = {"unicode": "naïve 模型 🚀", "quotes": 'it\'s "quoted" \\ % $'}
_TAGS: Final = {"provision.check": "delete me"}


@dataclass
class _Session:
    """What one check knows and has created so far."""

    endpoint: Endpoint
    server: TrackingServer
    client_version: str | None
    name: str
    answer: Answer = field(default_factory=lambda: Answer(0, {}, b""))
    experiment_id: str = ""
    run: RunRecord = field(default_factory=lambda: RunRecord("", ""))
    content: bytes = b""
    undo: list[tuple[str, Callable[[], None]]] = field(default_factory=list)

    @property
    def artifact_path(self) -> str:
        """Where the check's artifact lies, relative to the served artifact root."""
        root = self.run.artifact_uri.partition(":")[2]
        return f"{root.strip('/')}/provision-check.bin"


Step = Callable[[_Session], str]


def check(  # noqa: PLR0913 - the last two are passed by name
    endpoint: Endpoint,
    client_factory: Callable[[Endpoint], TrackingServer],
    clock: Callable[[], float],
    expected_version: str | None,
    *,
    environment: Mapping[str, str] | None = None,
    on_layer: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Look at every layer of a tracking server in order, and stop at the first broken one.

    `clock` counts seconds. `expected_version` is the client's installed MLflow, None without one.
    `environment` is only searched for proxies that MLflow's client would obey. `on_layer` gets each
    finding as soon as it is known. What the check creates it deletes, whatever happens.
    """
    facts = {**diagnosis.facts(endpoint), "artifact_size": _size()}
    walk = Walk(facts, clock, on_layer)
    name = f"provision-check-{secrets.token_hex(6)}"
    session = _Session(endpoint, client_factory(endpoint), expected_version, name)
    try:
        for layer, step in _steps(endpoint):
            walk.visit(layer, partial(step, session))
            if layer.name == "tcp":
                _note_proxy(walk, layer, endpoint.uri, environment or {})
    finally:
        # Also when the user interrupts: nothing may stay behind.
        clean = walk.finish if session.undo else walk.visit
        clean(SERVER_LAYERS[-1], partial(_clean_up, session))
        session.server.close()
    return Report(endpoint.uri, tuple(walk.findings))


def _note_proxy(walk: Walk, layer: Layer, uri: str, environment: Mapping[str, str]) -> None:
    proxy = diagnosis.proxy_in_the_way(uri, environment)
    if proxy is not None:
        facts = {**walk.facts, "proxy_variable": proxy[0]}
        walk.note(found(layer, "tcp.proxy", f"{proxy[0]}={proxy[1]}", facts))


def _steps(endpoint: Endpoint) -> Sequence[tuple[Layer, Step]]:
    secured = endpoint.uri.startswith("https://")
    layers = (layer for layer in SERVER_LAYERS[:-1] if secured or layer.name != "tls")
    return [(layer, _STEPS[layer.name]) for layer in layers]


def _dns(session: _Session) -> str:
    return ", ".join(session.server.resolve())


def _tcp(session: _Session) -> str:
    return f"connected to {session.server.open()}"


def _tls(session: _Session) -> str:
    return session.server.secure()


def _http(session: _Session) -> str:
    session.answer = session.server.probe()
    return _judge_answer(session, "http")


def _host(session: _Session) -> str:
    return _judge_answer(session, "host")


def _auth(session: _Session) -> str:
    return _judge_answer(session, "auth")


def _judge_answer(session: _Session, layer: str) -> str:
    """What the first API answer says about one of the three layers that it went through."""
    answer, account = session.answer, session.endpoint.credentials
    problem = diagnosis.of_first_answer(answer, with_credentials=account is not None)
    if problem.startswith(f"{layer}."):
        observed = f"HTTP {answer.status}{_from(answer)}: {answer.excerpt()}"
        raise ProblemError(problem, observed, location=answer.headers.get("location", ""))
    return {
        "http": f"HTTP {answer.status}{_from(answer)}",
        "host": f"accepted as {session.endpoint.uri.partition('://')[2].partition('/')[0]}",
        "auth": f"accepted as {account.username}" if account else "no credentials needed",
    }[layer]


def _from(answer: Answer) -> str:
    return f" from {answer.server}" if answer.server else ""


def _version(session: _Session) -> str:
    server, client = session.server.version(), session.client_version
    observed = f"server {server[:40]}, client {client or 'has no MLflow installed'}"
    problem = diagnosis.of_versions(client, server)
    if problem:
        raise ProblemError(
            problem, observed, server_version=server, client_version=client or "none"
        )
    return observed


def _experiment(session: _Session) -> str:
    server = session.server
    created = session.experiment_id = server.create_experiment(session.name)
    session.undo.append((f"experiment {created}", lambda: server.delete_experiment(created)))
    return f"created {session.name}"


def _run(session: _Session) -> str:
    server = session.server
    run_id = server.create_run(session.experiment_id, session.name).run_id
    session.undo.append((f"run {run_id}", lambda: server.delete_run(run_id)))
    server.log_batch(run_id, _METRICS, _PARAMS, _TAGS)
    run = session.run = server.get_run(run_id)
    tags = {key: value for key, value in run.tags.items() if key in _TAGS}
    sent, returned = (_METRICS, _PARAMS, _TAGS), (run.metrics, run.params, tags)
    if sent != returned:
        raise ProblemError("run.differs", f"sent {sent!r}, returned {returned!r}")
    return f"{len(_METRICS)} metrics, {len(_PARAMS)} params and {len(_TAGS)} tag, all equal"


def _upload(session: _Session) -> str:
    artifact_uri = session.run.artifact_uri
    problem = diagnosis.of_artifact_root(artifact_uri)
    if problem:
        observed = f"a new run's artifacts go to {artifact_uri}"
        raise ProblemError(problem, observed, artifact_uri=artifact_uri)
    session.content = secrets.token_bytes(_ARTIFACT_BYTES)
    path = session.artifact_path
    # Noted before it is tried: a failed upload may have left a part behind.
    session.undo.append((f"artifact {path}", lambda: session.server.delete_artifact(path)))
    session.server.upload(path, session.content)
    return f"{_size()} to {artifact_uri}"


def _download(session: _Session) -> str:
    folder, _, name = session.artifact_path.rpartition("/")
    listed = session.server.list_artifacts(folder)
    content = session.server.download(session.artifact_path)
    sent, got = _sha256(session.content), _sha256(content)
    if sent != got or name not in listed:
        observed = (
            f"sent {len(session.content)} bytes with SHA-256 {sent}, "
            f"got {len(content)} with {got}; "
            f"the folder lists {', '.join(listed) or 'nothing'}"
        )
        raise ProblemError("artifact-download.differs", observed)
    return f"{_size()}, SHA-256 {got[:12]}..."


def _registry(session: _Session) -> str:
    server, name, run = session.server, session.name, session.run
    server.create_registered_model(name)
    session.undo.append((f"registered model {name}", lambda: server.delete_registered_model(name)))
    version = server.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
    server.set_alias(name, "champion", version)
    returned = server.version_by_alias(name, "champion")
    if returned != version:
        raise ProblemError(
            "registry.differs", f"set to version {version}, returned version {returned}"
        )
    return f"version {version} found by its alias"


def _clean_up(session: _Session) -> str:
    left: list[str] = []
    total = len(session.undo)
    while session.undo:
        what, delete = session.undo.pop()
        try:
            delete()
        except TrackingError as error:
            left.append(f"{what} ({error.message})")
    if left:
        raise ProblemError("cleanup.left-behind", f"left behind: {'; '.join(left)}")
    return f"deleted {total} things"


def _size() -> str:
    return f"{_ARTIFACT_BYTES / 1024:.0f} KiB"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_STEPS: Final[Mapping[str, Step]] = {
    "dns": _dns,
    "tcp": _tcp,
    "tls": _tls,
    "http": _http,
    "host": _host,
    "auth": _auth,
    "version": _version,
    "experiment": _experiment,
    "run": _run,
    "artifact-upload": _upload,
    "artifact-download": _download,
    "registry": _registry,
}
