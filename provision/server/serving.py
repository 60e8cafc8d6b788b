"""gunicorn in this very process: one import of MLflow, workers forked from it."""

from __future__ import annotations

import errno
import gc
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from provision.server.balance import BalancedServer, Holdings
from provision.server.failures import BootError
from provision.server.lifeline import Lifeline
from provision.server.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 15
"""How long requests under way may take to finish after SIGTERM; supervisors should wait longer."""

_HUNG_SECONDS = 120
_BIND_SECONDS = 10.0


class Worker(UvicornWorker):  # type: ignore[misc]
    """An ASGI worker with the fast event loop and parser, and no access log."""

    CONFIG_KWARGS = {"loop": "uvloop", "http": "httptools", "access_log": False}  # noqa: RUF012

    async def _serve(self) -> None:
        # As in uvicorn-worker, but for the server's class, which it does not let one choose.
        self.config.app = self.wsgi
        server = BalancedServer(config=self.config)
        server.holdings = self.app.holdings
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Master(BaseApplication):  # type: ignore[misc]
    """gunicorn's master, configured in code: no command line, no configuration file."""

    def __init__(
        self,
        application: ASGIApp,
        listener: socket.socket,
        settings: ServerSettings,
        lifeline: Lifeline,
    ) -> None:
        self._application = application
        self._listener = listener
        self._settings = settings
        self._lifeline = lifeline
        self.holdings = Holdings(settings.workers)
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for name, value in self._configuration().items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """The application, which was built before the first fork."""
        return self._application

    def _configuration(self) -> dict[str, Any]:
        return {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": self._settings.workers,
            "worker_class": "provision.server.serving.Worker",
            "preload_app": True,
            "keepalive": KEEP_ALIVE_SECONDS,
            "timeout": _HUNG_SECONDS,
            "graceful_timeout": STOP_SECONDS,
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "info",
            "pre_fork": self._before_fork,
            "child_exit": lambda _master, worker: self.holdings.release(worker.age),
            "post_fork": lambda _master, _worker: self._lifeline.hold(),
        }

    def _before_fork(self, _master: Any, worker: Any) -> None:
        # What exists now stays shared: a collection would write to its pages.
        gc.freeze()
        self.holdings.reserve(worker.age)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything slow happens; connections are refused until gunicorn listens.

    Waits up to ten seconds for the workers of a killed predecessor to let go of it. Raises
    BootError `port-taken` or `address-invalid`.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise _address_invalid(host, error) from error
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _retry(lambda: listener.bind(address), host, port)
    return listener


def _retry(bind: Callable[[], None], host: str, port: int) -> None:
    deadline = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            return bind()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _address_invalid(host, error) from error
            if time.monotonic() > deadline:
                raise _port_taken(host, port) from error
        time.sleep(0.1)


def _port_taken(host: str, port: int) -> BootError:
    return BootError(
        "port-taken",
        f"another program listens on {host}:{port}",
        next_step="end that program, or choose another port in the spec; then `provision up`",
        temporary=True,
    )


def _address_invalid(host: str, error: OSError) -> BootError:
    return BootError(
        "address-invalid",
        f"the server cannot listen on {host}: {error.strerror or error}",
        next_step="name an address of this machine in the spec; then `provision up`",
    )
