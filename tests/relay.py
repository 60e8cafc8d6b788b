"""A proxy in front of a server, which does to requests what proxies in the field do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.listeners import Listener, listening

TOO_LARGE = (
    b"HTTP/1.1 413 Request Entity Too Large\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


@dataclass(frozen=True)
class Rules:
    """`limit`: larger bodies are refused with 413; `cut`: a body's connection ends after so many
    bytes; `header`: adds these lines to requests for which `wanted` holds."""

    limit: int = 1 << 60
    cut: int = 1 << 60
    header: bytes = b""
    wanted: Callable[[bytes], bool] = lambda _: False


@contextmanager
def relaying(uri: str, rules: Rules) -> Iterator[Listener]:
    url = urlsplit(uri)
    address = (url.hostname or "", url.port or 80)
    with listening(lambda client: _relay(client, address, rules)) as listener:
        yield listener


def _relay(client: socket.socket, address: tuple[str, int], rules: Rules) -> None:
    """One request: its answer ends the connection, so that nothing has to be parsed."""
    head, _, body = _head(client).partition(b"\r\n\r\n")
    length = _length(head)
    if length > rules.limit:
        client.sendall(TOO_LARGE)
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):
            pass
        return
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    more = [b"Connection: close"] + ([rules.header] if rules.wanted(lines[0]) else [])
    with socket.create_connection(address) as server:
        server.sendall(b"\r\n".join([*lines, *more]) + b"\r\n\r\n" + body)
        sent = len(body)
        while sent < length:
            if sent > rules.cut:
                return
            block = client.recv(1 << 16)
            server.sendall(block)
            sent += len(block)
        while block := server.recv(1 << 16):
            client.sendall(block)


def _head(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        block = client.recv(1 << 16)
        if not block:
            raise OSError("the client has gone")
        data += block
    return data


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
