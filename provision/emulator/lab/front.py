"""HTTPS in the lab: every name has a certificate of the lab's authority, made when it is asked for.

Behind TLS the bytes go on as they came: to the emulated account for AWS' names (host header and
signature untouched, at the door where policies hold), to the lab's own shelf for all others.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from provision.emulator.lab import namespaces
from provision.emulator.lab.authority import Authority

_LOG = logging.getLogger("provision.emulator.lab.front")
_BLOCK = 256 * 1024
_HANDSHAKE_SECONDS = 20.0
_NAMELESS = "nameless.invalid"  # for clients that say no name (RFC 6761: no such name exists)

# Name -> host and port of what answers for it.
Route = Callable[[str], tuple[str, int]]


class Front:
    """A listener in the lab's `aws` namespace; `route` says what answers for a name."""

    def __init__(self, authority: Authority, folder: Path, address: str, route: Route) -> None:
        self._authority = authority
        self._folder = folder
        self._route = route
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._listener = namespaces.listen("aws", address, 443)

    def start(self) -> None:
        """Accept connections from now on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._relay(connection)
        except OSError as error:
            _LOG.info("a connection ended: %s", error)
        finally:
            connection.close()

    def _relay(self, connection: socket.socket) -> None:
        asked: list[str] = []
        context = self._context(_NAMELESS)

        def named(client: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: object) -> None:
            asked.append(name or _NAMELESS)
            client.context = self._context(asked[0])

        # A context of its own: the callback knows this connection alone.
        first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        first.load_cert_chain(*self._authority.issue(self._folder, _NAMELESS))
        first.sni_callback = named
        del context
        connection.settimeout(_HANDSHAKE_SECONDS)
        with first.wrap_socket(connection, server_side=True) as client:
            client.settimeout(None)
            with socket.create_connection(self._route(asked[0] if asked else _NAMELESS)) as server:
                _exchange(client, server)

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._authority.issue(self._folder, name))
            self._contexts[name] = context
        return self._contexts[name]


def _exchange(client: ssl.SSLSocket, server: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
    back.start()
    _copy(client, server)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Everything that comes, until one side ends; the other one is told."""
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    with contextlib.suppress(OSError):
        (target.unwrap() if isinstance(target, ssl.SSLSocket) else target).shutdown(socket.SHUT_WR)
