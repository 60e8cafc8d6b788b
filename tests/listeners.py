"""TCP servers that answer, or fail to answer, as a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provision.model.endpoint import Endpoint

Handler = Callable[[socket.socket], None]
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Listener:
    """A TCP server whose every connection one function handles; counts the connections."""

    def __init__(self, handle: Handler, family: int = socket.AF_INET) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._handle = handle
        self._socket = socket.socket(family)
        self._socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._socket.listen()
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._handle(connection)
            except OSError:
                return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def endpoint(self, **more: object) -> Endpoint:
        return Endpoint("t", f"http://127.0.0.1:{self.port}", "3.17.2", **more)  # type: ignore[arg-type]


@contextmanager
def listening(handle: Handler, family: int = socket.AF_INET) -> Iterator[Listener]:
    listener = Listener(handle, family)
    try:
        yield listener
    finally:
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    """One whole request; b"" where the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if b"content-length" in line.lower()
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes, seen: list[bytes], *, keep: bool = True) -> Handler:
    def handle(connection: socket.socket) -> None:
        while request := read_request(connection):
            seen.append(request)
            connection.sendall(answer)
            if not keep:
                return

    return handle
