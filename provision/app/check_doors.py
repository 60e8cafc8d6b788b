"""The layers of a check that try to get in where nobody should."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from provision.app.check_session import Session, Step
from provision.app.layers import ProblemError
from provision.app.tracking_server import TrackingServer
from provision.model.tracking import TrackingError

_SEARCH: Final = "/api/2.0/mlflow/experiments/search"
# What MLflow shipped in basic_auth.ini until 3.16, and before 2.5.
_KNOWN_PASSWORDS: Final = (("admin", "password1234"), ("admin", "password"))


@dataclass(frozen=True)
class Door:
    """Something that nobody from outside may reach: a port of a host, or a bucket's address.

    `problem` is what is wrong when it opens; `port` is 0 for an address that HTTP asks for.
    """

    what: str
    host: str
    port: int
    problem: str


TryDoor = Callable[[Door], str]
"""What a door answers to a stranger; "" for one that is shut."""


def accounts(session: Session) -> str:
    """Try to get in without an account, with passwords that everybody knows, and by signing up."""
    stranger = session.strange()
    try:
        if _gets_in(stranger, {}):
            return _open_to_all(session)
        for name, password in _KNOWN_PASSWORDS:
            if _gets_in(stranger, _basic(name, password)):
                raise ProblemError("accounts.default-password", f"{name} with {password} got in")
        if _may_sign_up(stranger):
            raise ProblemError("accounts.sign-up-open", "GET /signup shows its form to a stranger")
    finally:
        stranger.close()
    return "strangers, known passwords and sign-ups are refused"


def _open_to_all(session: Session) -> str:
    observed = f"a stranger may read all experiments at {session.endpoint.uri}"
    if session.endpoint.credentials is not None:
        raise ProblemError("accounts.ignored", observed)
    addresses = [ipaddress.ip_address(a.partition("%")[0]) for a in session.addresses]
    if any(address.is_global for address in addresses):
        raise ProblemError("accounts.open-to-the-world", observed)
    if not all(address.is_loopback for address in addresses):
        raise ProblemError("accounts.open-to-the-network", observed)
    return "there are none, and only this machine can reach it"


def _gets_in(stranger: TrackingServer, headers: Mapping[str, str]) -> bool:
    try:
        stranger.ask("GET", f"{_SEARCH}?max_results=1", None, headers)
    except TrackingError as error:
        if error.status:
            return False
        raise
    return True


def _may_sign_up(stranger: TrackingServer) -> bool:
    try:
        answer = stranger.ask("GET", "/signup")
    except TrackingError as error:
        if error.status:
            return False
        raise
    return b"<form" in answer.body.lower()


def _basic(name: str, password: str) -> Mapping[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def outside(doors: Sequence[Door], try_door: TryDoor | None) -> Step:
    """A step that tries all doors side by side."""

    def step(_: Session) -> str:
        assert try_door is not None  # noqa: S101 - the layer is left out without one
        with ThreadPoolExecutor(max(len(doors), 1)) as pool:
            answers = dict(zip(doors, pool.map(try_door, doors), strict=True))
        opened = [(door, answer) for door, answer in answers.items() if answer]
        if opened:
            seen = "; ".join(f"{door.what}: {answer}" for door, answer in opened)
            names = ", ".join(door.what for door, _ in opened)
            raise ProblemError(opened[0][0].problem, seen, doors=names)
        return f"shut: {', '.join(door.what for door in doors)}"

    return step
