"""`provision check`: from a client's side, layer by layer, to the first thing that is broken."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from provision.app import check_doors, check_storing
from provision.app.check_session import NAME, Session, Step
from provision.app.layers import ProblemError, Walk
from provision.app.tracking_server import TrackingServer
from provision.model import diagnosis
from provision.model.checks import found
from provision.model.endpoint import Endpoint
from provision.model.findings import SERVER_LAYERS
from provision.model.problem import Layer
from provision.model.report import Finding, Report
from provision.model.tracking import Answer
from provision.model.units import format_size

# Requests behind the first one may write, and wait for a database that others write to.
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Looks:
    """How a check looks, beside at what.

    `client_version` is the installed MLflow, None without one; `environment` is only searched for
    proxies that MLflow's client would obey; `large` is the size of one more artifact in bytes, 0
    for none; `closed` are doors that have to be shut to the world.
    """

    client_version: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    large: int = 0
    closed: Sequence[check_doors.Door] = ()
    try_door: check_doors.TryDoor | None = None


def check(
    endpoint: Endpoint,
    client_factory: Callable[[Endpoint], TrackingServer],
    clock: Callable[[], float],
    looks: Looks,
    *,
    on_layer: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Look at every layer of a tracking server in order, and stop at the first broken one.

    `clock` counts seconds. `on_layer` gets each finding as soon as it is known. What the check
    creates it deletes, whatever happens.
    """
    facts = {**diagnosis.facts(endpoint), **_sizes(looks)}
    walk = Walk(facts, clock, on_layer)
    session = _session(endpoint, client_factory, looks)
    try:
        for layer, step in _steps(endpoint, looks):
            walk.visit(layer, partial(step, session))
            if layer.name == "tcp":
                _note_proxy(walk, layer, endpoint.uri, looks.environment)
    finally:
        # Also when the user interrupts: nothing may stay behind.
        clean = walk.finish if session.undo else walk.visit
        clean(SERVER_LAYERS[-1], partial(check_storing.clean_up, session))
        session.server.close()
    return Report(endpoint.uri, tuple(walk.findings))


def _session(
    endpoint: Endpoint, client_factory: Callable[[Endpoint], TrackingServer], looks: Looks
) -> Session:
    return Session(
        endpoint,
        client_factory(endpoint),
        lambda: client_factory(replace(endpoint, credentials=None)),
        looks.client_version,
        f"{NAME}{secrets.token_hex(6)}",
        looks.large,
    )


def _sizes(looks: Looks) -> Mapping[str, str]:
    small = check_storing.small_size()
    return {"artifact_size": small, "large_size": format_size(looks.large)}


def _note_proxy(walk: Walk, layer: Layer, uri: str, environment: Mapping[str, str]) -> None:
    proxy = diagnosis.proxy_in_the_way(uri, environment)
    if proxy is not None:
        facts = {**walk.facts, "proxy_variable": proxy[0]}
        walk.note(found(layer, "tcp.proxy", f"{proxy[0]}={proxy[1]}", facts))


def _steps(endpoint: Endpoint, looks: Looks) -> Sequence[tuple[Layer, Step]]:
    left_out = set() if endpoint.uri.startswith("https://") else {"tls"}
    left_out |= set() if looks.large else {"large-artifact"}
    left_out |= set() if looks.closed and looks.try_door else {"outside"}
    layers = [layer for layer in SERVER_LAYERS[:-1] if layer.name not in left_out]
    steps = {**_STEPS, "outside": check_doors.outside(looks.closed, looks.try_door)}
    return [(layer, steps[layer.name]) for layer in layers]


def _dns(session: Session) -> str:
    session.addresses = session.server.resolve()
    return ", ".join(session.addresses)


def _tcp(session: Session) -> str:
    return f"connected to {session.server.open()}"


def _tls(session: Session) -> str:
    return session.server.secure()


def _http(session: Session) -> str:
    session.answer = session.server.probe()
    observed = _judge_answer(session, "http")
    session.server.wait(_PATIENCE_SECONDS)
    return observed


def _host(session: Session) -> str:
    return _judge_answer(session, "host")


def _auth(session: Session) -> str:
    return _judge_answer(session, "auth")


def _judge_answer(session: Session, layer: str) -> str:
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


def _version(session: Session) -> str:
    server, client = session.server.version(), session.client_version
    observed = f"server {server[:40]}, client {client or 'has no MLflow installed'}"
    problem = diagnosis.of_versions(client, server)
    if problem:
        raise ProblemError(
            problem, observed, server_version=server, client_version=client or "none"
        )
    return observed


_STEPS: Final[Mapping[str, Step]] = {
    "dns": _dns,
    "tcp": _tcp,
    "tls": _tls,
    "http": _http,
    "host": _host,
    "auth": _auth,
    "version": _version,
    "experiment": check_storing.experiment,
    "run": check_storing.run,
    "artifact-upload": check_storing.upload,
    "artifact-download": check_storing.download,
    "artifact-root": check_storing.frozen_roots,
    "large-artifact": check_storing.large,
    "registry": check_storing.registry,
    "model-load": check_storing.load_model,
    "accounts": check_doors.accounts,
}
