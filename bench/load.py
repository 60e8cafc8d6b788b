"""Eight clients log runs as training scripts do: `load.py PORT SECONDS [USER:PASSWORD]`.

With `HOST:PORT` and an authority's certificate as fourth word, they come over TLS.

The clients share the machine with the server that they measure, so they do as little as possible
themselves: plain sockets, each request in one piece, only what is needed read from the answer.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

CLIENTS = 8
RUN_ID = re.compile(rb'"run_id":\s*"([0-9a-f]{32})"')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def steps(now: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a run sends after its creation: 10 parameters, 150 and 5 metrics, 2 tags, the end."""
    params = [{"key": f"p{k}", "value": "1"} for k in range(10)]
    yield "log-batch", {"params": params, "tags": [{"key": "t", "value": "v"}]}
    for step in range(3):
        batch = [
            {"key": f"m{k}", "value": k * 1.5, "timestamp": now, "step": step} for k in range(50)
        ]
        yield "log-batch", {"metrics": batch}
    for step in range(5):
        yield "log-metric", {"key": "loss", "value": step, "timestamp": now, "step": step}
    yield "set-tag", {"key": "x", "value": "y"}
    yield "update", {"status": "FINISHED", "end_time": now}


class Client:
    """One kept connection; counts its requests that were not answered with 200."""

    def __init__(self, host: str, port: int, user: str, authority: str) -> None:
        self.socket: socket.socket = socket.create_connection((host, port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if authority:
            context = ssl.create_default_context(cafile=authority)
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.taken: list[float] = []
        self.failures = 0
        head = f"Host: {host}:{port}\r\nContent-Type: application/json\r\n"
        if user:
            head += f"Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
        self.head = head.encode()

    def post(self, name: str, body: bytes) -> bytes:
        started = time.perf_counter()
        line = f"POST /api/2.0/mlflow/runs/{name} HTTP/1.1\r\n".encode()
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        self.socket.sendall(line + self.head + length + body)
        answer = self._answer()
        self.taken.append(time.perf_counter() - started)
        self.failures += not answer.startswith(b"HTTP/1.1 200")
        return answer

    def _answer(self) -> bytes:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        end = answer.index(b"\r\n\r\n") + 4
        found = LENGTH.search(answer, 0, end)
        if found is None:
            raise RuntimeError(f"an answer without its length: {answer[:end]!r}")
        while len(answer) < end + int(found[1]):
            answer += self._receive()
        return answer

    def _receive(self) -> bytes:
        received = self.socket.recv(65536)
        if not received:
            raise RuntimeError("the server closed the connection")
        return received


def log_runs(client: Client, until: float) -> None:
    now = int(time.time() * 1000)
    create = json.dumps({"experiment_id": "0", "start_time": now}).encode()
    # Serialised once; only the run's id is put in.
    bodies = [(name, json.dumps(body).encode()[1:]) for name, body in steps(now)]
    while time.time() < until:
        found = RUN_ID.search(client.post("create", create))
        if found is None:
            raise RuntimeError("the server created no run")
        for name, body in bodies:
            client.post(name, b'{"run_id": "' + found[1] + b'", ' + body)


def main(where: str, seconds: float, user: str = "", authority: str = "") -> None:
    host, _, port = where.rpartition(":")
    clients = [Client(host or "127.0.0.1", int(port), user, authority) for _ in range(CLIENTS)]
    started = time.time()
    threads = [
        threading.Thread(target=log_runs, args=(client, started + seconds)) for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.time() - started
    every = sorted(taken for client in clients for taken in client.taken)
    found = {
        "requests": len(every),
        "seconds": elapsed,
        "p50": every[len(every) // 2] * 1000,
        "p95": every[int(len(every) * 0.95)] * 1000,
        "errors": sum(client.failures for client in clients),
        "client_cpu": time.process_time() / len(every) * 1000,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
