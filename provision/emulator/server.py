"""The account behind HTTP: moto's application on a free port of the loopback."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from provision.emulator import agent
from provision.emulator.answers import account_plan
from provision.emulator.calls import Answer, Call, Environ
from provision.emulator.faults import PATH, Fault, Faults
from provision.emulator.patches import close_gaps
from provision.emulator.rehearsal import PATH as REHEARSAL_PATH
from provision.emulator.rehearsal import REHEARSAL
from provision.emulator.rights import enforced_here

_LOG = logging.getLogger("provision.emulator")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER, on, 0 s: closing sends RST instead of FIN (socket(7))


class _Handler(MotoRequestHandler):  # type: ignore[misc] # moto is not checked
    """Says nothing about single requests."""

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def connection_dropped(self, *_: Any) -> None:
        """Read no further request from a connection that was reset."""
        self.close_connection = True


class Front:
    """What stands before moto: faults where they are allowed, and plain words for gaps.

    What moto cannot do is answered with HTTP 501, which no SDK retries: AWS' own SDKs repeat a
    500 up to 25 times, and Terraform says nothing meanwhile.
    """

    def __init__(self, faults: Faults, *, controlled: bool) -> None:
        self._account = DomainDispatcherApplication(create_backend_app)
        self._faults = faults
        self._controlled = controlled

    def __call__(self, environ: Environ, start: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if self._controlled and environ["PATH_INFO"] == PATH:
            return _send(_control(self._faults, environ), start)
        if environ["PATH_INFO"] == REHEARSAL_PATH:
            return _send(REHEARSAL.answer(environ), start)
        return self.serve(environ, start)

    def serve(self, environ: Environ, start: Any) -> Iterable[bytes]:
        """Answer one request to AWS; its path may be any key of any bucket."""
        call = Call.read(environ)
        try:
            return self._answer(call, environ, start)
        finally:
            REHEARSAL.note(call)

    def _answer(self, call: Call, environ: Environ, start: Any) -> Iterable[bytes]:
        fault = self._faults.meet(call)
        if fault is None:
            return self._ask(call, environ, start)
        if fault.acted:
            for _ in self._ask(call, environ, lambda *_, **__: lambda _: None):
                pass
        return self._fail(fault, call, environ, start)

    def _ask(self, call: Call, environ: Environ, start: Any) -> Iterable[bytes]:
        if call.service == "freetier":
            return _send(_plan(), start)
        try:
            answer: Iterable[bytes] = self._account(environ, start)
        except ConnectionError:
            raise
        except NotImplementedError:
            return _send(_gap(call, "has no such operation"), start)
        except Exception as error:
            _LOG.exception("%s failed", call.name)
            return _send(_gap(call, f"failed: {type(error).__name__}: {error}"), start)
        return answer

    def _fail(self, fault: Fault, call: Call, environ: Environ, start: Any) -> Iterable[bytes]:
        if fault.kind == "stall" and self._faults.stall(fault.seconds) and not fault.acted:
            return self._ask(call, environ, start)
        if fault.kind in ("reset", "stall"):
            _reset(environ)
        return _send(fault.refusal(call), start)


class Door:
    """The same account as a machine in its network sees it: what policies refuse is refused."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def __call__(self, environ: Environ, start: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333); what only an account's keeper may say is not for here."""
        if environ["PATH_INFO"].startswith("/moto-api"):
            environ["PATH_INFO"] = "/"
        if published := agent.PATH.fullmatch(environ["PATH_INFO"]):
            return _send(_agent(published[1]), start)
        environ["wsgi.url_scheme"] = "https"
        with enforced_here():
            return self._front.serve(environ, start)


def _agent(architecture: str) -> Answer:
    """From a bucket of AWS' own, which everybody may read."""
    body = agent.package(architecture)
    kind = ("Content-Type", "binary/octet-stream")
    return Answer("200 OK", [kind, ("Content-Length", str(len(body)))], body)


def _control(faults: Faults, environ: Environ) -> Answer:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status, text = faults.control(environ["REQUEST_METHOD"], body)
    return Answer(status, [("Content-Type", "application/json")], text)


def _gap(call: Call, what: str) -> Answer:
    words = f"the emulated account {what}: {call.name} (this is no answer of AWS)"
    return call.refusal(501, "NotImplemented", words)


def _plan() -> Answer:
    body = account_plan()
    kind = ("Content-Type", "application/x-amz-json-1.0")
    return Answer("200 OK", [kind, ("Content-Length", str(len(body)))], body)


def _send(answer: Answer, start: Any) -> Iterable[bytes]:
    start(answer.status, answer.headers)
    return [answer.body]


def _reset(environ: Environ) -> NoReturn:
    """Close the connection so that the other side meets ECONNRESET."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
    raise ConnectionResetError


class Server:
    """An account that answers on the loopback from `start` to `stop`, and forgets all then.

    There is one set of accounts per process: two servers in one process share what they hold.
    """

    def __init__(self, *, faults: bool = False) -> None:
        close_gaps()
        self._faults = Faults()
        front = Front(self._faults, controlled=faults)
        self._server, self._door = _listen(front), _listen(Door(front))
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            for server in (self._server, self._door)
        ]

    @property
    def endpoint(self) -> str:
        """Its address: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def door(self) -> str:
        """The address at which policies hold: for the machines of a rehearsal."""
        return f"http://127.0.0.1:{self._door.port}"

    def start(self) -> None:
        """Answer from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer no more; connections that stall are reset."""
        self._faults.replace(())
        for server in (self._server, self._door):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()


def _listen(front: Front | Door) -> Any:
    return make_server("127.0.0.1", 0, front, threaded=True, request_handler=_Handler)


@contextlib.contextmanager
def serving(*, faults: bool = False) -> Iterator[Server]:
    """A server that answers while the block runs."""
    server = Server(faults=faults)
    server.start()
    try:
        yield server
    finally:
        server.stop()
